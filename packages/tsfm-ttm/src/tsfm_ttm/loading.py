"""From a name and a task to a model."""

from __future__ import annotations

import numpy as np

from tsfm_core import CapabilityError, ConfigError, Runtime, Task
from tsfm_torch import choose_device, merge_adapters, open_adapters, require_peft
from tsfm_ttm.architecture import overrides, random_architecture, task_fields
from tsfm_ttm.checkpoint import Checkpoint, open_checkpoint
from tsfm_ttm.fitting import check_blocks, check_checkpoint, check_skip, choose_quantile_head
from tsfm_ttm.model import Ttm
from tsfm_ttm.network import build, load_weights
from tsfm_ttm.scaling import Scaler
from tsfm_ttm.schema import TtmConfig
from tsfm_ttm.skip import LinearSkip

__all__ = ["load"]

#: Windows in a forward pass of a forecast where runtime.batch_size is auto.
_BATCH = 256


def load(config: TtmConfig, task: Task, checkpoint: str | None, runtime: Runtime) -> Ttm:
    """Return the network of a checkpoint, or one with random weights.

    :raises CapabilityError: for what the checkpoint, granite's heads or this machine cannot do.
    :raises ConfigError: for a checkpoint that is not there, or keys that do not go together.
    """
    if config.linear_skip and runtime.strategy not in ("full", "zero_shot"):
        raise ConfigError(
            "model.linear_skip stands beside a checkpoint that is trained by full, "
            f"and training.strategy is {runtime.strategy}",
            "set training.strategy to full, or model.linear_skip to false",
        )
    device = choose_device(runtime.device)
    scaler = Scaler.identity(len(task.channels))
    found = adapters = None
    answers, kept_scale = task, None
    added: tuple[str, ...] = ()
    if runtime.strategy == "lora":
        require_peft()
    if checkpoint is None:
        head = choose_quantile_head(config.quantile_head, task, None)
        fields = random_architecture(config, task) | task_fields(task, task.prediction_length, head)
        network = build(fields, runtime.seed)
    else:
        trains = runtime.strategy != "zero_shot"
        found = open_checkpoint(checkpoint, task)
        skips = check_skip(found, bool(config.linear_skip), trains)
        bare = {"past_covariates": (), "known_covariates": ()} if skips else {}
        check_checkpoint(found, task if found.linear_skip else task.model_copy(update=bare), trains)
        answers = task if trains else found.answers(task)
        head = choose_quantile_head(config.quantile_head, answers, found)
        changed = overrides(config, found.config, checkpoint, trains)
        own = task_fields(answers.model_copy(update=bare), found.config["prediction_length"], head)
        network = build({**found.config, **changed, **own}, runtime.seed)
        added = load_weights(network, found.directory, checkpoint)
        if added and not trains and not found.adapters:  # adapters bring what their base lacks
            raise CapabilityError(
                f"the weights of {checkpoint} lack {added[0]}, which its config.json names", "fetch or train it again"
            )
        if skips:
            network = LinearSkip(network, answers)
            if not trains:
                network.read(found.directory, checkpoint)
        network = network.to(device)
        if found.adapters and runtime.strategy == "lora":
            adapters = open_adapters(network, found.adapters, checkpoint)
            check_blocks(adapters, added, checkpoint)
        elif found.adapters:
            network = merge_adapters(network, found.adapters, checkpoint)
        if trains and found.sees_level and found.training and found.training.converts(task):
            kept_scale = _scaler(found, task, scaler).of_target()
        scaler = scaler if trains else _scaler(found, task, scaler)
    network = network.to(device).eval()
    return Ttm(network, task, scaler, device, runtime.batch_size or _BATCH, answers, found, added, kept_scale, adapters)


def _scaler(found: Checkpoint, task: Task, otherwise: Scaler) -> Scaler:
    """Return the scaler of a trained network, its target's in the unit of ``task``: the network knows no unit."""
    if found.training is None:
        return otherwise
    factors = np.ones(len(found.training.mean), np.float32)
    factors[0] = found.training.factor(task)
    return Scaler(*(np.asarray(one, np.float32) * factors for one in (found.training.mean, found.training.std)))
