"""Each tracker is told what the run's own files say, and nothing else; read back by the tracker's own reader."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto import wandb_internal_pb2

from tsfm_core import CapabilityError, ConfigError, TsfmError, backtest, train
from tsfm_core.run import Run, list_runs
from tsfm_core.tracking import chosen_trackers, tracked

#: A tracker's own dependencies may be ahead of it: what they warn of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")

FILES = ("config.yaml", "run.json", "metrics.json", "results.txt")


@pytest.fixture(scope="module")
def run(training: dict[str, Any]) -> Run:
    return train("ttm", training)


@pytest.fixture(scope="module")
def scores(run: Run) -> dict[str, float]:
    sets = json.loads(run.metrics_path.read_text())["sets"]
    return {f"{name}/{metric}": score for name, one in sets.items() for metric, score in one["overall"].items()}


@pytest.fixture(scope="module")
def client(training: dict[str, Any]) -> MlflowClient:
    return MlflowClient(f"sqlite:///{training['output']['root']}/mlflow.db")


def history(client: MlflowClient, run_id: str, name: str) -> list[tuple[int, float]]:
    return [(one.step, one.value) for one in client.get_metric_history(run_id, name)]


def wandb_records(folder: Path) -> list[Any]:
    """Read the file of an offline run: a header of 7 bytes, then LevelDB's log format, whose blocks are 32 KiB."""
    (path,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    data, at, parts, records = path.read_bytes(), 7, b"", []
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # no header fits: the block is filled up
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            records.append(record)
            parts = b""
    return records


def wandb_history(records: list[Any], name: str) -> list[tuple[int, float]]:
    found = []
    for record in records:
        if record.WhichOneof("record_type") == "history":
            row = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            if name in row:
                found.append((row["train/global_step"], row[name]))
    return found


def test_mlflow_is_told_what_the_log_says(run: Run, scores: Any, client: MlflowClient, lines_of: Any) -> None:
    run_id = run.facts["tracking"]["mlflow"]["id"]
    told = client.get_run(run_id)
    assert told.info.status == "FINISHED"
    assert told.info.run_name == run.path.name
    assert client.get_experiment(told.info.experiment_id).name == "ttm/tracked"
    lines = lines_of(run.training_log)
    losses = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    assert [step for step, _ in losses] == [1, 2, 3, 4, 5, 6]
    assert history(client, run_id, "loss") == losses
    judged = [(line["step"], line["validation"]["rmse"]) for line in lines if "validation" in line]
    assert [step for step, _ in judged] == [3, 6]
    assert history(client, run_id, "eval_rmse") == judged
    assert {name: told.data.metrics[name] for name in scores} == scores
    assert told.data.params["training.batch_size"] == "16"
    assert told.data.params["data.path"] == "${TRACKED_DATA}/data.csv"
    assert sorted(one.path for one in client.list_artifacts(run_id)) == sorted(FILES)
    for name in FILES[:1] + FILES[2:]:
        kept = Path(client.download_artifacts(run_id, name))
        assert kept.read_bytes() == (run.path / name).read_bytes()


def test_tensorboard_is_told_the_same(run: Run, scores: Any, lines_of: Any) -> None:
    events = EventAccumulator(str(run.training_log.parent / "tensorboard"))
    events.Reload()
    lines = lines_of(run.training_log)
    losses = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    told = [(one.step, one.value) for one in events.Scalars("train/loss")]
    assert [step for step, _ in told] == [step for step, _ in losses]
    assert [value for _, value in told] == pytest.approx([loss for _, loss in losses], rel=1e-6)
    assert [one.step for one in events.Scalars("eval/rmse")] == [3, 6]
    for name, score in scores.items():
        assert events.Scalars(name)[0].value == pytest.approx(score, rel=1e-6)
    texts = {tag.removesuffix("/text_summary") for tag in events.Tags()["tensors"]}
    assert set(FILES) | {"args"} == texts


def test_wandb_is_told_the_same_and_calls_nobody(run: Run, scores: Any, lines_of: Any, callers: Any) -> None:
    records = wandb_records(run.training_log.parent)
    lines = lines_of(run.training_log)
    losses = [(line["step"], pytest.approx(line["loss"])) for line in lines if "loss" in line]
    assert wandb_history(records, "train/loss") == losses
    assert [step for step, _ in wandb_history(records, "eval/rmse")] == [3, 6]
    summary = {}
    for record in records:
        if record.WhichOneof("record_type") == "summary":
            summary |= {item.key: json.loads(item.value_json) for item in record.summary.update if item.key}
    assert {name: summary[name] for name in scores} == scores
    assert summary["status"] == "completed"
    kinds = {record.WhichOneof("record_type") for record in records}
    kept = [record for record in records if record.WhichOneof("record_type") == "request"]
    assert "artifact" in kinds or any(one.request.WhichOneof("request_type") == "log_artifact" for one in kept)
    opened = next(record.run for record in records if record.WhichOneof("record_type") == "run")
    assert (opened.run_id, opened.display_name) == (run.facts["tracking"]["wandb"]["id"], run.path.name)
    assert callers[1] == []


def test_no_tracker_gets_a_secret_or_weights(run: Run, training: dict[str, Any]) -> None:
    secret = Path(os.environ["TRACKED_DATA"]).name.encode()
    root = Path(training["output"]["root"])
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_relative_to(run.path)]
    files += [path for path in run.training_log.parent.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files)
    assert any(path.suffix == ".db" for path in files)
    for path in files:
        assert secret not in path.read_bytes(), path
        assert path.suffix != ".safetensors"


def test_what_trains_nothing_is_told_of_by_its_scores(config: dict[str, Any], client: MlflowClient) -> None:
    run = backtest("naive", config | {"tracking": ["mlflow"]})
    told = client.get_run(run.facts["tracking"]["mlflow"]["id"])
    assert run.metrics
    sets = run.metrics["sets"]
    assert told.data.metrics == {
        f"{name}/{one}": sets[name]["overall"][one] for name in sets for one in ("rmse", "mae")
    }
    assert told.info.status == "FINISHED"
    assert not mlflow.is_tracking_uri_set()  # what a notebook has set up stays as it was


def test_a_run_that_goes_on_is_the_same_one_and_each_step_is_told_once(
    config: dict[str, Any], client: MlflowClient, lines_of: Any, callers: Any
) -> None:
    run = Run.create(Path(config["output"]["root"]), "ttm", "resumed", {}, config)
    trackers = chosen_trackers(["mlflow", "wandb", "tensorboard"])

    def write(first: int, last: int) -> None:
        with run.training_log.open("a") as file:
            for step in range(first, last + 1):
                line = {"step": step, "epoch": step / 10, "learning_rate": 0.1, "seconds": 0.1, "loss": 1 / step}
                file.write(json.dumps(line) + "\n")

    with pytest.raises(KeyboardInterrupt), tracked(run, trackers):
        write(1, 5)
        run.update(status="interrupted")
        raise KeyboardInterrupt
    before = run.facts["tracking"]
    assert client.get_run(before["mlflow"]["id"]).info.status == "KILLED"
    # a resumed training goes on from its checkpoint at step 3, and does 4 and 5 again
    kept = run.training_log.read_text().splitlines(keepends=True)[:3]
    run.training_log.unlink()
    run.training_log.write_text("".join(kept))
    with pytest.raises(ValueError, match="loss"), tracked(run, trackers):
        write(4, 8)
        run.update(status="failed")
        raise ValueError("loss")
    assert run.facts["tracking"] == before
    told = client.get_run(before["mlflow"]["id"])
    assert told.info.status == "FAILED"
    losses = [(step, 1 / step) for step in range(1, 9)]
    assert history(client, told.info.run_id, "loss") == losses
    assert told.data.params["experiment"] == "tracked"
    events = EventAccumulator(str(run.training_log.parent / "tensorboard"))
    events.Reload()
    assert [one.step for one in events.Scalars("train/loss")] == [step for step, _ in losses]
    parts = sorted(run.training_log.parent.glob("wandb/offline-run-*"))
    assert [part.name.rpartition("-")[2] for part in parts] == [before["wandb"]["id"]] * 2
    assert callers[1] == []


def test_a_tracker_that_cannot_be_opened_ends_the_run_before_it_begins(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    given = config | {"experiment": "unreachable", "tracking": ["tensorboard", "mlflow"]}
    with pytest.raises(TsfmError, match="mlflow cannot be opened: .*; leave it out of tracking, or set it up"):
        backtest("naive", given)
    (run,) = (one for one in list_runs(Path(config["output"]["root"])) if one.path.parent.name == "unreachable")
    assert run.status == "failed"
    assert run.facts["error"].startswith("mlflow cannot be opened")
    assert not run.forecasts_path.exists()


def test_wandb_without_an_account_is_refused_rather_than_asked_for(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_MODE")
    with pytest.raises(CapabilityError, match="no account of it is known here; export WANDB_MODE=offline"):
        backtest("naive", config | {"experiment": "without", "tracking": ["wandb"]})
    assert not (Path(config["output"]["root"]) / "naive" / "without").exists()


def test_tracking_is_a_list_of_names(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="tracking is 'mlflow'"):
        backtest("naive", config | {"tracking": "mlflow"})
