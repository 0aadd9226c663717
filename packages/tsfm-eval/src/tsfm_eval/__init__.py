"""Metrics of tsfm: the plugin's scores, and the functions behind them for plain arrays.

Names are loaded when they are first used, so that importing this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tsfm_eval.clarke import clarke_zones
    from tsfm_eval.point import mae, mape, mse, rmse
    from tsfm_eval.quantile import pinball

_MODULE_OF = {
    "clarke_zones": "clarke",
    "mae": "point",
    "mape": "point",
    "mse": "point",
    "pinball": "quantile",
    "rmse": "point",
}

__all__ = ["clarke_zones", "mae", "mape", "mse", "pinball", "rmse"]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'tsfm_eval' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tsfm_eval.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
