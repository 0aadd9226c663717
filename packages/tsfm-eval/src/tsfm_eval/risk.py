"""The risk indices of low and high glucose, and how well forecasts tell them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tsfm_core import DataError, conversion_factor
from tsfm_eval.glucose import glucose_values, mgdl_factor
from tsfm_eval.pairs import Floats
from tsfm_eval.person import person_error

__all__ = ["METRICS", "hbgi", "lbgi"]


def lbgi(glucose: npt.ArrayLike, unit: str = "mg/dL") -> float:
    """Return the low blood glucose index: the mean of rl over all finite readings; NaN where there is none.

    ``b = 1.509 (ln(g)^1.084 - 5.381)`` with g in mg/dL; ``rl = 10 b^2`` where b < 0, else 0. It is 100 at 20 mg/dL.

    Unit: 1. Neither lower nor higher is better: near that of the truth is. Give the median where it is of a forecast.
    Source: Kovatchev et al. 1997, Diabetes Care 20(11).

    :param glucose: readings of one person, any shape; NaN where nothing was observed.
    :param unit: ``mg/dL`` or ``mmol/L``.
    :raises DataError: for a reading below 1 mg/dL, an unknown unit, or what holds no numbers.
    """
    return _mean(_low, glucose, unit)


def hbgi(glucose: npt.ArrayLike, unit: str = "mg/dL") -> float:
    """Return the high blood glucose index: as :func:`lbgi`, with ``rh = 10 b^2`` where b > 0, else 0.

    It is 100 at 600 mg/dL.

    Unit: 1. Neither lower nor higher is better: near that of the truth is. Give the median where it is of a forecast.
    Source: Kovatchev et al. 1997, Diabetes Care 20(11).
    """
    return _mean(_high, glucose, unit)


def _mean(risk: Callable[[Floats, str], Floats], glucose: npt.ArrayLike, unit: str) -> float:
    mgdl_factor(unit)
    g = glucose_values(glucose, unit)
    g = g[np.isfinite(g)]
    return float(risk(g, unit).mean()) if g.size else float("nan")


def _low(g: Floats, unit: str) -> Floats:
    return 10.0 * np.square(np.minimum(_score(g, unit), 0.0))


def _high(g: Floats, unit: str) -> Floats:
    return 10.0 * np.square(np.maximum(_score(g, unit), 0.0))


def _score(g: Floats, unit: str) -> Floats:
    g = g * conversion_factor(unit, "mg/dL")
    if (g < 1).any():
        raise DataError(f"a glucose of {g.min():g} mg/dL has no risk index", "mark missing values by NaN")
    score: Floats = 1.509 * (np.log(g) ** 1.084 - 5.381)
    return score


def _clipped(risk: Callable[[Floats, str], Floats]) -> Callable[[Floats, str], Floats]:
    """Return the risk of forecasts: they may leave the scale of glucose, the index ends at 20 and 600 mg/dL."""

    def clipped(g: Floats, unit: str) -> Floats:
        return risk(np.clip(g * conversion_factor(unit, "mg/dL"), 20.0, 600.0), "mg/dL")

    return clipped


def _number(sign: str) -> str:
    return (
        f"mean over all steps of (10 b^2 if b {sign} 0 else 0), b = 1.509 (ln(g)^1.084 - 5.381), g in mg/dL, 18.018 of "
        "them in 1 mmol/L, a forecast clipped to [20, 600]"
    )


_SOURCE = "Kovatchev et al. 1997, Diabetes Care 20(11)"

METRICS = (
    person_error("lbgi_error", _low, _clipped(_low), _number("<"), "1", _SOURCE),
    person_error("hbgi_error", _high, _clipped(_high), _number(">"), "1", _SOURCE),
)
