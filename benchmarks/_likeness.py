"""What people's readings are compared by: statistics of one person, the shared real people, and a table of both."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["DAY", "autocorrelation", "changes", "gaps", "read_real", "statistics_of", "table"]

DAY = 288
#: Those of the shared people that may be looked at; all others are held out.
_REAL = ("uom2301", "uom2303", "uom2304", "uom2307")
#: Half-hours of the day between which a night passes, the second one of the next day.
_NIGHT = (46, 48 + 13)
_LAGS = {"15 min": 3, "30 min": 6, "60 min": 12, "120 min": 24, "240 min": 48, "480 min": 96, "24 h": DAY}


def read_real() -> dict[str, np.ndarray]:
    """Return glucose of the shared people in mg/dL, a value each 5 min from a midnight on, NaN where there is none.

    Nobody, where TSFM_SHARED is not set.
    """
    import pandas as pd

    if "TSFM_SHARED" not in os.environ:
        return {}
    path = Path(os.environ["TSFM_SHARED"]) / "data" / "t1d_uom" / "t1d_uom_5min.parquet"
    rows = pd.read_parquet(path, columns=["patient_id", "time", "glucose"], filters=[("patient_id", "in", _REAL)])
    found = {}
    for name in _REAL:
        own = rows[rows["patient_id"] == name]
        slot = ((own["time"] - own["time"].min().normalize()) // pd.Timedelta("5min")).to_numpy()
        found[name] = np.full(slot.max() + 1, np.nan)
        found[name][slot] = own["glucose"]
    return found


def statistics_of(glucose: np.ndarray) -> dict[str, float]:
    """Return the statistics of a person; NaN for the change in 5 minutes where the sensor reads every 15.

    :param glucose: mg/dL, a value each 5 min, NaN where there is none.
    """
    seen = glucose[np.isfinite(glucose)]
    mean, sd = seen.mean(), seen.std()
    halfhour = changes(glucose, 6)
    between, cadence = gaps(glucose)
    days = (np.ptp(np.flatnonzero(np.isfinite(glucose))) + cadence) / DAY
    found = {"mean, mg/dL": mean, "SD, mg/dL": sd, "CV, %": 100 * sd / mean}
    found |= {f"below {one} mg/dL, %": 100 * (seen < one).mean() for one in (54, 70)}
    found |= {f"above {one} mg/dL, %": 100 * (seen > one).mean() for one in (180, 250)}
    found |= {f"autocorrelation, {name}": autocorrelation(glucose, lag) for name, lag in _LAGS.items()}
    found["SD of the change in 5 min, mg/dL"] = _deviation(changes(glucose, 1))
    found["SD of the change in 30 min, mg/dL"] = _deviation(halfhour)
    night = _night(glucose)
    found |= {"change from 23:00 to 6:30, mg/dL": night.mean(), "its SD over nights, mg/dL": night.std()}
    found["skewness"] = (((seen - mean) / sd) ** 3).mean()
    fourth = ((halfhour - halfhour.mean()) ** 4).mean()
    found["excess kurtosis of the change in 30 min"] = fourth / halfhour.var() ** 2 - 3
    found["gaps a day"] = len(between) / days
    found["longest gap, h"] = between.max(initial=0) / 12
    return found


def autocorrelation(glucose: np.ndarray, lag: int) -> float:
    """Return the mean product of deviations over all pairs that are both read, relative to the variance."""
    away = glucose - np.nanmean(glucose)
    products = away[lag:] * away[: len(away) - lag]
    return float(np.nanmean(products) / np.nanmean(away**2))


def changes(glucose: np.ndarray, lag: int) -> np.ndarray:
    """Return the changes in ``lag`` slots, of all pairs that are both read."""
    change = glucose[lag:] - glucose[:-lag]
    return change[np.isfinite(change)]


def gaps(glucose: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the slots between two readings where they are more than usual, and what is usual: 1 or 3."""
    between = np.diff(np.flatnonzero(np.isfinite(glucose)))
    cadence = int(np.median(between))
    return between[between > cadence], cadence


def _night(glucose: np.ndarray) -> np.ndarray:
    """Return of each night the mean of half an hour from 6:30 on less that of one from 23:00 on, where both are read.

    :param glucose: from a midnight on.
    """
    halves = glucose[: len(glucose) // 6 * 6].reshape(-1, 6)
    read = np.isfinite(halves)
    means = np.where(read, halves, 0).sum(axis=1) / np.where(read.any(axis=1), read.sum(axis=1), np.nan)
    begin, end = _NIGHT
    mornings = means[end::48]
    change = mornings - means[begin::48][: len(mornings)]
    return np.asarray(change[np.isfinite(change)])


def table(virtual: Sequence[np.ndarray], real: Sequence[np.ndarray]) -> str:
    """Return the table in Markdown: percentiles of the virtual people; least, mean and greatest of the real ones."""
    columns = ["virtual: 10 %", "50 %", "90 %"] + (["real: least", "mean", "greatest"] if real else [])
    lines = [f"| a person's | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    ours, theirs = ([statistics_of(one) for one in people] for people in (virtual, real))
    for name in ours[0]:
        numbers: list[Any] = [*np.nanpercentile([one[name] for one in ours], [10, 50, 90])]
        if real:
            own = [one[name] for one in theirs]
            numbers += [min(own), float(np.mean(own)), max(own)]
        digits = 2 if name.startswith(("autocorrelation", "skewness", "excess", "gaps")) else 1
        lines.append(f"| {name} | {' | '.join(f'{number:.{digits}f}' for number in numbers)} |")
    return "\n".join(lines)


def _deviation(values: np.ndarray) -> float:
    return float(values.std()) if len(values) else float("nan")
