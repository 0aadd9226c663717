"""Every file under configs/ is resolved, with the model it is written for; a fragment that nobody includes fails."""

from pathlib import Path

import pytest

from tsfm_core.config.loader import load_file
from tsfm_core.config.resolve import read_config
from tsfm_core.plugins import host

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"

#: What each experiment is run with.
EXPERIMENTS = {
    "t1d_uom/naive.yaml": "naive",
    "t1d_uom/linear.yaml": "linear",
    "t1d_uom/zero_shot.yaml": "ttm",
    "t1d_uom/fine_tune.yaml": "ttm",
    "t1d_uom/lora.yaml": "ttm",
    "t1d_uom/head.yaml": "ttm",
    "t1d_uom/best.yaml": "ttm",
    "t1d_uom/nocturnal.yaml": "linear",
    "t1d_uom/nocturnal_zero_shot.yaml": "ttm",
    "t1d_uom/prandial.yaml": "linear",
    "t1d_uom/chronos_zero_shot.yaml": "chronos",
    "t1d_uom/chronos_lora.yaml": "chronos",
    "t1d_uom/chronos_bolt_zero_shot.yaml": "chronos_bolt",
    "t1d_uom/chronos_t5_zero_shot.yaml": "chronos_t5",
    "t1d_uom_lopo/naive.yaml": "naive",
    "t1d_uom_lopo/linear.yaml": "linear",
    "t1d_uom_lopo/zero_shot.yaml": "ttm",
    "t1d_uom_lopo/fine_tune.yaml": "ttm",
    "t1d_uom_lopo/r2_skip.yaml": "ttm",
    "t1d_uom_lopo/cgm.yaml": "ttm",
    "t1d_uom_lopo/cgm_fine_tune.yaml": "ttm",
    "t1d_uom_15min/zero_shot.yaml": "ttm",
    "t1d_uom_15min/cgm.yaml": "ttm",
    "t1d_uom_15min/best.yaml": "ttm",
    "t1d_uom_nights/linear.yaml": "linear",
    "t1d_uom_nights/zero_shot.yaml": "ttm",
    "t1d_uom_nights/cgm.yaml": "ttm",
    "t1d_uom_nights/best.yaml": "ttm",
    "pretrain/ttm_cgm.yaml": "ttm",
    "pretrain/ttm_r2_cgm.yaml": "ttm",
    "t1d_uom_covariates/chronos_insulin_carbs.yaml": "chronos",
    "t1d_uom_covariates/chronos_glucose_only.yaml": "chronos",
    "simglucose/naive.yaml": "naive",
    "simglucose/from_scratch.yaml": "ttm",
    "simglucose/single_gpu.yaml": "ttm",
    "simglucose/multi_gpu_ddp.yaml": "ttm",
    "simglucose/slurm_cluster.yaml": "ttm",
    "simglucose/chronos_from_scratch.yaml": "chronos",
}


@pytest.fixture(autouse=True)
def _shared(monkeypatch, tmp_path):
    # a resolved path need not exist: nothing is opened here
    monkeypatch.setenv("TSFM_SHARED", str(tmp_path))
    monkeypatch.setenv("SLURM_GPUS_ON_NODE", "2")


def test_the_table_holds_every_experiment():
    found = {str(path.relative_to(CONFIGS / "experiments")) for path in (CONFIGS / "experiments").rglob("*.yaml")}
    assert found == set(EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_resolves_with_its_model(name):
    resolved = read_config(CONFIGS / "experiments" / name)
    card = host().model(EXPERIMENTS[name]).card
    resolved.section("model", card.config_schema, without=("checkpoint",))
    training = resolved.section("training", card.training_schema)
    assert training.strategy in card.strategies
    config = resolved.config
    assert config.task
    assert config.data
    assert config.split
    host().dataset(config.data.source)
    protocol = host().protocol(config.evaluation.protocol)
    if protocol.options_schema:
        protocol.options_schema.model_validate(config.evaluation.options)
    for metric in config.evaluation.metrics:
        host().metric(metric)
    for baseline in config.evaluation.baselines:
        host().model(baseline)


def test_every_fragment_is_part_of_an_experiment():
    used = set()
    for name in EXPERIMENTS:
        tree = load_file(CONFIGS / "experiments" / name)
        used |= {Path(origin.source).resolve() for origin in tree.origins.values()}
    files = {path.resolve() for path in CONFIGS.rglob("*.yaml")}
    assert files - used == set()


@pytest.mark.parametrize("protocol", ["sliding", "nocturnal", "prandial"])
def test_the_experiments_of_one_protocol_share_data_split_and_evaluation(protocol):
    trees = [read_config(CONFIGS / "experiments" / name) for name in EXPERIMENTS if name.startswith("t1d_uom/")]
    trees = [resolved for resolved in trees if not resolved.config.split.folds]
    trees = [resolved for resolved in trees if resolved.config.evaluation.protocol == protocol]
    assert trees
    for resolved in trees[1:]:
        assert resolved.config.task == trees[0].config.task
        assert resolved.config.split == trees[0].config.split
        assert resolved.config.evaluation == trees[0].config.evaluation
        same = {"stride": 1}  # how densely training windows are cut is the trainer's own affair
        assert resolved.config.data.model_copy(update=same) == trees[0].config.data.model_copy(update=same)


def test_the_processes_of_a_cluster_are_those_of_the_job():
    runtime = read_config(CONFIGS / "experiments" / "simglucose" / "slurm_cluster.yaml").config.runtime
    assert (runtime.nproc, runtime.distributed, runtime.device) == (2, "ddp", "cuda")


def test_the_best_recipe_is_tested_like_the_others_that_leave_one_person_out():
    names = [name for name in EXPERIMENTS if name.startswith("t1d_uom_lopo/")]
    best, *others = (read_config(CONFIGS / "experiments" / name).config for name in ("t1d_uom/best.yaml", *names))
    bare = {"past_covariates": (), "known_covariates": (), "quantile_levels": ()}
    for other in others:
        assert other.task.model_copy(update=bare) == best.task.model_copy(update=bare)
        assert other.split == best.split
        assert other.evaluation == best.evaluation
        assert (other.data.path, other.data.exclude, other.data.max_gap) == (
            best.data.path,
            best.data.exclude,
            best.data.max_gap,
        )
