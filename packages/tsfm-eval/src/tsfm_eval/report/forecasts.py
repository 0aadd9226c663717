"""From stored forecasts to what is drawn of them, in one pass that keeps no chunk."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from tsfm_core import DataError, conversion_factor
from tsfm_core.data.store import StoredChunk
from tsfm_core.task import Task
from tsfm_core.units import KNOWN_UNITS, thresholds
from tsfm_eval.clarke import clarke_zones
from tsfm_eval.glucose import FLOAT32_SLACK
from tsfm_eval.pairs import Floats
from tsfm_eval.parkes import parkes_zones
from tsfm_eval.report.content import ZONES, Calibration, PairCounts, Pictures, Window

__all__ = ["NIGHT", "NIGHTS", "OBSERVED", "pictures"]

#: Squares of the density, in mg/dL, and how many there are from 0 on: to the edge of the published Parkes grid.
WIDTH, SQUARES = 5.0, 110
#: A window is shown as best, worst or in the middle if so much of its truth was observed.
OBSERVED = 0.8
#: Minutes of the local day between which a cutoff begins a night, and how many nights are kept.
NIGHT, NIGHTS = (22 * 60, 4 * 60), 6
#: The window in the middle is taken from the windows whose RMSE differs by less than this.
_RESOLUTION = 1.02


def pictures(chunks: Iterable[StoredChunk], task: Task, nocturnal: bool = False) -> dict[str, Pictures]:
    """Return what is drawn of each set but ``validation``.

    Error grids judge the 0.5 quantile, else the mean; the RMSE of a window the mean, else the 0.5 quantile.

    :param nocturnal: every cutoff begins a night, whatever its time; else those from 22:00 to before 04:00 do.
    """
    sets: dict[str, _Set] = {}
    for chunk in chunks:
        if chunk.set != "validation":
            sets.setdefault(chunk.set, _Set(task, nocturnal)).add(chunk)
    return {name: one.finish() for name, one in sets.items()}


class _Set:
    def __init__(self, task: Task, nocturnal: bool) -> None:
        self.task, self.nocturnal = task, nocturnal
        self.absent: dict[str, str] = {}
        self.counts = np.zeros(SQUARES * SQUARES, np.int64)
        self.zones = {name: np.zeros(len(ZONES), np.int64) for name in ("clarke", "parkes_t1")}
        self.judged, self.beyond, self.compared, self.below = "median", 0, 0, np.zeros(len(task.quantile_levels))
        self.best: Window | None = None
        self.worst: Window | None = None
        self.alike: dict[int, tuple[int, Window]] = {}
        self.nights: dict[tuple[str, np.datetime64], Window] = {}
        if task.unit not in KNOWN_UNITS:
            why = f"it is defined for glucose, not for {task.unit}"
            self.absent |= {"pairs": why, "nights": why}

    def add(self, chunk: StoredChunk) -> None:
        """Count the pairs of a chunk, and keep its windows that are more extreme than those kept."""
        truth = chunk.truth.astype(np.float64)
        quantiles = None if chunk.quantiles is None else np.sort(chunk.quantiles.astype(np.float64), axis=1)
        levels = self.task.quantile_levels
        mean = None if chunk.mean is None else chunk.mean.astype(np.float64)
        median = quantiles[:, levels.index(0.5)] if quantiles is not None and 0.5 in levels else None
        if quantiles is None:
            self.absent["calibration"] = "the forecasts have no quantiles"
        else:
            self._calibrate(truth, quantiles)
        judged, squared = (mean if median is None else median), (median if mean is None else mean)
        if judged is None or squared is None:
            why = "the forecasts have neither a mean nor the 0.5 quantile"
            self.absent |= dict.fromkeys(("pairs", "best", "nights"), why)
            return
        self.judged = "mean" if median is None else "median"
        if "pairs" not in self.absent:
            self._count(truth, judged)
        self._extremes(chunk, truth, squared, quantiles)
        if "nights" not in self.absent:
            self._nights(chunk, truth, judged, quantiles)

    def finish(self) -> Pictures:
        """Return what was kept, with a reason for what is not there."""
        if not self.zones["clarke"].any():
            self.absent.setdefault("pairs", "no pair of a truth and a forecast is complete")
        if not self.compared:
            self.absent.setdefault("calibration", "no pair of a truth and its quantiles is complete")
        if not self.alike:
            self.absent.setdefault("best", f"no window has {OBSERVED:.0%} of its truth")
        if not self.nights:
            self.absent.setdefault("nights", "no true low of a night was over-estimated")
        size = self.counts.reshape(SQUARES, SQUARES)
        pairs = PairCounts(size, WIDTH, self.beyond, self.zones, self.judged)
        below = tuple(float(count / self.compared) for count in self.below) if self.compared else ()
        calibration = Calibration(self.task.quantile_levels, below, self.compared)
        return Pictures(
            pairs=None if "pairs" in self.absent else pairs,
            calibration=None if "calibration" in self.absent else calibration,
            best=self.best,
            median=self._middle(),
            worst=self.worst,
            nights=tuple(sorted(self.nights.values(), key=_severity)[:NIGHTS]),
            absent=self.absent,
        )

    def _count(self, truth: Floats, point: Floats) -> None:
        try:
            clarke = clarke_zones(truth, point, self.task.unit, slack=FLOAT32_SLACK)
            parkes = parkes_zones(truth, point, self.task.unit, slack=FLOAT32_SLACK)
        except DataError as error:
            self.absent["pairs"] = str(error.message)
            return
        factor = conversion_factor(self.task.unit, "mg/dL")
        both = clarke >= 0
        for name, zones in (("clarke", clarke), ("parkes_t1", parkes)):
            self.zones[name] += np.bincount(zones[both], minlength=len(ZONES))
        row, column = (np.floor(np.maximum(side[both], 0.0) * (factor / WIDTH)) for side in (truth, point))
        inside = (row < SQUARES) & (column < SQUARES)
        self.beyond += int((~inside).sum())
        square = (row[inside] * SQUARES + column[inside]).astype(np.int64)
        self.counts += np.bincount(square, minlength=SQUARES * SQUARES)

    def _calibrate(self, truth: Floats, quantiles: Floats) -> None:
        both = np.isfinite(truth) & np.isfinite(quantiles).all(axis=1)
        self.compared += int(both.sum())
        self.below += [int((both & (truth <= quantiles[:, at])).sum()) for at in range(quantiles.shape[1])]

    def _extremes(self, chunk: StoredChunk, truth: Floats, point: Floats, quantiles: Floats | None) -> None:
        error = truth - point
        observed = np.isfinite(error)
        usable = np.flatnonzero(observed.mean(axis=1) >= OBSERVED)
        if not len(usable):
            return
        squares = np.where(observed, error, 0.0)[usable] ** 2
        score = np.sqrt(squares.sum(axis=1) / observed[usable].sum(axis=1))

        def window(at: np.intp) -> Window:
            return _window(chunk, int(usable[at]), float(score[at]), point, quantiles)

        least, greatest = score.argmin(), score.argmax()
        if self.best is None or score[least] < self.best.score:
            self.best = window(least)
        if self.worst is None or score[greatest] > self.worst.score:
            self.worst = window(greatest)
        bins = np.floor(np.log(np.maximum(score, 1e-12)) / math.log(_RESOLUTION)).astype(int)
        for alike, first, count in zip(*np.unique(bins, return_index=True, return_counts=True), strict=True):
            was, kept = self.alike.get(int(alike), (0, None))
            self.alike[int(alike)] = (was + int(count), kept or window(first))

    def _middle(self) -> Window | None:
        half, reached = sum(count for count, _ in self.alike.values()) / 2, 0
        for _, (count, window) in sorted(self.alike.items()):
            reached += count
            if reached >= half:
                return window
        return None

    def _nights(self, chunk: StoredChunk, truth: Floats, point: Floats, quantiles: Floats | None) -> None:
        minute = chunk.minute.astype(np.int64)
        if not self.nocturnal and (minute < 0).all():
            self.absent["nights"] = "the time of day is not known"
            return
        begins = (minute >= NIGHT[0]) | ((minute >= 0) & (minute < NIGHT[1])) | self.nocturnal
        with np.errstate(invalid="ignore"):  # inf - inf
            low = (truth > 0) & (truth < thresholds(self.task.unit).low)
            over = np.where(low, point - truth, -np.inf)
        missed = np.where(np.isfinite(over), over, -np.inf).max(axis=1)
        found = np.flatnonzero(begins & (missed > 0))
        # from noon to noon: neighbouring cutoffs of one night show one thing
        noon = chunk.cutoff - np.where(minute < 0, 0, minute) * np.timedelta64(60, "s")
        noon = noon - np.where(minute < 12 * 60, 1, 0) * np.timedelta64(86400, "s")
        for at in found[np.argsort(-missed[found], kind="stable")]:
            if len(self.nights) >= NIGHTS and missed[at] <= min(one.score for one in self.nights.values()):
                break
            night = (str(chunk.item_id[at]), noon[at])
            if night not in self.nights or missed[at] > self.nights[night].score:
                self.nights[night] = _window(chunk, int(at), float(missed[at]), point, quantiles)
            if len(self.nights) > NIGHTS:
                del self.nights[max(self.nights, key=lambda one: _severity(self.nights[one]))]


def _severity(window: Window) -> tuple[float, str, str]:
    return -window.score, window.item_id, str(window.cutoff)


def _window(
    chunk: StoredChunk, at: int, score: float, point: Floats, quantiles: npt.NDArray[np.float64] | None
) -> Window:
    return Window(
        item_id=str(chunk.item_id[at]),
        cutoff=chunk.cutoff[at],
        score=score,
        context=chunk.context[at].astype(np.float64),
        truth=chunk.truth[at].astype(np.float64),
        point=point[at].copy(),
        quantiles=None if quantiles is None else quantiles[at].copy(),
    )
