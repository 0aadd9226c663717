from __future__ import annotations

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from tsfm_torch.schema import EarlyStopping, TrainingConfig


def read(text: str) -> TrainingConfig:
    return TrainingConfig.model_validate_json(text, strict=True)


def test_zero_shot_has_no_use_for_any_other_key() -> None:
    values: dict[str, object] = {"early_stopping": {"patience": 1}, "schedule": "linear", "warmup": 0.5}
    values |= {"freeze": ["map.*"], "keep_optimizer": True, "gradient_checkpointing": True, "torch_compile": "inductor"}
    for key in set(TrainingConfig.model_fields) - {"strategy"}:
        value = values.get(key, 1)
        with pytest.raises(ValidationError, match=f"no use for {key}"):
            read(json.dumps({key: value}))


@pytest.mark.parametrize("strategy", ["zero_shot", "full", "from_scratch"])
def test_what_is_stored_can_be_read_again(strategy: str) -> None:
    config = read(json.dumps({"strategy": strategy}))
    assert read(json.dumps(config.model_dump(mode="json", exclude_none=True))) == config


def test_every_key_is_described_and_nothing_is_promised_that_is_not_there() -> None:
    schema = json.dumps(TrainingConfig.model_json_schema())
    for section in (TrainingConfig, EarlyStopping):
        assert all(field.description for field in section.model_fields.values())
    assert not any(word in schema for word in ("lora", "head", "resume"))


@pytest.mark.parametrize(
    "text",
    [
        '{"strategy": "lora"}',
        '{"strategy": "full", "epochs": 3}',
        '{"strategy": "full", "num_epochs": "3"}',
        '{"strategy": "full", "num_epochs": 0}',
        '{"strategy": "full", "warmup": 1}',
        '{"strategy": "full", "early_stopping": {}}',
    ],
)
def test_it_is_strict(text: str) -> None:
    with pytest.raises(ValidationError):
        read(text)


def test_importing_it_loads_nothing_heavy() -> None:
    code = (
        "import sys, tsfm_torch; tsfm_torch.TrainingConfig(); "
        "print({'torch', 'transformers', 'numpy', 'pandas', 'accelerate'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"


def test_a_name_that_is_not_there() -> None:
    import tsfm_torch

    with pytest.raises(AttributeError, match="no attribute 'adapt'"):
        tsfm_torch.adapt  # noqa: B018
    assert set(dir(tsfm_torch)) == set(tsfm_torch.__all__)
    assert all(getattr(tsfm_torch, name) is not None for name in tsfm_torch.__all__)
