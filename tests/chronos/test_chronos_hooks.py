"""The entry modules: the contract and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

import tsfm_chronos.chronos
import tsfm_chronos.chronos_bolt
import tsfm_chronos.chronos_t5
from tsfm_chronos.schema import DEFAULTS, BoltSection, Chronos2Section, ChronosTraining, T5Section, T5Training
from tsfm_core import ModelHooks

# mypy checks every signature here
hooks: tuple[ModelHooks, ...] = (tsfm_chronos.chronos, tsfm_chronos.chronos_bolt, tsfm_chronos.chronos_t5)
SECTIONS = {"chronos": Chronos2Section, "chronos_bolt": BoltSection, "chronos_t5": T5Section}


def test_importing_them_and_their_cards_load_nothing_heavy() -> None:
    code = (
        "import sys; from tsfm_chronos import chronos, chronos_bolt, chronos_t5; "
        "[module.model_card().config_schema() for module in (chronos, chronos_bolt, chronos_t5)]; "
        "print({'torch', 'transformers', 'numpy', 'pandas', 'chronos', 'peft', 'huggingface_hub'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"


def test_the_cards() -> None:
    for module in hooks:
        card = module.model_card()
        assert card.licence == "Apache-2.0"
        assert card.default_checkpoint in {checkpoint.name for checkpoint in card.checkpoints}
        assert card.quantiles is True
        chronos2 = module is tsfm_chronos.chronos
        assert card.past_covariates is card.known_covariates is card.categorical_covariates is chronos2
        assert ("lora" in card.strategies) == (module is not tsfm_chronos.chronos_t5)


def test_every_key_is_described_with_its_default() -> None:
    for section in (*SECTIONS.values(), ChronosTraining, T5Training):
        assert all(field.description for field in section.model_fields.values())
    for family, defaults in DEFAULTS.items():
        for key, value in defaults.items():
            shown = str(value[0] if isinstance(value, tuple) else value)
            assert shown in (SECTIONS[family].model_fields[key].description or ""), key


@pytest.mark.parametrize("family", list(SECTIONS))
@pytest.mark.parametrize(
    "text", ['{"layers": 2}', '{"d_model": "16"}', '{"dropout_rate": 1}', '{"num_layers": 0}', '{"quantiles": [0.1]}']
)
def test_the_sections_are_strict(family: str, text: str) -> None:
    with pytest.raises(ValidationError):
        SECTIONS[family].model_validate_json(text, strict=True)


def test_an_attention_head_turns_pairs_of_features() -> None:
    with pytest.raises(ValidationError, match="multiple of 2"):
        Chronos2Section.model_validate_json('{"d_kv": 3}')


@pytest.mark.parametrize("levels", [[0.1, 0.9], [0.5, 0.4], [0.5, 0.5], [0.0, 0.5], [0.5, 1.0], []])
def test_a_network_needs_a_median_among_ascending_levels(levels: list[float]) -> None:
    with pytest.raises(ValidationError, match=r"0.5 among them|at least 1 item"):
        Chronos2Section.model_validate_json(json.dumps({"quantiles": levels}))


def test_lora_belongs_to_its_strategy() -> None:
    assert ChronosTraining(strategy="lora", lora={"rank": 4}).lora
    with pytest.raises(ValidationError, match="full has no use for lora; set strategy to lora"):
        ChronosTraining(strategy="full", lora={"rank": 4})
    with pytest.raises(ValidationError, match="zero_shot trains nothing and has no use for lora"):
        ChronosTraining(lora={"rank": 4})
    with pytest.raises(ValidationError):
        T5Training(strategy="lora")


@pytest.mark.parametrize("section", [ChronosTraining, T5Training])
def test_early_stopping_judges_by_the_loss_where_it_names_nothing(section: type) -> None:
    stopping = section(strategy="full", early_stopping={"patience": 1}).early_stopping
    assert stopping.metric == "loss"
    if section is T5Training:
        with pytest.raises(ValidationError):
            section(strategy="full", early_stopping={"patience": 1, "metric": "rmse"})
