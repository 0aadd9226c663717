"""What is drawn of stored forecasts, against the same counted and searched in plain ways."""

from dataclasses import replace

import numpy as np
import pytest
from reportkit import LEVELS, chunk, made_up, task

from tsfm_eval.report.forecasts import pictures


def cut(whole, size):
    """Return a chunk as several."""
    arrays = {name: value for name, value in vars(whole).items() if isinstance(value, np.ndarray)}
    parts = []
    for start in range(0, len(whole.item_id), size):
        part = {name: value[start : start + size] for name, value in arrays.items()}
        parts.append(replace(whole, **part))
    return parts


@pytest.fixture(scope="module")
def whole():
    return made_up(items=3, windows=40)


@pytest.fixture(scope="module")
def found(whole):
    return pictures([whole], task())["temporal_holdout"]


def test_pairs_are_counted_in_their_squares(whole, found):
    truth, median = whole.truth.astype(float), whole.quantiles[:, 2].astype(float)
    both = np.isfinite(truth)
    edges = np.arange(0, 551, 5)
    expected, _, _ = np.histogram2d(truth[both], median[both], bins=[edges, edges])
    assert (found.pairs.counts == expected).all()
    assert {name: zones.sum() for name, zones in found.pairs.zones.items()} == {
        "clarke": both.sum(),
        "parkes_t1": both.sum(),
    }


def test_zones_by_hand():
    # worked cases: A, B, C, D, E of Clarke; Parkes has A up to 126.4, C from 179.5, B below 209.9, D from 125
    truth, forecast = [[100, 100, 100, 260, 50]], [[120, 121, 215, 150, 200]]
    pairs = pictures([chunk(truth, forecast)], task(quantile_levels=()))["temporal_holdout"].pairs
    assert pairs.zones["clarke"].tolist() == [1, 1, 1, 1, 1]
    assert pairs.zones["parkes_t1"].tolist() == [2, 1, 1, 1, 0]
    assert pairs.judged == "mean"


def test_forecasts_beyond_the_squares_count_in_zones_only():
    pairs = pictures([chunk([[100, 100, 100]], [[-5, 549, 550]])], task(quantile_levels=()))["temporal_holdout"].pairs
    assert pairs.beyond == 1
    assert pairs.counts[20, 0] == pairs.counts[20, 109] == 1
    assert pairs.zones["clarke"].sum() == 3


def test_mmoll_is_the_same_grid():
    truth, forecast = np.array([[52, 102, 262, 398]]), np.array([[203, 148, 52, 303]])
    mgdl = pictures([chunk(truth, forecast)], task(quantile_levels=()))["temporal_holdout"].pairs
    given = chunk(truth / 18.018, forecast / 18.018)
    mmol = pictures([given], task(quantile_levels=(), unit="mmol/L"))["temporal_holdout"].pairs
    assert (mmol.counts == mgdl.counts).all()
    assert {name: zones.tolist() for name, zones in mmol.zones.items()} == {
        name: zones.tolist() for name, zones in mgdl.zones.items()
    }


def test_calibration(whole, found):
    both = np.isfinite(whole.truth)
    shares = [(whole.truth <= whole.quantiles[:, at])[both].mean() for at in range(len(LEVELS))]
    assert found.calibration.below == pytest.approx(shares)
    assert (found.calibration.levels, found.calibration.pairs) == (LEVELS, both.sum())


def test_crossed_quantiles_are_sorted(whole):
    turned = chunk(whole.truth, quantiles=whole.quantiles[:, ::-1])
    calibration = pictures([turned], task())["temporal_holdout"].calibration
    assert (
        calibration == pictures([chunk(whole.truth, quantiles=whole.quantiles)], task())["temporal_holdout"].calibration
    )
    assert list(calibration.below) == sorted(calibration.below)


def test_best_middle_and_worst(whole, found):
    rmse = np.sqrt(np.nanmean((whole.truth.astype(float) - whole.mean) ** 2, axis=1))
    rmse[np.isfinite(whole.truth).mean(axis=1) < 0.8] = np.nan
    assert np.isnan(rmse).any()
    for window, at in ((found.best, np.nanargmin(rmse)), (found.worst, np.nanargmax(rmse))):
        assert window.score == pytest.approx(rmse[at])
        assert (window.item_id, window.cutoff) == (whole.item_id[at], whole.cutoff[at])
        np.testing.assert_array_equal(window.truth, whole.truth[at].astype(float))
        np.testing.assert_allclose(window.point, whole.mean[at])
        np.testing.assert_allclose(window.quantiles, whole.quantiles[at])
    middle = np.nanquantile(rmse, 0.5, method="inverted_cdf")
    assert middle / 1.02 < found.median.score < middle * 1.02
    assert np.isclose(rmse, found.median.score).any()


@pytest.mark.parametrize("size", [1, 7, 60])
def test_chunks_do_not_matter(whole, found, size):
    parts = pictures(cut(whole, size), task())["temporal_holdout"]
    assert (parts.pairs.counts == found.pairs.counts).all()
    assert parts.calibration == found.calibration
    for name in ("best", "median", "worst"):
        assert getattr(parts, name).cutoff == getattr(found, name).cutoff
    assert [(one.item_id, one.cutoff, one.score) for one in parts.nights] == [
        (one.item_id, one.cutoff, one.score) for one in found.nights
    ]


def night_chunk(minutes, over, item="a", day="2024-05-10"):
    """Return windows whose cutoffs are so many minutes after midnight, each with a low over-estimated so far."""
    minutes = np.asarray(minutes)
    cutoff = np.datetime64(f"{day}T00:00:00", "s") + minutes * np.timedelta64(60, "s")
    truth = np.tile([100.0, 60.0, 100.0], (len(minutes), 1))
    forecast = truth + np.array([[90.0], [0.0], [90.0]]).T * 1.0  # far off, but not at the low
    forecast[:, 1] = 60.0 + np.asarray(over)
    ids = np.array([item] * len(minutes), object)
    return chunk(truth, forecast, item_id=ids, cutoff=cutoff, minute=(minutes % 1440).astype(np.int16))


def nights_of(chunks, nocturnal=False, **changes):
    return pictures(chunks, task(quantile_levels=(), **changes), nocturnal)["temporal_holdout"]


def test_a_night_begins_from_ten_to_before_four_and_counts_once():
    # 21:59, 22:00, 23:00, 03:59 and 04:00 of the next day, then 22:00 of the next night
    found = nights_of([night_chunk([1319, 1320, 1380, 1679, 1680, 2760], [99, 10, 30, 20, 98, 5])]).nights
    assert [(str(one.cutoff), round(one.score)) for one in found] == [
        ("2024-05-10T23:00:00", 30),
        ("2024-05-11T22:00:00", 5),
    ]


def test_the_six_worst_nights_over_people():
    chunks = [night_chunk([0], [over], item=f"p{over}") for over in (1, 9, 3, 8, 5, 7, 2, 6, 4)]
    assert [round(one.score) for one in nights_of(chunks).nights] == [9, 8, 7, 6, 5, 4]


def test_a_low_that_is_not_over_estimated_is_no_night():
    found = nights_of([night_chunk([0], [-5])])
    assert (found.nights, found.absent["nights"]) == ((), "no true low of a night was over-estimated")


def test_any_cutoff_of_a_nocturnal_protocol_is_a_night():
    noon = night_chunk([720], [12])
    assert not nights_of([noon]).nights
    assert len(nights_of([noon], nocturnal=True).nights) == 1
    unknown = chunk([[60.0]], [[80.0]], minute=np.array([-1], np.int16))
    assert nights_of([unknown]).absent["nights"] == "the time of day is not known"
    assert len(nights_of([unknown], nocturnal=True).nights) == 1


def test_a_low_is_strict_and_in_its_own_unit():
    low = chunk([[3.9, 5.0]], [[6.0, 6.0]])
    assert not nights_of([low], unit="mmol/L").nights
    assert nights_of([chunk([[3.8, 5.0]], [[6.0, 6.0]])], unit="mmol/L").nights[0].score == pytest.approx(2.2)


def test_what_is_not_there_has_a_reason():
    whole = made_up(items=1, windows=3)
    cases = [
        (chunk(np.full((2, 3), np.nan), np.ones((2, 3))), {}, {"pairs", "calibration", "best", "nights"}),
        (chunk([[90.0]], [[80.0]]), {"unit": "custom:MW"}, {"pairs", "calibration", "nights"}),
        (chunk([[0.0, 90.0]], [[80.0, 80.0]]), {}, {"pairs", "calibration", "nights"}),
        (
            chunk(whole.truth, quantiles=whole.quantiles[:, :2]),
            {"quantile_levels": (0.1, 0.4)},
            {"pairs", "best", "nights"},
        ),
    ]
    for one, changes, absent in cases:
        found = pictures([one], task(**{"quantile_levels": ()} | changes))["temporal_holdout"]
        assert found.absent.keys() == absent, found.absent
        assert all(getattr(found, name) is None for name in absent - {"nights"})
        assert all(reason and "\n" not in reason for reason in found.absent.values())


def test_validation_is_not_shown():
    assert pictures([made_up("validation"), made_up("patient_holdout")], task()).keys() == {"patient_holdout"}
