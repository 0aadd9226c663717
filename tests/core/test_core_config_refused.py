"""Configurations that are refused: one sentence with the file and line or the flag, the value, and the way out."""

import pytest

TASK = "{target: glucose, unit: mg/dL, freq: 5min, context_length: 12, prediction_length: 6}"
GOOD = f"""\
experiment: bad
task: {TASK}
data: {{source: csv, path: data.csv}}
split: {{temporal_holdout: 0.3}}
evaluation: {{metrics: [], baselines: []}}
"""


@pytest.fixture
def backtest(refused, readings, tmp_path):
    """Return ``backtest(*settings, config=GOOD, model=...)``: the sentence with which good data is refused."""
    readings().to_csv(tmp_path / "data.csv", index=False)

    def run(*settings, config=GOOD, model="naive", command="backtest"):
        path = tmp_path / "c.yaml"
        path.write_bytes(config if isinstance(config, bytes) else config.encode())
        return refused(command, model, "--config", "c.yaml", *(part for one in settings for part in ("--set", one)))

    return run


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("taks.freq=5min", "--set taks.freq: taks is no key of the configuration; did you mean 'task'?"),
        ("task.freqq=5min", "--set task.freqq: freqq is no key of task; did you mean 'freq'?"),
        ("data.pth=x", "pth is no key of data; did you mean 'path'?"),
        ("split.temporal=0.2", "did you mean 'temporal_holdout'?"),
        ("evaluation.metric=[]", "metric is no key of evaluation; did you mean 'metrics'?"),
        ("runtime.precision=fp16", "runtime.precision is fp16, and tsfm backtest trains nothing; set it to fp32"),
        ("output.rot=x", "did you mean 'root'?"),
        ("model.lags=3", "--set model.lags: lags is no key of model; model has no keys here"),
        ("training.epochs=3", "epochs is no key of training; known: strategy"),
        ("task.context_length='12'", "task.context_length is '12': input should be a valid integer"),
        ("task.context_length=true", "task.context_length is True: input should be a valid integer"),
        ("task.context_length=12.0", "task.context_length is 12.0"),
        ("task.prediction_length=0", "task.prediction_length is 0: input should be greater than or equal to 1"),
        ("task.prediction_length=[6]", "task.prediction_length is [6]"),
        ("task.quantile_levels=0.5", "task.quantile_levels is 0.5: input should be a valid array"),
        ("task.quantile_levels=[0, 0.5]", "strictly between 0 and 1"),
        ("task.quantile_levels=[0.9, 0.1]", "ascending"),
        ("task.quantile_levels=[a]", "task.quantile_levels.0 is 'a'"),
        ("task.unit=mg/dl", "--set task.unit: task.unit is 'mg/dl'"),
        ("data.unit=mg/dl", "--set data.unit: data.unit is 'mg/dl'"),
        ("data.unit=", "data.unit is ''"),
        ("task.freq=5T", "write a number and one of s, min, h, D, such as 5min"),
        ("task.past_covariates=steps", "task.past_covariates is 'steps': input should be a valid array"),
        ("task.past_covariates=[steps]", "naive does not use past_covariates (steps); set task.past_covariates: []"),
        ("task.known_covariates=[hour]", "naive does not use known_covariates (hour)"),
        ("task.freq.x=5", "task.freq is a value, not a section"),
        ("task.quantile_levels.0=0.1", "task.quantile_levels is {'0': 0.1}: input should be a valid array"),
        ("task=null", "tsfm backtest needs the section 'task'; add 'task:' to the config or use --set"),
        ("data=null", "needs the section 'data'"),
        ("split=null", "needs the section 'split'"),
        ("split={}", "the split holds nothing out; give split.temporal_holdout or split.patient_holdout"),
        ("split={patient_holdout: []}", "the split holds nothing out"),
        ("split.temporal_holdout=5", "split.temporal_holdout is 5: input should be less than 1"),
        ("split.temporal_holdout='0.2'", "split.temporal_holdout is '0.2'"),
        ("split.temporal_holdout=soon", "a date or a date and time"),
        ("split.temporal_holdout=2024-01-01T05:00Z", "without an offset from UTC"),
        ("split.temporal_holdout=true", "split.temporal_holdout is True"),
        ("split.patient_holdout=a", "split.patient_holdout is 'a'"),
        ("split.patient_holdout=1", "split.patient_holdout is 1"),
        ("split.validation=1", "split.validation is 1: input should be less than 1"),
        ("data.start={a: 5}", "data.start.a is 5: input should be a date"),
        ("data.start={a: 2024-01-01T00:00+01:00}", "without an offset from UTC"),
        ("data.columns=[a]", "data.columns is ['a']: input should be an object"),
        ("data.columns.targt=x", "data.columns.targt is no role or covariate of this task; did you mean 'target'?"),
        ("data.duplicates=first", "data.duplicates is 'first'"),
        ("data.unsorted=yes", "data.unsorted is 'yes': input should be 'refuse' or 'sort'"),
        ("data.max_gap=soon", "--set data.max_gap: data.max_gap is 'soon': 'soon' is not a fixed step"),
        ("data.max_gap=1min", "data.max_gap 1min is shorter than one step of 5min; give at least one step"),
        ("data.min_context=13", "data.min_context 13 is longer than task.context_length 12"),
        ("data.min_context=0", "greater than or equal to 1"),
        ("data.min_observed=1.5", "data.min_observed is 1.5"),
        ("data.stride=0", "data.stride is 0"),
        ("data.source=cvs", "no dataset is called 'cvs'"),
        ("data.path=${NOT_SET}", "data.path needs the environment variable NOT_SET, which is not set; set it: export"),
        ("data.path=", "data.source csv needs data.path; name the file"),
        ("data.path=.", ". is a folder, not a file; check data.path"),
        ("evaluation.metrics=[rsme]", "no metric is called 'rsme'"),
        ("evaluation.metrics=rmse", "evaluation.metrics is 'rmse': input should be a valid array"),
        ("evaluation.protocol=slidng", "no protocol is called 'slidng'"),
        ("evaluation.baselines=[niave]", "no model is called 'niave'"),
        ("evaluation.stride=0", "evaluation.stride is 0"),
        ("evaluation.seasonality=0", "evaluation.seasonality is 0"),
        ("seed=-1", "seed is -1"),
        ("seed=1.5", "seed is 1.5"),
        ("experiment=../x", "experiment is '../x': string should match pattern"),
        ("experiment=.x", "experiment is '.x'"),
        ("experiment=" + "x" * 300, "at most 100 characters"),
        ("output.root=data.csv", "data.csv/naive/bad cannot be made: Not a directory; check output.root"),
        ("output.root=", "output.root is ''"),
        ("runtime.batch_size=0", "runtime.batch_size is 0"),
        ("runtime.device=5", "runtime.device is 5"),
        ("model.checkpoint=5", "model.checkpoint is 5, not a name"),
        ("model.checkpoint=x", "naive has no weights; model.checkpoint is 'x'; leave it out"),
        ("training.strategy=full", "training.strategy is 'full': input should be 'zero_shot'"),
        ("no_equals_sign", "--set 'no_equals_sign' is not of the form a.b=value"),
        ("=5", "is not of the form a.b=value"),
        ("task..freq=5", "is not of the form a.b=value"),
        ("task.freq=[", "--set 'task.freq=['"),
        ("task=!include x.yaml", "--set task: !include works in files only"),
        ("task.freq=!!python/name:os.system", "the tag tag:yaml.org,2002:python/name:os.system is not known"),
    ],
)
def test_a_value_that_cannot_be(backtest, setting, said):
    assert said in backtest(setting)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("", "needs the section 'task'"),
        ("# nothing\n", "needs the section 'task'"),
        ("- a\n- b\n", "c.yaml:1: a configuration is a mapping of sections"),
        ("hello", "c.yaml:1: a configuration is a mapping of sections"),
        ("null", "c.yaml:1: a configuration is a mapping of sections"),
        (GOOD + "x: [1,\n", "c.yaml:7: expected the node content"),
        (GOOD + "\tx: 1\n", "c.yaml:6: found character"),
        (GOOD + "---\nx: 1\n", "c.yaml:6: but found another document"),
        (GOOD + "experiment: b\n", "c.yaml:6: experiment is given twice"),
        (GOOD.replace("freq: 5min", "freq: 5min, freq: 5min"), "c.yaml:2: freq is given twice"),
        (
            GOOD + "seed: !!python/object/apply:os.system [touch was_run]\n",
            "c.yaml:6: the tag tag:yaml.org,2002:python",
        ),
        (GOOD + "runtime: !!python/object:os.x {device: cpu}\n", "c.yaml:6: the tag"),
        (GOOD + "runtime: !thing {device: cpu}\n", "c.yaml:6: the tag !thing is not known; the only one is !include"),
        (GOOD + "seed: !!int abc\n", "c.yaml:6: 'abc' is no int"),
        (GOOD + "seed: !!bool abc\n", "c.yaml:6: 'abc' is no bool"),
        (GOOD + f"seed: {'9' * 5000}\n", "c.yaml:6: '999"),
        (GOOD + "model: &a {x: *a}\n", "c.yaml: an alias stands inside its own anchor"),
        (GOOD + f"model: {'[' * 1000}{']' * 1000}\n", "c.yaml is nested too deeply"),
        (GOOD + "seed: *x\n", "c.yaml:6: found undefined alias"),
        (GOOD + "<<: 5\n", "c.yaml:6: << needs a mapping"),
        (GOOD + "5: 1\n", "c.yaml:6: 5 is no key of the configuration"),
        (GOOD + "task.freq: 5min\n", "c.yaml:6: task.freq is no key of the configuration"),
        (GOOD + "model: 5\n", "c.yaml:6: model is 5: input should be an object"),
        (GOOD.replace("split: {temporal_holdout: 0.3}", "split: [a]"), "c.yaml:4: split is ['a']"),
        (GOOD.replace("0.3", "1e999"), "c.yaml:4: split.temporal_holdout is inf"),
        (
            GOOD.replace("path: data.csv", "path: '${NOT_SET}'"),
            "c.yaml:3: data.path needs the environment variable NOT_SET",
        ),
        (GOOD.encode() + b"# \xe9\n", "c.yaml cannot be read: 'utf-8'"),
        (GOOD.encode() + b"\0", "c.yaml:1: unacceptable character"),
    ],
)
def test_a_file_that_is_no_configuration(backtest, config, said, tmp_path):
    assert said in backtest("evaluation.metrics=[]", config=config)  # the defaults are those of another package
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize(
    ("included", "said"),
    [
        ("split.yaml", "c.yaml:4: split.yaml does not exist; did you mean 'splits.yaml'?"),
        ("splits.yaml", "splits.yaml:2: temporal_holdot is no key of split; did you mean 'temporal_holdout'?"),
        ("c.yaml", "c.yaml:4: includes go in a circle: c.yaml -> c.yaml"),
        ("one.yaml", "two.yaml:1: includes go in a circle: one.yaml -> two.yaml -> one.yaml"),
        ("../outside.yaml", "c.yaml:4: !include ../outside.yaml leaves the config root"),
        ("sub/../../outside.yaml", "leaves the config root"),
        ("/etc/hostname", "!include /etc/hostname leaves the config root"),
        ("link.yaml", "!include link.yaml leaves the config root"),
        ("loop.yaml", "loop.yaml cannot be read"),
        (".", "cannot be read"),
        ("", "!include needs a relative path"),
        ("[a]", "!include needs a relative path"),
    ],
)
def test_an_include_that_cannot_be(backtest, included, said, tmp_path):
    (tmp_path / "splits.yaml").write_text("# a comment\ntemporal_holdot: 0.3\n")
    (tmp_path / "one.yaml").write_text("a: !include two.yaml\n")
    (tmp_path / "two.yaml").write_text("a: !include one.yaml\n")
    outside = tmp_path.parent / "outside.yaml"
    outside.write_text("temporal_holdout: 0.3\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.yaml").symlink_to(outside)
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    assert said in backtest(config=GOOD.replace("{temporal_holdout: 0.3}", f"!include {included}"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("backtest", "naive", "--set", "evaluation.metrics=[]"), "tsfm backtest needs the section 'task'"),
        (("backtest", "naive", "--config", "cc.yaml"), "cc.yaml does not exist; did you mean 'c.yaml'?"),
        (("backtest", "naive", "--config", "."), "cannot be read"),
        (("backtest", "niave", "--config", "c.yaml"), "no model is called 'niave'"),
        (("backtest", "", "--config", "c.yaml"), "no model is called ''"),
        (("backtest", "../naive", "--config", "c.yaml"), "there is no run '../naive'"),
        (
            ("backtest", "linear", "--config", "c.yaml"),
            "tsfm backtest trains nothing, and training.strategy is 'from_scratch'",
        ),
        (("backtest", "linear", "--config", "c.yaml", "--checkpoint", "x"), "x is no checkpoint of linear"),
        (
            ("train", "naive", "--config", "c.yaml"),
            "naive trains nothing with the strategy 'zero_shot'; use tsfm backtest naive",
        ),
        (("train", "linear", "--config", "c.yaml", "--checkpoint", "x"), "from_scratch starts without weights"),
        (
            ("train", "linear", "--config", "c.yaml", "--num-epochs", "3"),
            "--num-epochs: num_epochs is no key of training",
        ),
        (
            ("train", "linear", "--config", "c.yaml", "--set", "model.lags=13"),
            "model.lags 13 is longer than the context of 12",
        ),
        (("train", "linear", "--config", "c.yaml", "--set", "training.ridge=0"), "training.ridge is 0"),
        (("train", "linear", "--config", "c.yaml", "--set", "training.ridge=1e999"), "training.ridge is inf"),
        (("data", "check", "data.csv"), "tsfm data check data.csv needs the section 'task'"),
        (("data", "check", "nope", "--config", "c.yaml"), "no dataset is called 'nope'"),
        (("config", "show", "--config", "cc.yaml"), "cc.yaml does not exist"),
        (("config", "show", "--set", "sed=3"), "--set sed: sed is no key of the configuration; did you mean 'seed'?"),
        (
            ("config", "show", "--model", "linear", "--set", "model.lag=3"),
            "lag is no key of model; did you mean 'lags'?",
        ),
    ],
)
def test_a_command_that_cannot_be(backtest, refused, arguments, said, tmp_path):
    (tmp_path / "c.yaml").write_text(GOOD)
    assert said in refused(*arguments)


def test_a_folder_named_like_a_model_is_not_taken_for_a_run(backtest, tmp_path):
    (tmp_path / "naive").mkdir()
    assert "data.items names zz" in backtest("data.items=[zz]")


@pytest.mark.parametrize(
    "arguments", [("train",), ("train", "linear", "--nope"), ("train", "linear", "--seed", "x"), ("nope",)]
)
def test_wrong_usage_is_exit_2(tsfm, arguments):
    answer = tsfm(*arguments)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith("Usage: ")
