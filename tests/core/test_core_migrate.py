"""``tsfm config migrate``: every key of the old layout is translated, or named with the reason."""

from __future__ import annotations

import json

import pytest
import yaml

from tsfm_core import ConfigError
from tsfm_core.config.loader import load_file
from tsfm_core.config.migrate import is_old_layout, migrate
from tsfm_core.config.resolve import read_config

SECTIONED = """\
experiment: {name: base line/1, description: first try, tags: [a, b], version: "1.0"}
model: {path: some/weights, context_length: 96, forecast_length: 24, num_input_channels: 6}
data:
  source_name: kaggle_brisT1D
  loader_type: cache
  y_feature: [bg_mM]
  x_features: [steps, iob, hr_bpm, hour_sin]
  timestamp_column: datetime
  resolution_min: 15
  data_split: [0.7, 0.2]
  fewshot_percent: 12.5
  scaler_type: minmax
training:
  batch_size: 32
  learning_rate: 0.002
  num_epochs: 7
  max_steps: 90
  use_cpu: true
  loss: mae
  resume_dir: null
  dataloader_num_workers: 2
  warmup_ratio: 0.05
  early_stopping_patience: 4
  metric_for_best_model: eval_loss
  greater_is_better: false
  gradient_clip_val: 1.0
  gradient_accumulation_steps: 2
  freeze_backbone: true
  seed: 11
  gradient_checkpointing: true
hardware: {expected_gpu_type: L40S, mixed_precision: true}
optimization: {scheduler: cosine, scheduler_params: {T_max: 20}, optimizer: sgd, optimizer_params: {weight_decay: 0.03}}
evaluation: {eval_frequency: 40, eval_batch_size: 64, metrics: [mse, custom]}
logging: {debug_mode: false, log_level: info, report_to: [mlflow]}
output: {save_dir: old_runs, save_metrics: true, metrics_format: json, checkpoint_frequency: 80, log_frequency: 5}
"""
#: The keys of SECTIONED whose values are in the new file, by where they are.
TRANSLATED = {
    "model.path": ("model", "checkpoint", "some/weights"),
    "model.context_length": ("task", "context_length", 96),
    "model.forecast_length": ("task", "prediction_length", 24),
    "data.loader_type": ("data", "source", "p_num_full"),
    "data.y_feature": ("task", "unit", "mmol/L"),
    "data.resolution_min": ("task", "freq", "15min"),
    "data.data_split": ("split", "temporal_holdout", 0.2),
    "data.fewshot_percent": ("data", "fewshot_percent", 12.5),
    "training.batch_size": ("training", "batch_size", 64),  # two passes of 32 windows
    "training.freeze_backbone": ("training", "strategy", "head"),
    "training.gradient_accumulation_steps": ("training", "gradient_accumulation_steps", 2),
    "training.gradient_checkpointing": ("training", "gradient_checkpointing", True),
    "training.gradient_clip_val": ("training", "max_grad_norm", 1.0),
    "training.learning_rate": ("training", "learning_rate", 0.002),
    "training.num_epochs": ("training", "num_epochs", 7),
    "training.max_steps": ("training", "max_steps", 90),
    "training.use_cpu": ("runtime", "device", "cpu"),
    "training.loss": ("training", "loss", "mae"),
    "training.warmup_ratio": ("training", "warmup", 0.05),
    "training.early_stopping_patience": ("training", "early_stopping", {"patience": 4, "metric": "loss"}),
    "training.metric_for_best_model": ("training", "early_stopping", {"patience": 4, "metric": "loss"}),
    "training.seed": ("seed", None, 11),
    "optimization.scheduler": ("training", "schedule", "cosine"),
    "optimization.optimizer_params.weight_decay": ("training", "weight_decay", 0.03),
    "evaluation.eval_frequency": ("training", "save_every", 40),
    "evaluation.eval_batch_size": ("runtime", "batch_size", 64),
    "output.save_dir": ("output", "root", "old_runs"),
    "logging.report_to": ("tracking", None, ["mlflow"]),
}
FLAT = """\
model_path: some/weights
context_length: 96
forecast_length: 24
training_mode: from_scratch
freeze_backbone: false
learning_rate: 5.0e-4
batch_size: 16
num_epochs: 3
warmup_steps: 2000
weight_decay: 0.01
input_features: []
target_features: [bg_mM]
scaler_type: standard
resolution_min: 5
split_config: {train: 0.9, val: 0.05, test: 0.05}
num_output_channels: 1
fp16: true
loss_function: mse
"""


@pytest.fixture
def migrated(tmp_path):
    """Return ``migrated(text, **options)``."""

    def of(text, **options):
        path = tmp_path / "old.yaml"
        path.write_text(text)
        return migrate(load_file(path), **options)

    return of


def leaves(value, above=""):
    for key, below in value.items():
        name = f"{above}{key}"
        if isinstance(below, dict) and name != "split_config":
            yield from leaves(below, f"{name}.")
        else:
            yield name


@pytest.mark.parametrize("key", TRANSLATED)
def test_a_key_is_translated(migrated, key):
    section, name, value = TRANSLATED[key]
    config = migrated(SECTIONED).config
    assert (config[section] if name is None else config[section][name]) == value


def test_every_key_of_the_sectioned_layout_is_translated_or_named(migrated):
    named = {note.partition(": ")[0] for note in migrated(SECTIONED).notes}
    assert set(leaves(yaml.safe_load(SECTIONED))) == set(TRANSLATED) | named


def test_every_key_of_the_flat_layout_is_translated_or_named(migrated):
    found = migrated(FLAT)
    assert found.config["training"] == {
        "strategy": "from_scratch",
        "num_epochs": 3,
        "batch_size": 16,
        "learning_rate": 5e-4,
        "weight_decay": 0.01,
        "schedule": "linear",
        "loss": "mse",
        "max_grad_norm": 1.0,
    }
    assert found.config["runtime"] == {"precision": "fp16"}
    assert found.config["split"] == {"temporal_holdout": 0.05, "validation": pytest.approx(0.05 / 0.95, abs=1e-6)}
    assert "model" not in found.config
    assert "data" not in found.config
    named = {note.partition(": ")[0] for note in found.notes}
    same = {"context_length", "forecast_length", "training_mode", "learning_rate", "batch_size", "num_epochs"}
    same |= {
        "weight_decay",
        "input_features",
        "target_features",
        "resolution_min",
        "split_config",
        "loss_function",
        "fp16",
    }
    # what the file leaves out and the old code decided is named too
    assert named == set(leaves(yaml.safe_load(FLAT))) - same | {
        "training.scheduler",
        "training.gradient_clip_val",
        "data.source_name",
    }


def test_what_cannot_be_known_at_the_cutoff_becomes_past(migrated):
    task = migrated(SECTIONED).config["task"]
    assert task["past_covariates"] == ["steps", "iob", "heart_rate"]
    assert task["known_covariates"] == ["hour_sin"]
    assert any(
        note.startswith("data.x_features: steps, iob, heart_rate are past") for note in migrated(SECTIONED).notes
    )


@pytest.mark.parametrize(
    ("given", "split"),
    [
        ("[0.7, 0.2]", {"temporal_holdout": 0.2, "validation": 0.125}),
        ("[0.6, 0.2, 0.2]", {"temporal_holdout": 0.2, "validation": 0.25}),
        ("{train: 0.5, valid: 0.3, test: 0.2}", {"temporal_holdout": 0.2, "validation": 0.375}),
    ],
)
def test_shares_become_shares_of_what_is_left(migrated, given, split):
    found = migrated(SECTIONED.replace("[0.7, 0.2]", given))
    assert found.config["split"] == split
    assert not any(note.startswith("data.data_split") for note in found.notes)


def test_a_choice_on_the_test_part_is_not_taken_over(migrated):
    found = migrated(SECTIONED.replace("[0.7, 0.2]", "[0.9, 0.1]"))
    assert found.config["split"] == {"temporal_holdout": 0.1, "validation": 0.1}
    said = [note for note in found.notes if note.startswith("data.data_split: [0.9, 0.1] leaves nothing to choose")]
    assert len(said) == 1
    zero_shot = migrated(
        SECTIONED.replace("[0.7, 0.2]", "[0.9, 0.1]").replace("use_cpu", "strategy: zero_shot\n  use_cpu")
    )
    assert zero_shot.config["split"] == {"temporal_holdout": 0.1}
    assert zero_shot.config["training"] == {"strategy": "zero_shot"}
    assert "training.num_epochs: 7 has no place: zero_shot trains nothing" in zero_shot.notes


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("[0.7, 0.2]", "[0.9, 0.3]", "old.yaml:10: data.data_split is [0.9, 0.3], which adds up to 1.2; make it 1"),
        ("[0.7, 0.2]", "[0.7, 0.2, 0.05]", "old.yaml:10: data.data_split is [0.7, 0.2, 0.05], which adds up to 0.95"),
        ("[0.7, 0.2]", "[1.0]", "old.yaml:10: data.data_split is [1.0]; give shares such as"),
        ("[0.7, 0.2]", "[0.7, 0.0]", "something must be trained on, and something held out"),
        ("[0.7, 0.2]", "{train: 0.7, dev: 0.3}", "old.yaml:10: data.data_split is {'train': 0.7, 'dev': 0.3}; give"),
        ("[bg_mM]", "[bg_mM, iob]", "old.yaml:6: data.y_feature names bg_mM, iob: one target is forecast; keep one"),
        ("[bg_mM]", "[gl]", "old.yaml:6: data.y_feature is 'gl', which does not say its unit; add --unit mg/dL"),
        (
            "batch_size: 32",
            "batch_size: many",
            "old.yaml:14: training.batch_size is 'many', not a whole number of 1 or",
        ),
        ("batch_size: 32", "batch_size: true", "old.yaml:14: training.batch_size is True, not a whole number"),
        ("fewshot_percent: 12.5", "fewshot_percent: 0", "old.yaml:11: data.fewshot_percent is 0; give more than 0"),
        ("loader_type: cache", "loader_type: raw\n  x: 1", None),
        (
            "source_name: kaggle_brisT1D\n  loader_type: cache",
            "source_name: none_such\n  loader_type: raw",
            "no reader",
        ),
        ("loss: mae", "strategy: half", "old.yaml:19: training.strategy is 'half'; known: fine_tune"),
    ],
)
def test_what_cannot_be_translated_is_refused_with_its_line(migrated, was, now, said):
    text = SECTIONED.replace(was, now)
    assert text != SECTIONED
    if said is None:
        assert migrated(text).config["data"]["source"] == "brist1d"
        return
    with pytest.raises(ConfigError) as caught:
        migrated(text)
    assert said in str(caught.value)


def test_a_tracker_that_is_not_known_is_named(migrated):
    found = migrated(SECTIONED.replace("[mlflow]", "[codecarbon, wandb]"))
    assert found.config["tracking"] == ["wandb"]
    assert any(note.startswith("logging.report_to: codecarbon has no place") for note in found.notes)
    assert "tracking" not in migrated(SECTIONED.replace("[mlflow]", "none")).config


def test_a_unit_is_given_where_the_name_does_not_say_it(migrated):
    assert migrated(SECTIONED.replace("bg_mM", "gl"), unit="mg/dL").config["task"]["unit"] == "mg/dL"
    assert migrated(SECTIONED.replace("bg_mM", "glucose_mg_dl")).config["task"]["unit"] == "mg/dL"
    with pytest.raises(ConfigError, match="stone"):
        migrated(SECTIONED, unit="stone")


def test_two_names_of_one_key_are_both_named(migrated):
    found = migrated(SECTIONED.replace("  gradient_checkpointing: true", "  loss_function: huber"))
    assert found.config["training"]["loss"] == "mae"
    assert "training.loss_function: 'huber' is not used: the file says training.loss too" in found.notes


def test_the_command_writes_a_file_that_resolves(tsfm, tmp_path):
    (tmp_path / "old.yaml").write_text(SECTIONED)
    answer = tsfm("config", "migrate", "old.yaml", "--output", "new.yaml")
    assert answer.code == 0, answer
    assert answer.err.endswith("the configuration is written: new.yaml\n")
    text = (tmp_path / "new.yaml").read_text()
    comments = " ".join(line[1:].strip() for line in text.splitlines() if line.startswith("#"))
    for sentence in answer.err.splitlines()[:-1]:
        assert " ".join(sentence.split()) in comments
    resolved = read_config(tmp_path / "new.yaml")
    assert resolved.config.experiment == "base_line_1"
    assert json.loads(json.dumps(resolved.tree.value)) == migrate(load_file(tmp_path / "old.yaml")).config
    again = tsfm("config", "migrate", "old.yaml", "--output", "new.yaml")
    assert (again.code, (tmp_path / "new.yaml").read_text()) == (1, text)
    assert "new.yaml is already there" in again.err
    printed = tsfm("config", "migrate", "old.yaml")
    assert printed.out == text


def test_a_file_of_today_is_no_old_one(tsfm, tmp_path):
    (tmp_path / "today.yaml").write_text("experiment: a\nsplit: {temporal_holdout: 0.2}\n")
    answer = tsfm("config", "migrate", "today.yaml")
    assert answer.code == 1
    assert "this is not the old layout" in answer.err
    assert is_old_layout(load_file(tmp_path / "today.yaml")) is False
