"""What is drawn for training windows: each key by itself, and that nothing but seed, epoch and row decides it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tsfm_ttm.augmenting import Augmentation
from tsfm_ttm.model import network_inputs
from tsfm_ttm.scaling import Scaler
from tsfm_ttm.schema import AugmentSection, TtmTraining

COUNT, STEPS, STD = 4000, 96, 40.0
ROWS = np.arange(COUNT)


def values_of(steps: int = STEPS) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (COUNT, steps)).astype(np.float32)


def augmented(step_seconds: int = 300, seed: int = 0, **keys: float) -> Augmentation:
    return Augmentation(AugmentSection(**keys), STD, step_seconds, seed)


def test_amplitude_is_one_factor_on_context_and_truth() -> None:
    drawn = augmented(amplitude=0.3).draw(ROWS, 0)
    context, truth = drawn.context(values_of()) / values_of(), drawn.truth(values_of(12)) / values_of(12)
    np.testing.assert_allclose(context, np.broadcast_to(context[:, :1], context.shape), rtol=1e-5)
    np.testing.assert_allclose(truth, np.broadcast_to(context[:, :1], truth.shape), rtol=1e-5)
    logarithm = np.log(context[:, 0])
    assert (logarithm.mean(), logarithm.std()) == (pytest.approx(0, abs=0.02), pytest.approx(0.3, rel=0.05))


def test_level_is_one_shift_in_the_targets_unit() -> None:
    drawn = augmented(level=20).draw(ROWS, 0)
    context, truth = drawn.context(values_of()) - values_of(), drawn.truth(values_of(12)) - values_of(12)
    assert np.ptp(context, axis=1).max() < 1e-5
    np.testing.assert_allclose(truth[:, 0], context[:, 0], atol=1e-5)
    assert STD * context[:, 0].mean() == pytest.approx(0, abs=1)
    assert STD * context[:, 0].std() == pytest.approx(20, rel=0.05)


@pytest.mark.parametrize("step_seconds", [60, 300, 900])
def test_noise_is_on_the_context_alone_and_remembers_five_minutes(step_seconds: int) -> None:
    drawn = augmented(step_seconds, noise=4).draw(ROWS, 0)
    np.testing.assert_array_equal(drawn.truth(values_of()), values_of())
    noise = STD * (drawn.context(values_of()) - values_of())
    assert noise.mean() == pytest.approx(0, abs=0.1)
    for part in (noise[:, 0], noise[:, 1], noise[:, -1]):  # stationary from the first step on
        assert part.std() == pytest.approx(4, rel=0.05)
    for lag in (1, 2, 5):
        expected = 0.7 ** (lag * step_seconds / 300)
        assert np.corrcoef(noise[:, 60], noise[:, 60 - lag])[0, 1] == pytest.approx(expected, abs=0.04)
    assert np.corrcoef(noise[1:, 0], noise[:-1, 0])[0, 1] == pytest.approx(0, abs=0.04)


def test_a_shortened_history_keeps_twelve_steps_and_the_last_reading() -> None:
    values = values_of()
    values[: COUNT // 2, 70:] = np.nan  # a gap before the cutoff
    seen = augmented(shorten=0.4).draw(ROWS, 0).context(values)
    kept = np.isfinite(seen)
    np.testing.assert_array_equal(seen[kept], values[kept])
    whole = kept[COUNT // 2 :]
    assert (np.diff(whole.astype(int), axis=1) >= 0).all()  # what is hidden is the beginning
    left = whole.sum(axis=1)
    assert left.min() == 12
    shortened = left < STEPS
    assert shortened.mean() == pytest.approx(0.4 * 84 / 85, abs=0.04)
    assert left[shortened].mean() == pytest.approx((12 + 95) / 2, abs=3)
    assert kept[: COUNT // 2, 69].all()


def test_gaps_are_hidden_but_never_the_last_reading() -> None:
    values = values_of()
    values[::2, 90:] = np.nan
    seen = augmented(hide=0.5).draw(ROWS, 0).context(values)
    kept = np.isfinite(seen)
    np.testing.assert_array_equal(seen[kept], values[kept])
    assert kept[1::2, -1].all()
    assert kept[::2, 89].all()
    hidden = np.isfinite(values) & ~kept
    assert hidden.any(axis=1).mean() == pytest.approx(0.5, abs=0.04)
    begins = (hidden & ~np.pad(hidden, ((0, 0), (1, 0)))[:, :-1]).sum(axis=1)
    assert set(begins) >= {0, 1, 2, 3, 4}
    assert begins.max() <= 5  # one of four may be cut in two by the last reading
    single = hidden[begins == 1].sum(axis=1)
    assert (single.min(), np.median(single[single <= 24])) == (1, pytest.approx(12, abs=2))
    assert hidden.sum(axis=1).max() <= 4 * 24


def test_thinning_leaves_every_third_step_and_never_nothing() -> None:
    values = values_of()
    values[::2] = np.where(np.arange(STEPS) % 3 == 1, values[::2], np.nan)  # of a 15-min sensor already
    drawn = augmented(thin=0.6).draw(ROWS, 0)
    seen = drawn.context(values)
    kept = np.isfinite(seen)
    assert kept.any(axis=1).all()
    assert (kept[::2].sum(axis=1) == STEPS // 3).all()
    rich = kept[1::2]
    thinned = ~rich.all(axis=1)
    assert thinned.mean() == pytest.approx(0.6, abs=0.04)
    assert (rich[thinned].sum(axis=1) == STEPS // 3).all()
    lasts = STEPS - 1 - rich[thinned][:, ::-1].argmax(axis=1)
    assert set(lasts) == {STEPS - 3, STEPS - 2, STEPS - 1}
    for row in rich[thinned][:20]:
        assert set(np.diff(np.flatnonzero(row))) == {3}
    np.testing.assert_array_equal(drawn.truth(values), values)


ALL = {"amplitude": 0.2, "level": 10, "noise": 3, "shorten": 0.3, "hide": 0.4, "thin": 0.3}


def test_seed_epoch_and_row_decide_alone() -> None:
    values, every = values_of(), augmented(**ALL)
    whole = every.draw(ROWS, 3).context(values)
    some = np.array([70, 3, 3, 999])
    np.testing.assert_array_equal(every.draw(some, 3).context(values[some]), whole[some])
    for other in (every.draw(ROWS, 4), augmented(seed=1, **ALL).draw(ROWS, 3)):
        changed = other.context(values)
        assert (np.isfinite(changed) != np.isfinite(whole)).any(axis=1).mean() > 0.4
        assert (other.factor != every.draw(ROWS, 3).factor).all()


def test_one_key_leaves_what_another_draws() -> None:
    both, alone = (augmented(**keys).draw(ROWS, 0) for keys in (ALL, {"hide": 0.4, "shorten": 0.3, "thin": 0.3}))
    np.testing.assert_array_equal(np.isfinite(both.context(values_of())), np.isfinite(alone.context(values_of())))


def test_what_is_hidden_is_filled_and_masked_as_a_gap_is(kit: Any) -> None:
    task = kit.task(past_covariates=("iob",), known_covariates=("meal",))
    windows, rows = kit.windows(task), np.arange(50)
    scaler = Scaler.learn(windows, 0)
    plain = network_inputs(windows, rows, scaler)
    drawn = augmented(shorten=0.5, hide=0.5).draw(rows, 0)
    batch = network_inputs(windows, rows, scaler, drawn.context)
    seen = drawn.context(plain["past_values"][..., 0].numpy())
    np.testing.assert_array_equal(batch["past_observed_mask"][..., 0].numpy(), np.isfinite(seen))
    for row, filled in zip(seen, batch["past_values"][..., 0].numpy(), strict=True):
        at = np.flatnonzero(np.isfinite(row))
        np.testing.assert_array_equal(filled, row[at[np.maximum(np.searchsorted(at, np.arange(96), "right") - 1, 0)]])
    for name in ("past_values", "past_observed_mask"):
        np.testing.assert_array_equal(batch[name][..., 1:], plain[name][..., 1:])
    np.testing.assert_array_equal(batch["future_values"], plain["future_values"])


def test_a_training_draws_and_nothing_drawn_is_nothing_changed(kit: Any, small: dict[str, Any]) -> None:
    """Zeros and null leave the same bits."""
    task = kit.task(quantile_levels=(0.1, 0.5, 0.9))
    windows = kit.windows(task)
    parts = {"data": windows.take(slice(0, 200)), "validation": windows.take(slice(200, 260))}
    told = {}
    for name, augment in (("null", None), ("zeros", AugmentSection()), ("all", AugmentSection(**ALL))):
        model = kit.load(task, **small)
        kit.train(model, parts["data"], name, validation=parts["validation"], max_steps=3, augment=augment)
        lines = (kit.folder / name / "training.jsonl").read_text().splitlines()
        told[name] = [{**json.loads(line), "seconds": 0} for line in lines]
    assert told["null"] == told["zeros"]
    losses = [[line["loss"] for line in told[name] if "loss" in line] for name in ("null", "all")]
    assert all(one != other for one, other in zip(*losses, strict=True))


def test_sections_are_strict_and_a_kept_backbone_draws_nothing() -> None:
    assert all(field.description for field in AugmentSection.model_fields.values())
    for text in ('{"noise": -1}', '{"hide": 1.5}', '{"shift": 1}'):
        with pytest.raises(ValidationError):
            AugmentSection.model_validate_json(text)
    with pytest.raises(ValidationError, match="head keeps the backbone's answers .* no use for augment; set strategy"):
        TtmTraining(strategy="head", augment=AugmentSection(noise=1))
    with pytest.raises(ValidationError, match="zero_shot trains nothing and has no use for augment"):
        TtmTraining(augment=AugmentSection())
