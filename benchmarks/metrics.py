"""Error grids: zones of a million pairs against methcomp and error-grids, and the pairs on which they disagree.

Aims: Clarke at least 3 times as fast as the faster of the two, Parkes at least 20 times.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from _pairs import machine, pairs, report

from tsfm_eval.clarke import clarke_zones
from tsfm_eval.parkes import parkes_zones

_Zones = Callable[[Any, Any], Any]

_OURS: dict[str, _Zones] = {
    "Clarke": clarke_zones,
    "Clarke, matlab": lambda r, p: clarke_zones(r, p, convention="matlab"),
    "Parkes type 1": parkes_zones,
    "Parkes type 2": lambda r, p: parkes_zones(r, p, diabetes_type=2),
}
#: Its polygons take half a minute for a million pairs.
_SLOW = ("methcomp", "Parkes type 1")


def main() -> None:
    """Print ratios, then disagreements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--longest", type=int, default=550, help="of the whole-number pairs on which zones are compared"
    )
    options = parser.parse_args()
    peers = _peers()
    print(machine())
    random = np.random.default_rng(0)
    r = random.uniform(20.0, 500.0, options.pairs)
    p = np.clip(r + random.normal(0.0, 60.0, options.pairs), 1.0, None)
    print(f"{options.pairs:,} random pairs, {options.rounds} rounds in turn")
    for grid in ("Clarke", "Parkes type 1"):
        seconds = {}
        for name, zones in peers.items():
            rounds = 1 if (name, grid) == _SLOW else options.rounds
            times = pairs(lambda grid=grid: _OURS[grid](r, p), lambda zones=zones[grid]: zones(r, p), rounds)  # type: ignore[misc]
            report(f"{grid}, seconds", name, times)
            seconds[name] = statistics.median(theirs / ours for ours, theirs in times)
        if seconds:
            nearest = min(seconds, key=lambda name: seconds[name])
            print(f"{grid}: {seconds[nearest]:.1f} times as fast as {nearest}, the faster of {len(seconds)}")
    r, p = (
        np.array(one, dtype=np.float64) for one in zip(*product(range(1, options.longest + 1), repeat=2), strict=True)
    )
    print(f"{r.size:,} whole-number pairs, 1 to {options.longest}")
    for grid, ours in _OURS.items():
        found = ours(r, p)
        for name, zones in peers.items():
            _disagreements(grid, name, r, p, found, np.asarray(zones[grid.partition(",")[0]](r, p)))


def _peers() -> dict[str, dict[str, _Zones]]:
    """Return the grids of each package that is installed; say which is not."""
    makers = {"methcomp": _methcomp, "error_grids": _error_grids}
    found = {}
    for name, make in makers.items():
        try:
            found[name] = make(importlib.import_module(name))
        except ImportError as error:
            print(f"{name} is not installed and not compared: {error}")
    return found


def _methcomp(package: Any) -> dict[str, _Zones]:
    return {
        "Clarke": lambda r, p: package.clarkezones(r, p, "mgdl", numeric=True),
        "Parkes type 1": lambda r, p: package.parkeszones(1, r, p, "mgdl", numeric=True),
        "Parkes type 2": lambda r, p: package.parkeszones(2, r, p, "mgdl", numeric=True),
    }


def _error_grids(package: Any) -> dict[str, _Zones]:
    zone = np.array([0, 1, 1, 2, 2, 3, 3, 4, 4])  # it tells the upper from the lower part of a zone
    return {
        "Clarke": lambda r, p: zone[package.clarke_error_zone_detailed(r, p)],
        "Parkes type 1": lambda r, p: zone[package.parkes_error_zone_detailed(r, p, 1)],
        "Parkes type 2": lambda r, p: zone[package.parkes_error_zone_detailed(r, p, 2)],
    }


def _disagreements(grid: str, name: str, r: Any, p: Any, ours: Any, theirs: Any) -> None:
    """Print how many zones differ, and of each kind how many and the pair in the middle."""
    print(f"{grid}, {name}: {np.count_nonzero(ours != theirs):,} zones differ")
    for mine, other in product(range(5), repeat=2):
        at = np.flatnonzero((ours == mine) & (theirs == other))
        if mine != other and at.size:
            middle = at[at.size // 2]
            print(
                f"  {'ABCDE'[mine]} here, {'ABCDE'[other]} there: {at.size:,}, such as ({r[middle]:g}, {p[middle]:g})"
            )


if __name__ == "__main__":
    main()
