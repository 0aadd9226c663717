"""Metrics and statistics of tsfm: the plugin's scores, and the functions behind them for plain arrays.

Names are loaded when they are first used, so that importing this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tsfm_eval.alarms import AlarmScore, hypo_alarms, sustained_alarms
    from tsfm_eval.calibration import ece, mace, pit, reliability
    from tsfm_eval.clarke import clarke_zones
    from tsfm_eval.crps import crps_ensemble, crps_gaussian, crps_quantile, twcrps_ensemble, twcrps_quantile
    from tsfm_eval.detection import auprc, auroc, choose_threshold, operating_point
    from tsfm_eval.events import HypoEvents, hypo_events
    from tsfm_eval.gain import temporal_gain
    from tsfm_eval.glycaemic_classes import glycaemia
    from tsfm_eval.interval import central_interval, coverage, interval_score, sharpness, wis
    from tsfm_eval.parkes import parkes_zones
    from tsfm_eval.point import bias, cumulative_rmse, mae, mape, mse, rmse, smape
    from tsfm_eval.quantile import crossing_rate, mqloss, pinball, wql
    from tsfm_eval.ranges import time_in_ranges
    from tsfm_eval.risk import hbgi, lbgi
    from tsfm_eval.scaled import mase, msis, rmsse, seasonal_scales, sql
    from tsfm_eval.shape import dilate, discontinuity
    from tsfm_eval.statistics.bootstrap import Interval, bootstrap, bootstrap_mean, patient_bootstrap
    from tsfm_eval.statistics.critical_difference import draw_critical_difference
    from tsfm_eval.statistics.diebold_mariano import diebold_mariano
    from tsfm_eval.statistics.paired import paired_bootstrap
    from tsfm_eval.statistics.paired_tests import wilcoxon_holm
    from tsfm_eval.statistics.ranks import friedman_nemenyi
    from tsfm_eval.statistics.skill import skill_score, win_rate
    from tsfm_eval.statistics.sums import PatientSums, patient_sums
    from tsfm_eval.tail import brier, clamped_share, probability_below
    from tsfm_eval.weighted import grmse, mard

_HOME = {
    "alarms": ("AlarmScore", "hypo_alarms", "sustained_alarms"),
    "calibration": ("ece", "mace", "pit", "reliability"),
    "clarke": ("clarke_zones",),
    "crps": ("crps_ensemble", "crps_gaussian", "crps_quantile", "twcrps_ensemble", "twcrps_quantile"),
    "detection": ("auprc", "auroc", "choose_threshold", "operating_point"),
    "events": ("HypoEvents", "hypo_events"),
    "gain": ("temporal_gain",),
    "glycaemic_classes": ("glycaemia",),
    "interval": ("central_interval", "coverage", "interval_score", "sharpness", "wis"),
    "parkes": ("parkes_zones",),
    "point": ("bias", "cumulative_rmse", "mae", "mape", "mse", "rmse", "smape"),
    "quantile": ("crossing_rate", "mqloss", "pinball", "wql"),
    "ranges": ("time_in_ranges",),
    "risk": ("hbgi", "lbgi"),
    "scaled": ("mase", "msis", "rmsse", "seasonal_scales", "sql"),
    "shape": ("dilate", "discontinuity"),
    "statistics.bootstrap": ("Interval", "bootstrap", "bootstrap_mean", "patient_bootstrap"),
    "statistics.critical_difference": ("draw_critical_difference",),
    "statistics.diebold_mariano": ("diebold_mariano",),
    "statistics.paired": ("paired_bootstrap",),
    "statistics.paired_tests": ("wilcoxon_holm",),
    "statistics.ranks": ("friedman_nemenyi",),
    "statistics.skill": ("skill_score", "win_rate"),
    "statistics.sums": ("PatientSums", "patient_sums"),
    "tail": ("brier", "clamped_share", "probability_below"),
    "weighted": ("grmse", "mard"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "AlarmScore",
    "HypoEvents",
    "Interval",
    "PatientSums",
    "auprc",
    "auroc",
    "bias",
    "bootstrap",
    "bootstrap_mean",
    "brier",
    "central_interval",
    "choose_threshold",
    "clamped_share",
    "clarke_zones",
    "coverage",
    "crossing_rate",
    "crps_ensemble",
    "crps_gaussian",
    "crps_quantile",
    "cumulative_rmse",
    "diebold_mariano",
    "dilate",
    "discontinuity",
    "draw_critical_difference",
    "ece",
    "friedman_nemenyi",
    "glycaemia",
    "grmse",
    "hbgi",
    "hypo_alarms",
    "hypo_events",
    "interval_score",
    "lbgi",
    "mace",
    "mae",
    "mape",
    "mard",
    "mase",
    "mqloss",
    "mse",
    "msis",
    "operating_point",
    "paired_bootstrap",
    "parkes_zones",
    "patient_bootstrap",
    "patient_sums",
    "pinball",
    "pit",
    "probability_below",
    "reliability",
    "rmse",
    "rmsse",
    "seasonal_scales",
    "sharpness",
    "skill_score",
    "smape",
    "sql",
    "sustained_alarms",
    "temporal_gain",
    "time_in_ranges",
    "twcrps_ensemble",
    "twcrps_quantile",
    "wilcoxon_holm",
    "win_rate",
    "wis",
    "wql",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'tsfm_eval' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tsfm_eval.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
