"""What a configuration resolves to: files, includes, variables, settings, flags; and where each value came from."""

import json
from datetime import datetime

import pytest
import yaml

from tsfm_core.baselines.schema import LinearTraining
from tsfm_core.config.loader import parse_setting
from tsfm_core.config.resolve import read_config
from tsfm_core.config.schema import Config
from tsfm_core.config.tree import Origin

TASK = "{target: glucose, unit: mg/dL, freq: 5min, context_length: 12, prediction_length: 6}"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return ``write(name, text)``, which writes a file below the folder in which the test runs."""
    monkeypatch.chdir(tmp_path)

    def written(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return written


def test_without_a_file_every_value_is_a_default():
    assert read_config(None).config == Config()


def test_the_layers_defaults_file_settings_flags(write):
    path = write(
        "c.yaml", "seed: 1\nexperiment: file\nevaluation: {stride: 2, metrics: [rmse]}\nruntime: {device: cpu}\n"
    )
    resolved = read_config(
        path, ["seed=2", "evaluation.stride=3", "evaluation.stride=4"], {"seed": 5, "experiment": None}
    )
    config = resolved.config
    assert (config.seed, config.experiment, config.evaluation.stride) == (5, "file", 4)
    assert (config.evaluation.metrics, config.evaluation.protocol) == (("rmse",), "sliding")
    origins = {".".join(key): str(resolved.tree.origin(key)) for key in resolved.tree.origins}
    assert origins["seed"] == "--seed"
    assert origins["evaluation.stride"] == "--set evaluation.stride"
    assert origins["evaluation.metrics.0"] == "c.yaml:3"
    assert origins["runtime.device"] == "c.yaml:4"


def test_a_flag_is_named_as_it_is_typed(write):
    path = write("c.yaml", "training: {ridge: 1.0}\n")
    tree = read_config(path, flags={"training.batch_size": 3}).tree
    assert tree.origin(("training", "batch_size")) == Origin("--batch-size")


def test_a_mapping_is_a_configuration_too():
    config = read_config({"seed": 3, "split": {"temporal_holdout": datetime(2024, 1, 2)}}, ["seed=4"]).config
    assert config.seed == 4
    assert config.split.temporal_holdout == datetime(2024, 1, 2)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("12", 12), ("-3", -3), ("010", 10), ("08", 8), ("1e-3", 0.001), ("1.", 1.0), (".5", 0.5), ("true", True),
        ("null", None), ("~", None), ("", ""), ("no", "no"), ("on", "on"), ("12:30", "12:30"), ("0x10", "0x10"),
        ("1_000", "1_000"), (".inf", ".inf"), ("2024-01-02", "2024-01-02"), ("'12'", "12"), ("[1, a]", [1, "a"]),
        ("{a: 1}", {"a": 1}), ("a b", "a b"), ("a=b", "a=b"), ("%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M"),
    ],
)  # fmt: skip
def test_plain_scalars_are_yaml_1_2(written, value):
    key, tree = parse_setting(f"x.y={written}")
    assert key == ("x", "y")
    assert tree.value == value
    assert type(tree.value) is type(value)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2024-01-31", datetime(2024, 1, 31)),
        ("2024-01-31T08:05", datetime(2024, 1, 31, 8, 5)),
        ("2024-01-31 08:05:09", datetime(2024, 1, 31, 8, 5, 9)),
    ],
)
def test_a_date_is_a_moment(written, moment):
    config = read_config(
        None, [f"split.temporal_holdout={written}", "data.source=csv", f"data.start.a={written}"]
    ).config
    assert config.split.temporal_holdout == moment
    assert config.data.start == {"a": moment}


def test_includes_are_relative_to_their_file_and_keep_their_lines(write):
    write("configs/tasks/t.yaml", f"# a comment\n{TASK}\n")
    write("configs/splits/s.yaml", "temporal_holdout: 0.2\npatient_holdout: !include people/p.yaml\n")
    write("configs/splits/people/p.yaml", "- u1\n- u2\n")
    path = write("configs/deep/er/c.yaml", "task: !include ../../tasks/t.yaml\nsplit: !include ../../splits/s.yaml\n")
    resolved = read_config(path)
    assert resolved.config.split.patient_holdout == ("u1", "u2")
    assert resolved.config.task.context_length == 12
    assert str(resolved.tree.origin(("task", "freq"))) == "configs/tasks/t.yaml:2"
    assert str(resolved.tree.origin(("split", "patient_holdout", "1"))) == "configs/splits/people/p.yaml:2"


def test_what_is_written_wins_over_what_is_merged(write):
    write("base.yaml", "stride: 2\nmetrics: [mae]\n")
    path = write("c.yaml", "evaluation:\n  <<: !include base.yaml\n  stride: 5\n")
    resolved = read_config(path)
    assert (resolved.config.evaluation.stride, resolved.config.evaluation.metrics) == (5, ("mae",))
    assert str(resolved.tree.origin(("evaluation", "stride"))) == "c.yaml:3"
    assert str(resolved.tree.origin(("evaluation", "metrics"))) == "base.yaml:2"
    over = read_config(write("d.yaml", "evaluation:\n  <<: !include base.yaml\n  metrics: []\n"))
    assert over.config.evaluation.metrics == ()
    assert ("evaluation", "metrics", "0") not in over.tree.origins


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbfseed: 3\r\nexperiment: x\r\n")
    config = read_config(tmp_path / "c.yaml").config
    assert (config.seed, config.experiment) == (3, "x")


def test_variables_are_filled_in_typed_where_they_stand_unquoted(write, monkeypatch):
    monkeypatch.setenv("N", "7")
    monkeypatch.setenv("WHERE", "there")
    path = write("c.yaml", "seed: ${N}\nexperiment: '${N}'\ndata: {source: csv, path: '${WHERE}/${N}.csv'}\n")
    config = read_config(path, ["data.columns.target=${N}x", "evaluation.stride=${N}"]).config
    assert (config.seed, config.experiment, config.data.path) == (7, "7", "there/7.csv")
    assert config.evaluation.stride == 7
    assert config.data.columns == {"target": "7x"}


def test_what_is_stored_resolves_to_the_same_and_holds_no_secret(write, monkeypatch):
    monkeypatch.setenv("N", "7")
    monkeypatch.setenv("SECRET", "hunter2")
    text = (
        "seed: ${N}\ndata: {source: csv, path: 'x/${SECRET}.csv', start: {a: 2024-01-31}}\nmodel: {key: '${SECRET}'}\n"
    )
    resolved = read_config(write("c.yaml", f"{text}task: {TASK}\nsplit: {{temporal_holdout: 2024-02-01}}\n"))
    stored = yaml.safe_dump(resolved.stored(), sort_keys=False)
    assert "hunter2" not in stored
    assert stored.count("${SECRET}") == 2
    again = read_config(write("stored.yaml", stored))
    assert again.config == resolved.config
    assert again.stored() == resolved.stored()


def test_stored_paths_no_longer_depend_on_the_folder(write, tmp_path):
    write("cgm.csv", "x\n")
    stored = read_config({"data": {"source": "csv", "path": "cgm.csv"}, "model": {"checkpoint": "org/name"}}).stored()
    assert stored["data"]["path"] == str(tmp_path / "cgm.csv")
    assert stored["model"]["checkpoint"] == "org/name"


def test_a_backends_section_is_its_own_class_with_its_defaults():
    resolved = read_config({"training": {"ridge": 2.5}})
    assert resolved.section("training", LinearTraining) == LinearTraining(ridge=2.5)
    assert read_config(None).section("training", LinearTraining).ridge == 1.0


def test_sections_of_one_configuration_stand_in_for_those_of_another():
    own = read_config({"seed": 1, "task": yaml.safe_load(TASK), "data": {"source": "csv", "path": "a", "stride": 3}})
    given = read_config({"seed": 2, "data": {"path": "b", "source": "parquet"}})
    replaced = given.over(read_config({"seed": 1, "data": {"source": "csv", "path": "a", "stride": 3}}).tree, ["data"])
    assert (replaced.config.seed, replaced.config.data.path, replaced.config.data.stride) == (1, "b", 1)
    merged = given.over(own.tree, ["seed"], ["data"], ["data.stride=4"], {"model.checkpoint": "best"}).config
    assert (merged.seed, merged.data.path, merged.data.source, merged.data.stride) == (2, "b", "parquet", 4)
    assert merged.model == {"checkpoint": "best"}
    assert merged.task.prediction_length == 6


def test_show_prints_every_value_with_its_origin(tsfm, tmp_path):
    (tmp_path / "c.yaml").write_text(f"task: {TASK}\nmodel:\n  lags: 3\n")
    answer = tsfm("config", "show", "--config", "c.yaml", "--set", "seed=9", "--model", "linear")
    assert answer.code == 0
    lines = [line.split("  # ") for line in answer.out.splitlines()]
    origins = {text.strip(): origin for text, *origin in lines}
    assert origins["seed: 9"] == ["--set seed"]
    assert origins["freq: 5min"] == ["c.yaml:1"]
    assert origins["lags: 3"] == ["c.yaml:3"]
    assert origins["ridge: 1.0"] == origins["root: experiments"] == ["default"]
    config = yaml.safe_load(answer.out)
    assert config["training"] == {"strategy": "from_scratch", "ridge": 1.0}
    assert Config.model_validate(config).task.prediction_length == 6


def test_schema_is_json_schema_that_knows_the_backends_keys(tsfm):
    whole = json.loads(tsfm("config", "schema", "--model", "linear").out)
    assert set(whole["properties"]) == set(Config.model_fields)
    assert set(whole["properties"]["model"]["properties"]) == {"lags", "checkpoint"}
    assert whole["properties"]["training"]["additionalProperties"] is False
    plain = json.loads(tsfm("config", "schema").out)
    assert set(plain["$defs"]["Task"]["properties"]) >= {"target", "unit", "freq", "context_length"}
