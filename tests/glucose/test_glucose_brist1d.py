"""BrisT1D: rows of six hours without a date, cut here from sequences that the test knows."""

import numpy as np
import pandas as pd
import pytest

from tsfm_core import DataError
from tsfm_core.plugins import host
from tsfm_glucose.sources import tables

SIGNALS = ("bg", "insulin", "carbs", "hr", "steps", "cals", "activity")
LAGS = [f"{hours}:{minutes:02d}" for hours in range(5, -1, -1) for minutes in range(55, -1, -5)]
HEADER = ["id", "p_num", "time", *(f"{signal}-{lag}" for signal in SIGNALS for lag in LAGS), "bg+1:00"]
GLUCOSE = ["item_id", "timestamp", "glucose"]


def sequence(slots, seed=0, every=1):
    """Return ``[signal][slot]``: glucose in steps of 0.1 at every ``every``-th slot, and a watch."""
    random = np.random.default_rng(seed)
    glucose = np.round(random.uniform(4, 14, slots), 1)
    glucose[np.arange(slots) % every != every - 1] = np.nan
    walked = random.integers(0, 90, slots).astype(float)
    return [glucose, np.full(slots, 0.05), np.full(slots, np.nan), np.full(slots, 70.5), walked, np.full(slots, 5.1)]


def cut(person, time, signals, newest):
    """Return the row whose newest lag is slot ``newest``; ``bg+1:00`` is a value that no slot holds."""
    cells = [f"{value:g}" if np.isfinite(value) else "" for one in signals for value in one[newest - 71 : newest + 1]]
    return [f"{person}_{newest}", person, time, *cells, *["Walk"] * 72, "99.9"]


def write(path, rows):
    path.write_text("\n".join(",".join(row) for row in [HEADER, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def train(tmp_path):
    return lambda *rows: write(tmp_path / "train.csv", rows)


def whole(signals, newest, end):
    """Return ``[(stamp, glucose)]`` of the slots up to ``newest``, which is at ``end``."""
    stamps = pd.date_range(end=end, periods=newest + 1, freq="5min")
    return [
        (str(stamp), value) for stamp, value in zip(stamps, signals[0][: newest + 1], strict=True) if np.isfinite(value)
    ]


def test_rows_that_overlap_are_put_together_once(read, train):
    signals = sequence(74)
    file = train(*(cut("p02", f"06:{10 + 5 * at}:00", signals, 71 + at) for at in range(3)))
    rows = read("brist1d", file)
    # the row of 06:10 is of the first placeholder day, and reaches back to 00:15
    assert rows.of("bri_2", "glucose") == whole(signals, 73, "2024-01-01 06:20")
    assert rows.frame.timestamp.min() == pd.Timestamp("2024-01-01 00:15")
    assert rows.frame.insulin_u.sum() == pytest.approx(74 * 0.05)
    assert rows.frame.steps.sum() == signals[4].sum()
    assert rows.frame.heart_rate.unique().tolist() == [70.5]
    assert rows.frame.active_kcal.unique().tolist() == [5.1]
    assert rows.frame.carbs_g.isna().all()
    assert rows.counts == {}


def test_nothing_lies_before_the_first_placeholder_day(read, train):
    signals = sequence(72)
    rows = read("brist1d", train(cut("p11", "03:00:00", signals, 71)), GLUCOSE)
    assert rows.of("bri_11", "glucose") == whole(signals, 71, "2024-01-02 03:00")
    assert rows.frame.timestamp.min() == pd.Timestamp("2024-01-01 21:05")


def test_rows_that_are_missing_are_in_the_lags_of_the_next(read, train):
    signals = sequence(76)
    rows = read("brist1d", train(cut("p02", "23:50:00", signals, 71), cut("p02", "00:10:00", signals, 75)), GLUCOSE)
    assert rows.of("bri_2", "glucose") == whole(signals, 75, "2024-01-02 00:10")
    assert rows.counts == {}


def test_a_longer_silence_begins_a_stretch_a_day_later(read, train):
    first, second = sequence(72, seed=1), sequence(73, seed=2)
    file = train(
        cut("p02", "06:10:00", first, 71), cut("p02", "15:00:00", second, 71), cut("p02", "15:05:00", second, 72)
    )
    rows = read("brist1d", file, GLUCOSE)
    # a day after 06:10 and 5:55 more is 12:05 of the second: the next 15:00 is of that day
    assert rows.of("bri_2", "glucose") == [
        *whole(first, 71, "2024-01-01 06:10"),
        *whole(second, 72, "2024-01-02 15:05"),
    ]
    assert rows.counts == {("bri_2", "stretches whose distance is unknown"): 1}


@pytest.mark.parametrize("change", ["another value", "a value where there was none", "none where there was a value"])
def test_lags_that_disagree_begin_a_stretch(read, train, change):
    signals = sequence(73)
    before = cut("p02", "06:10:00", signals, 71)
    if change == "another value":
        signals[3][20] = 71.5
    elif change == "a value where there was none":
        signals[2][20] = 30
    else:
        signals[0][20] = np.nan
    rows = read("brist1d", train(before, cut("p02", "06:15:00", signals, 72)), GLUCOSE)
    times = rows.frame.timestamp
    # 05:55 + 06:10 of the second day is later than 06:15, so the stretch ends on the third
    assert times.max() == pd.Timestamp("2024-01-03 06:15")
    assert times.diff().max() >= pd.Timedelta("1D")
    assert rows.counts == {("bri_2", "stretches whose distance is unknown"): 1}


def test_empty_lags_and_zeros_prove_nothing(read, train):
    signals = [np.full(73, np.nan) for _ in range(6)]
    signals[4][:] = 0
    signals[0][[70, 71]] = 6.5
    rows = read("brist1d", train(cut("p02", "06:10:00", signals, 71), cut("p02", "06:15:00", signals, 72)), GLUCOSE)
    assert rows.counts == {("bri_2", "stretches whose distance is unknown"): 1}
    signals[0][69] = 6.5
    rows = read("brist1d", train(cut("p02", "06:10:00", signals, 71), cut("p02", "06:15:00", signals, 72)), GLUCOSE)
    assert rows.counts == {}


def test_the_same_clock_a_day_later_is_not_five_minutes_later(read, train):
    signals = sequence(72 + 289)
    file = train(cut("p02", "06:10:00", signals, 71), cut("p02", "06:15:00", signals, 72 + 288))
    assert read("brist1d", file, GLUCOSE).counts == {("bri_2", "stretches whose distance is unknown"): 1}


def test_a_clock_that_goes_back_or_between_the_steps_begins_a_stretch(read, train):
    signals = sequence(74)
    file = train(
        cut("p02", "06:10:00", signals, 71), cut("p02", "06:05:00", signals, 72), cut("p02", "06:12:00", signals, 73)
    )
    rows = read("brist1d", file, GLUCOSE)
    assert rows.counts == {("bri_2", "stretches whose distance is unknown"): 2}
    assert str(rows.frame.timestamp.iloc[-1].time()) == "06:12:00"


def test_a_row_given_twice_adds_nothing(read, train):
    signals = sequence(72)
    rows = read("brist1d", train(*[cut("p02", "06:10:00", signals, 71)] * 2), GLUCOSE)
    assert rows.of("bri_2", "glucose") == whole(signals, 71, "2024-01-01 06:10")
    assert rows.counts == {("bri_2", "rows given twice"): 1}


def test_readings_every_quarter_of_an_hour_stay_so(read, train):
    signals = sequence(75, every=3)
    rows = read("brist1d", train(cut("p01", "06:10:00", signals, 71), cut("p01", "06:25:00", signals, 74)), GLUCOSE)
    assert rows.of("bri_1", "glucose") == whole(signals, 74, "2024-01-01 06:25")
    assert rows.frame.timestamp.diff().dropna().unique().tolist() == [pd.Timedelta("15min")]
    assert len(rows.frame) == 25


def test_people_and_chunks_may_cut_the_file_anywhere(read, train, monkeypatch):
    one, two = sequence(76, seed=1), sequence(75, seed=2)
    rows = [cut("p02", f"06:{10 + 5 * at}:00", one, 71 + at) for at in range(3)]
    rows += [cut("p03", f"12:{10 + 5 * at}:00", two, 71 + at) for at in range(4)]
    rows += [cut("p02", f"06:{10 + 5 * at}:00", one, 71 + at) for at in (3, 4)]
    file = train(*rows)
    whole_file = read("brist1d", file)
    monkeypatch.setattr(tables, "_CHUNK", 2)
    cut_file = read("brist1d", file)
    for got in (whole_file, cut_file):
        assert got.of("bri_2", "glucose") == whole(one, 75, "2024-01-01 06:30")
        assert got.of("bri_3", "glucose") == whole(two, 74, "2024-01-01 12:25")
        assert got.counts == {}


def test_what_is_asked_for_does_not_decide_what_follows(read, train):
    signals = sequence(73)
    before = cut("p02", "06:10:00", signals, 71)
    signals[3][20] = 71.5  # a heart rate that nobody asked for
    file = train(before, cut("p02", "06:15:00", signals, 72))
    times = [read("brist1d", file, columns).frame.timestamp.tolist() for columns in (GLUCOSE, None)]
    assert times[0] == times[1]


def test_it_says_that_its_dates_are_placeholders(train):
    dataset = host().dataset("brist1d")
    assert dataset.clock == "time_of_day"
    assert "placeholders" in dataset.summary
    assert (dataset.channels["insulin_u"].kind, dataset.channels["insulin_u"].unit) == ("amount", "U")
    file = train(cut("p02", "06:10:00", sequence(72), 71))
    (file.parent / "sample_submission.csv").write_text("id,bg+1:00\n")
    assert dataset.files(file.parent) == dataset.files(file) == [file]


def refusal(read, path):
    with pytest.raises(DataError) as caught:
        read("brist1d", path)
    return str(caught.value).replace(str(path.parent), "HERE") if path else str(caught.value)


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("p_num", "subject1", "row 2 of 'p_num' is 'subject1'; people are called p01, p02, ..."),
        ("p_num", "", "row 2 of 'p_num' is ''; people are called p01, p02, ..."),
        ("time", "2024-01-01", "row 2 of 'time' is '2024-01-01', not a timestamp; expected %H:%M:%S"),
        ("time", "", "row 2 of 'time' is empty, not a timestamp; expected %H:%M:%S"),
        ("bg-0:05", "Low", "row 2 of 'bg-0:05' is 'Low', not a number; correct the cell"),
        ("hr-5:55", "inf", "row 2 of 'hr-5:55' is 'inf', not a number; correct the cell"),
    ],
)
def test_a_cell_that_is_none_is_named(read, train, column, value, sentence):
    signals = sequence(73)
    rows = [cut("p02", "06:10:00", signals, 71), cut("p02", "06:15:00", signals, 72)]
    rows[1][HEADER.index(column)] = value
    assert refusal(read, train(*rows)) == f"HERE/train.csv: {sentence}"


def test_a_file_that_is_not_the_training_file_is_named(read, tmp_path):
    assert refusal(read, tmp_path / "train.csv") == (
        "HERE/train.csv is not there; data.path is train.csv of the competition brist1d, or its folder"
    )
    assert "train.csv is not there" in refusal(read, tmp_path)
    assert refusal(read, None) == "brist1d needs data.path; name the folder that holds train.csv: --path FOLDER"
    test = write(tmp_path / "test.csv", [])
    assert refusal(read, test) == "HERE/test.csv holds windows that do not follow each other; name train.csv"
    short = tmp_path / "short.csv"
    short.write_text("id,p_num,time,bg-0:00\n")
    assert refusal(read, short) == "HERE/short.csv has no column 'bg-5:55'; it has id, p_num, time, bg-0:00"
