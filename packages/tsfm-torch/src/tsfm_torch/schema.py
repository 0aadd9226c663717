"""The ``training:`` section of every torch backend: pydantic only, no torch."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from tsfm_core.config.schema import Section

__all__ = ["AdapterTraining", "EarlyStopping", "LoraSection", "TrainingConfig"]


class EarlyStopping(Section):
    """When to stop before the last epoch. It also names the metric that chooses the best checkpoint."""

    patience: int = Field(ge=1, description="evaluations in a row without a better metric that end the training")
    metric: Literal["rmse", "mae", "loss"] = Field(
        default="rmse",
        description="judged on the validation windows: rmse and mae in the target's unit, or the training loss",
    )


class TrainingConfig(Section):
    """How a model is trained. ``zero_shot`` trains nothing and has no use for any other key."""

    strategy: Literal["zero_shot", "full", "from_scratch"] = Field(
        default="zero_shot",
        description="zero_shot: the checkpoint as it is; full: train all its weights; from_scratch: random weights",
    )
    num_epochs: int = Field(default=5, ge=1, description="passes over the training windows")
    max_steps: int | None = Field(
        default=None, ge=1, description="end after so many steps, if num_epochs are not over before"
    )
    batch_size: int = Field(default=64, ge=1, description="windows in one step")
    learning_rate: float = Field(default=1e-3, gt=0, description="of AdamW, at its highest")
    weight_decay: float = Field(default=0.0, ge=0, description="of AdamW; biases and norms are left out")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        default="linear",
        description="the learning rate after the warm-up: kept, or lowered to zero along a line or a cosine",
    )
    warmup: float = Field(
        default=0.0, ge=0, lt=1, description="share of the steps in which the learning rate rises from zero"
    )
    early_stopping: EarlyStopping | None = Field(
        default=None, description="stop when validation gets no better; null: train to the end"
    )
    save_every: int | None = Field(
        default=None, ge=1, description="steps between evaluations, each with a checkpoint; null: after each epoch"
    )
    keep_every: int | None = Field(
        default=None, ge=1, description="keep the checkpoints of every so many steps too, beside the last and the best"
    )
    keep_optimizer: bool = Field(
        default=False, description="keep what a training goes on from, optimizer and all, after it has come to its end"
    )
    gradient_accumulation_steps: int = Field(
        default=1, ge=1, description="forward passes that the windows of one step are shared among, to save memory"
    )
    max_grad_norm: float | None = Field(
        default=None, gt=0, description="clip gradients to this norm, over all weights; null: they are not clipped"
    )
    gradient_checkpointing: bool = Field(
        default=False, description="compute activations twice rather than keep them: less memory, more time"
    )
    torch_compile: str | None = Field(
        default=None, description="backend of torch.compile, such as inductor; null: the network is not compiled"
    )
    freeze: tuple[str, ...] = Field(
        default=(), description="patterns such as backbone.*: weights with such names stay as they are"
    )

    @model_validator(mode="after")
    def _nothing_without_use(self) -> Self:
        given = sorted(self.model_fields_set - {"strategy"})
        if self.strategy == "zero_shot" and given:
            raise ValueError(f"zero_shot trains nothing and has no use for {', '.join(given)}; set strategy to full")
        return self

    @model_validator(mode="after")
    def _a_window_for_each_pass(self) -> Self:
        if self.gradient_accumulation_steps > self.batch_size:
            raise ValueError(
                f"gradient_accumulation_steps is {self.gradient_accumulation_steps}, and a step has only "
                f"{self.batch_size} windows"
            )
        return self

    @model_serializer(mode="wrap")
    def _only_what_counts(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what zero_shot has no use for, so that a stored configuration can be read again."""
        every: dict[str, Any] = dump(self)
        return {"strategy": self.strategy} if self.strategy == "zero_shot" else every


class LoraSection(Section):
    """Low-rank adapters (Hu et al. 2021): what is trained beside each chosen layer, whose own weights stay."""

    rank: int = Field(default=8, ge=1, description="of the two factors of an adapter")
    alpha: int = Field(default=16, ge=1, description="an adapter's answer is scaled by alpha / rank")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="of what an adapter is given")
    target_modules: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="ends of the names of the layers; null: the backend's own choice"
    )
    merge: bool = Field(
        default=False,
        description="true: the best checkpoint holds whole weights, the adapters added to them; false: adapters alone",
    )
    quantization: Literal["nf4"] | None = Field(
        default=None,
        description="nf4: while adapters are trained the frozen linear layers are held in 4 bits (QLoRA), by "
        "bitsandbytes; null: in float32",
    )


class AdapterTraining(TrainingConfig):
    """The training of a backend that offers adapters, and its head alone, too."""

    strategy: Literal["zero_shot", "full", "lora", "head", "from_scratch"] = Field(  # type: ignore[assignment]  # more words
        default="zero_shot",
        description="zero_shot: the checkpoint as it is; full: train all its weights; lora: adapters beside them; "
        "head: what follows the backbone, whose outputs are computed once; from_scratch: random weights",
    )
    lora: LoraSection | None = Field(default=None, description="of strategy lora; null: its defaults")

    @model_validator(mode="after")
    def _adapters_where_they_are(self) -> Self:
        if self.lora is not None and self.strategy != "lora":
            raise ValueError(f"{self.strategy} has no use for lora; set strategy to lora, or leave it out")
        return self
