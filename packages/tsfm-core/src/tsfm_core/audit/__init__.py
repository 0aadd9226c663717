"""What a run says of itself, derived again from its files, its data and its model: one line a check."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tsfm_core.audit.evidence import Evidence, Failed, Finding, NotApplicable
from tsfm_core.audit.of_data import data, disjoint, scaler, split, training_windows, windows
from tsfm_core.audit.of_files import forecasts, protocol, run, scores, seen, selection, strategy, weights
from tsfm_core.audit.of_model import forecast_again, leak_probe
from tsfm_core.errors import TsfmError

if TYPE_CHECKING:
    from tsfm_core.run import Run

__all__ = ["CHECKS", "Finding", "audit"]

#: By name; each returns what it found, or raises.
CHECKS: dict[str, Callable[[Evidence], str]] = {
    "run": run,
    "strategy": strategy,
    "data": data,
    "split": split,
    "windows": windows,
    "disjoint": disjoint,
    "seen": seen,
    "training windows": training_windows,
    "scaler": scaler,
    "selection": selection,
    "weights": weights,
    "forecasts": forecasts,
    "protocol": protocol,
    "scores": scores,
    "forecast again": forecast_again,
    "leak probe": leak_probe,
}


def audit(run: Run) -> list[Finding]:
    """Return what each check found. Nothing is written, and nothing that was found stops the others."""
    evidence = Evidence(run)
    return [_finding(name, check, evidence) for name, check in CHECKS.items()]


def _finding(name: str, check: Callable[[Evidence], str], evidence: Evidence) -> Finding:
    question = (check.__doc__ or "").strip()
    try:
        return Finding(name, "ok", check(evidence), question)
    except Failed as failed:
        return Finding(name, "FAIL", str(failed), question)
    except NotApplicable as reason:
        return Finding(name, "not applicable", str(reason), question)
    except TsfmError as error:
        return Finding(name, "not checked", str(error), question)
