"""The entry module: the contract and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

import tsfm_ttm
from tsfm_core import ModelHooks
from tsfm_ttm.schema import DEFAULTS, TtmConfig, TtmTraining

hooks: ModelHooks = tsfm_ttm  # mypy checks every signature here


def test_importing_it_and_its_card_load_nothing_heavy() -> None:
    code = (
        "import sys, tsfm_ttm; card = tsfm_ttm.model_card(); card.config_schema(); "
        "print({'torch', 'transformers', 'numpy', 'pandas', 'tsfm_public', 'huggingface_hub'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"


def test_the_card() -> None:
    card = tsfm_ttm.model_card()
    assert card.default_checkpoint == "tsfm/ttm-cgm"
    names = [one.name for one in card.checkpoints]
    assert names == ["tsfm/ttm-cgm", "ibm-granite/granite-timeseries-ttm-r2"]
    assert card.licence == "Apache-2.0"
    assert card.strategies == ("zero_shot", "full", "lora", "head", "from_scratch")
    assert card.quantiles is card.past_covariates is card.known_covariates is True
    assert (card.longest_context, card.longest_prediction) == (1536, 720)


def test_every_key_is_described() -> None:
    for section in (TtmConfig, TtmTraining):
        assert all(field.description for field in section.model_fields.values())
    for key, value in DEFAULTS.items():
        assert str(value) in (TtmConfig.model_fields[key].description or "")


@pytest.mark.parametrize("text", ['{"layers": 2}', '{"d_model": "16"}', '{"dropout": 1}', '{"num_layers": 0}'])
def test_the_sections_are_strict(text: str) -> None:
    with pytest.raises(ValidationError):
        TtmConfig.model_validate_json(text, strict=True)


def test_a_stored_section_says_nothing_that_was_not_given() -> None:
    assert TtmConfig().model_dump(mode="json", exclude_none=True) == {}
    stored = TtmTraining(strategy="full", loss="mae").model_dump(mode="json", exclude_none=True)
    assert TtmTraining.model_validate_json(json.dumps(stored), strict=True).loss == "mae"
