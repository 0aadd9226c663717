"""Temporal gain: how much earlier a forecast tells what glucose will do than the last value does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tsfm_core import Block, DataError, Metric
from tsfm_eval.glucose import check_number
from tsfm_eval.pairs import Floats, check_shapes, floats

__all__ = ["METRICS", "temporal_gain"]

#: The prediction horizons of the metric, in minutes.
AHEAD = (30, 60, 120, 240, 480)

#: Taken off every value of a run, so that little is lost where sums of squares are subtracted. One constant for all
#: windows, or their sums would not belong together; within the range of glucose, so that it never makes things worse.
_CENTRE = {"mg/dL": 100.0, "mmol/L": 5.55}

#: Correlations nearer than this are equal, and a variance below this share of the squares is none.
_SAME = 1e-9


def temporal_gain(
    truth: npt.ArrayLike,
    forecast: npt.ArrayLike,
    at_cutoff: npt.ArrayLike,
    step_minutes: float,
    ahead_minutes: float = 30.0,
) -> float:
    """Return the temporal gain of the forecasts ``ahead_minutes`` ahead, in minutes; NaN where nothing correlates.

    PH - D, where D is the lag in 0 to PH at which the correlation (Pearson's) of y(t) with f(t + lag) is largest; f is
    the forecast issued PH earlier. Each window gives the pair of f at its step PH with its own truth lag before that,
    or for lag = PH with the value at its cutoff; all windows go into one correlation for each lag. Of lags with the
    same correlation the largest holds, so that a steady slope shows no gain. The last value as forecast gains 0, a
    perfect forecast PH.

    Unit: min. Higher is better. Give the mean. Source: Gani et al. 2009, IEEE Trans Biomed Eng
    56(2), with both series centred.

    :param truth: ``[n, H]``, NaN where nothing was observed.
    :param forecast: ``[n, H]`` in the unit of the truth.
    :param at_cutoff: ``[n]``, the last value that each forecast could see.
    :param step_minutes: between two steps.
    :param ahead_minutes: PH, a whole number of steps up to H.
    :raises DataError: for shapes that do not fit, or a PH that is no step of the horizon.
    """
    y, f, last = floats("truth", truth), floats("forecast", forecast), floats("at_cutoff", at_cutoff)
    check_shapes(truth=y, forecast=f)
    if y.ndim != 2 or last.shape != y.shape[:1]:
        shapes = f"truth {list(y.shape)}, at_cutoff {list(last.shape)}"
        raise DataError(f"shapes do not fit: {shapes}", "give truth [n, H] and at_cutoff [n]")
    check_number("step_minutes", step_minutes, above_zero=True)
    check_number("ahead_minutes", ahead_minutes, above_zero=True)
    steps = _steps(ahead_minutes, step_minutes * 60, y.shape[1])
    if not steps:
        way = f"give a multiple of {step_minutes:g} min up to {y.shape[1] * step_minutes:g}"
        raise DataError(f"{ahead_minutes} min is no step of the horizon", way)
    # a correlation is the same whatever is taken off
    off = [values[np.isfinite(values)].mean() if np.isfinite(values).any() else 0.0 for values in (y, f)]
    return float(_gain(_moments(y - off[0], f - off[1], last - off[0], steps).sum(axis=0), ahead_minutes))


def _steps(minutes: float, step_seconds: float, longest: int) -> int:
    """Return how many steps ``minutes`` are; 0 where they are no whole number of them, or more than ``longest``."""
    steps = minutes * 60 / step_seconds
    return round(steps) if abs(steps - round(steps)) < _SAME and 1 <= steps <= longest else 0


def _moments(y: Floats, f: Floats, last: Floats, steps: int) -> Floats:
    """Return n, y, f, y^2, f^2, y f of each window at each lag, ``[n, steps + 1, 6]``, all 0 where one is missing."""
    past = np.hstack([last[:, None], y[:, :steps]])[:, ::-1]
    ahead = f[:, steps - 1, None]
    both = np.isfinite(past) & np.isfinite(ahead)
    past, ahead = np.where(both, past, 0.0), np.where(both, ahead, 0.0)
    moments = np.empty((*both.shape, 6))
    for at, moment in enumerate((both, past, ahead, past * past, ahead * ahead, past * ahead)):
        moments[..., at] = moment
    return moments


def _gain(sums: npt.NDArray[Any], minutes: float) -> Any:
    """Return the gain from moments ``[..., lags, 6]``."""
    n, y, f, yy, ff, yf = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
    count = np.maximum(n, 1.0)
    of_y, of_f = yy - y * y / count, ff - f * f / count
    varies = (of_y > _SAME * yy) & (of_f > _SAME * ff)
    spread = np.sqrt(np.where(varies, of_y, 1.0)) * np.sqrt(np.where(varies, of_f, 1.0))
    correlation = np.where(varies, (yf - y * f / count) / spread, -np.inf)
    best = correlation >= correlation.max(axis=-1, keepdims=True) - _SAME
    lags = correlation.shape[-1] - 1
    lag = lags - np.argmax(best[..., ::-1], axis=-1)
    return np.where(varies.any(axis=-1), minutes * (1.0 - lag / lags), np.nan)[()]


def _why_not(block: Block) -> str | None:
    if block.context is None or not block.step:
        return "the windows come without the value at the cutoff"
    if not any(_steps(minutes, block.step, block.truth.shape[1]) for minutes in AHEAD):
        return f"none of {', '.join(map(str, AHEAD))} min is a step of the horizon"
    return None


def _parts(block: Block) -> Mapping[str, Floats]:
    assert block.context is not None
    off = _CENTRE.get(block.unit, 0.0)
    y, f, last = block.truth - off, block.point("mean") - off, block.context[:, -1] - off
    parts = {}
    for minutes in AHEAD:
        steps = _steps(minutes, block.step, y.shape[1])
        if steps:
            parts[f"moments_{minutes}"] = _moments(y, f, last, steps)
    shortest = next(iter(parts.values()))
    return parts | {"count": shortest[:, 0, 0].copy()}


def _finish(sums: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        f"temporal_gain_{minutes}": _gain(sums[f"moments_{minutes}"], minutes)
        for minutes in AHEAD
        if f"moments_{minutes}" in sums
    }


METRICS = (
    Metric(
        name="temporal_gain",
        definition=(
            "for PH in 30, 60, 120, 240, 480 min, as far as the horizon holds that step: temporal_gain_<PH> = PH - D, "
            "D = the lag in 0..PH, step by step, that maximises the Pearson correlation of y(t) with f(t + lag), f the "
            "forecast issued PH earlier, over all windows in which both are finite, the value at the cutoff being y at "
            "lag PH; of lags within 1e-9 of the maximum the largest; a lag at which one of the two does not vary has "
            "no correlation"
        ),
        unit="min",
        direction="higher",
        point="mean",
        parts=_parts,
        finish=_finish,
        steps=False,
        family="point",
        source="Gani et al. 2009, IEEE Trans Biomed Eng 56(2), with both series centred",
        why_not=_why_not,
    ),
)
