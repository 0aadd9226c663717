"""The continuous ranked probability score of quantiles, ensembles and normal forecasts, whole or below a threshold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tsfm_core import Block, DataError, Metric
from tsfm_eval.pairs import Floats, check_shapes, floats, quantile_pairs, ratio
from tsfm_eval.quantile import mean_pinball, quantile_truths
from tsfm_eval.tail import LOW, checked_threshold

__all__ = ["METRICS", "crps_ensemble", "crps_gaussian", "crps_quantile", "twcrps_ensemble", "twcrps_quantile"]

Estimator = Literal["ecdf", "fair"]

EVEN = "evenly spaced levels symmetrical about 0.5, such as 0.1, 0.2, ... 0.9"


def crps_quantile(y: npt.ArrayLike, quantiles: npt.ArrayLike, levels: npt.ArrayLike) -> Floats:
    """Return 2 mean(pinball loss) over the levels, which approximates the CRPS; it knows nothing beyond the last level.

    Unit: that of the values. Lower is better. Give quantiles. Source: Gneiting and Raftery (2007).

    :param y: truths ``[...]``.
    :param quantiles: ``[..., Q]`` in the unit of ``y``, sorted before they are scored.
    :param levels: ``[Q]``, evenly spaced and symmetrical about 0.5: elsewhere the mean is no integral.
    :return: ``[...]`` in the unit of ``y``; NaN where the truth or one of the quantiles is not finite.
    :raises DataError: for shapes that do not fit, or other levels; :func:`tsfm_eval.mqloss` takes any.
    """
    return _of_quantiles(y, quantiles, levels, np.inf)


def twcrps_quantile(y: npt.ArrayLike, quantiles: npt.ArrayLike, levels: npt.ArrayLike, threshold: float) -> Floats:
    """Return :func:`crps_quantile` of min(y, threshold) and min(f, threshold): blind to what happens above.

    The threshold-weighted CRPS with the weight 1 below the threshold and 0 above.

    Unit: that of the values. Lower is better. Give quantiles. Source: Gneiting and Ranjan (2011).

    :param threshold: in the unit of ``y``.
    :raises DataError: as :func:`crps_quantile`, or for a threshold that is not finite.
    """
    return _of_quantiles(y, quantiles, levels, checked_threshold(threshold))


def crps_ensemble(y: npt.ArrayLike, ensemble: npt.ArrayLike, estimator: Estimator = "ecdf") -> Floats:
    """Return the CRPS of M samples: mean(abs(x_i - y)) - sum((2 i - 1 - M) x_(i)) / D, x_(i) ascending, i = 1 to M.

    Unit: that of the values. Lower is better. Give samples. Source: Gneiting and Raftery (2007).

    :param y: truths ``[...]``.
    :param ensemble: ``[..., M]`` in the unit of ``y``, in any order.
    :param estimator: ``ecdf``: D = M^2, the score of the samples as they are. ``fair``: D = M (M - 1), without bias for
        the distribution they were drawn from; it can be below 0.
    :return: ``[...]`` in the unit of ``y``; NaN where the truth or a sample is not finite.
    :raises DataError: for shapes that do not fit, no sample, a single one with ``fair``, or an unknown estimator.
    """
    return _of_ensemble(y, ensemble, estimator, np.inf)


def twcrps_ensemble(
    y: npt.ArrayLike, ensemble: npt.ArrayLike, threshold: float, estimator: Estimator = "ecdf"
) -> Floats:
    """Return :func:`crps_ensemble` of min(y, threshold) and min(x_i, threshold): blind to what happens above.

    Unit: that of the values. Lower is better. Give samples. Source: Gneiting and Ranjan (2011).

    :param threshold: in the unit of ``y``.
    :raises DataError: as :func:`crps_ensemble`, or for a threshold that is not finite.
    """
    return _of_ensemble(y, ensemble, estimator, checked_threshold(threshold))


def crps_gaussian(y: npt.ArrayLike, mean: npt.ArrayLike, sd: npt.ArrayLike) -> Floats:
    """Return the CRPS of normal forecasts: sd (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)), z = (y - mean) / sd.

    Where sd is 0 it is abs(y - mean), the limit.

    Unit: that of the values. Lower is better. Give the mean and the standard deviation. Source: Gneiting and Raftery
    (2007); the closed form: Gneiting et al. (2005).

    :param y: any shape.
    :param mean: the same shape.
    :param sd: the same shape, 0 or more.
    :return: that shape, in the unit of ``y``; NaN where one of the three is not finite.
    :raises DataError: for shapes that differ or a deviation below 0.
    """
    from scipy.special import ndtr

    truth, mu, sigma = floats("y", y), floats("mean", mean), floats("sd", sd)
    check_shapes(y=truth, mean=mu)
    check_shapes(y=truth, sd=sigma)
    if (sigma < 0).any():
        raise DataError(f"sd is {sigma[sigma < 0][0]:g}", "a standard deviation is 0 or more")
    finite = np.isfinite(truth) & np.isfinite(mu) & np.isfinite(sigma)
    error = np.where(finite, truth, np.nan) - np.where(finite, mu, np.nan)
    wide = finite & (sigma > 0)
    scale = np.where(wide, sigma, 1.0)
    with np.errstate(over="ignore"):  # a deviation of next to nothing
        z = error / scale
        density = np.exp(-np.square(z) / 2)
    score = error * (2 * ndtr(z) - 1) + scale * (np.sqrt(2 / np.pi) * density - 1 / np.sqrt(np.pi))
    return _plain(np.where(wide, score, np.abs(error)))


def _of_quantiles(y: npt.ArrayLike, quantiles: npt.ArrayLike, levels: npt.ArrayLike, threshold: float) -> Floats:
    truth, by_level, given, both = quantile_truths(y, quantiles, levels)
    if not _even(given):
        listed = ", ".join(f"{level:g}" for level in given)
        raise DataError(f"the CRPS needs {EVEN}; given: {listed}", "mqloss is the same mean for any levels")
    loss = mean_pinball(np.minimum(truth, threshold), np.minimum(by_level, threshold), given)
    return _plain(np.where(both, 2.0 * loss, np.nan))


def _of_ensemble(y: npt.ArrayLike, ensemble: npt.ArrayLike, estimator: Estimator, threshold: float) -> Floats:
    truth, samples = floats("y", y), floats("ensemble", ensemble)
    if samples.shape[:-1] != truth.shape or samples.ndim != truth.ndim + 1 or samples.shape[-1] == 0:
        shapes = f"y {list(truth.shape)}, ensemble {list(samples.shape)}"
        raise DataError(f"shapes do not fit: {shapes}", "an ensemble needs the shape of y and a last axis of samples")
    if estimator not in ("ecdf", "fair"):
        raise DataError(f"estimator {estimator!r} is not known", "known: ecdf, fair")
    size = samples.shape[-1]
    if estimator == "fair" and size == 1:
        raise DataError("a fair estimate takes two samples at least", 'take estimator="ecdf" for one')
    finite = np.isfinite(truth) & np.isfinite(samples).all(axis=-1)
    clipped = np.minimum(np.where(finite, truth, 0.0), threshold)
    error = np.sort(np.minimum(np.where(finite[..., None], samples, 0.0), threshold), axis=-1) - clipped[..., None]
    rank = 2.0 * np.arange(1, size + 1) - 1 - size
    spread = error @ rank / (size * (size if estimator == "ecdf" else size - 1))
    return _plain(np.where(finite, np.abs(error).mean(axis=-1) - spread, np.nan))


def _plain(scores: Floats) -> Floats:
    plain: Floats = scores[()]  # a number where there is one
    return plain


def _even(levels: Sequence[float]) -> bool:
    """Return whether the levels are evenly spaced, to 1 % of a step, symmetrical, and no further from 0 than a step."""
    if len(levels) < 2:
        return False
    steps = np.diff(levels)
    step = float(steps.mean())
    off = max(float(np.abs(steps - step).max()), abs(levels[0] + levels[-1] - 1.0), levels[0] - step)
    return off <= 0.01 * step


def _uneven(block: Block) -> str | None:
    return None if _even(block.levels) else f"it needs {EVEN}"


def _metric(
    name: str, definition: str, limit: Mapping[str, float] | None, why_not: Callable[[Block], str | None] | None
) -> Metric:
    def parts(block: Block) -> Mapping[str, Floats]:
        quantiles, both = quantile_pairs(block)
        threshold = np.inf if limit is None else limit[block.unit]
        by_level = np.moveaxis(quantiles, 1, 0)
        clipped = by_level if limit is None else (np.minimum(forecast, threshold) for forecast in by_level)
        loss = mean_pinball(np.minimum(block.truth, threshold), clipped, block.levels)
        return {"loss": np.where(both, 2.0 * loss, 0.0), "count": both.astype(np.float64)}

    def finish(sums: Mapping[str, Any]) -> Mapping[str, Any]:
        return {name: ratio(sums["loss"], sums["count"])}

    return Metric(
        name=name,
        definition=f"2 mean(q max(y - f, 0) + (1 - q) max(f - y, 0)) over all levels q, all finite pairs, {definition}",
        unit="target",
        direction="lower",
        point="quantiles",
        parts=parts,
        finish=finish,
        needs=("quantiles",) if limit is None else ("quantiles", "glucose"),
        family="probabilistic",
        limits={"": (0.0, float("inf"))},
        source="Gneiting and Raftery (2007)" if limit is None else "Gneiting and Ranjan (2011)",
        why_not=why_not,
    )


CLIPPED = (
    "after y and f become min(y, t) and min(f, t), t = 70 mg/dL, or 3.9 where the data are in mmol/L; "
    "f the forecasts of a step sorted"
)

METRICS = (
    _metric("crps", f"f the forecasts of a step sorted; it needs {EVEN}", None, _uneven),
    _metric("twcrps_lt70", f"{CLIPPED}; it needs {EVEN}", LOW["lt70"], _uneven),
    _metric(
        "twcrps_lt70_any_levels",
        f"{CLIPPED}; whatever the levels: proper, but an approximation of the CRPS below t only where they are even, "
        "and comparable only between forecasts of the same levels",
        LOW["lt70"],
        None,
    ),
)
