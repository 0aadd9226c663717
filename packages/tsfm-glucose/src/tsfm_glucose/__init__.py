"""Continuous glucose monitoring for tsfm: units and thresholds, the simulated data set, the demo."""

from __future__ import annotations

from tsfm_glucose.units import Thresholds, convert, thresholds

__all__ = ["Thresholds", "convert", "thresholds"]
