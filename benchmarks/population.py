"""Virtual people: days of them a second, and how like real people's their readings are.

The population of ``tsfm_glucose.population`` against the package simglucose's own way, one person minute by minute, in
turn in one process. All of the latter's days count, also the one that it does not give; of ours those that are given,
so that the eight in which a person settles are at its expense. Beside it, ``simulate_blocks`` with all cores.

Then statistics of readings: percentiles over 200 virtual people of 20 days, beside four of the real people that
TSFM_SHARED names, those that may be looked at. Without it the virtual ones stand alone.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _likeness import read_real, table
from _pairs import machine, pairs

from tsfm_glucose.population import VALUES, simulate_blocks
from tsfm_glucose.simulation import BURN_IN
from tsfm_glucose.sources import simglucose

_PEOPLE, _DAYS, _SEED, _MONDAY = 200, 20, 1, 0


def main() -> None:
    """Print speeds and the table; draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of the speeds; 0 leaves them out")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draws both; needs matplotlib")
    given = parser.parse_args()
    if given.plot and not (given.plot.suffix == ".png" and given.plot.parent.is_dir()):
        parser.error(f"{given.plot} is no .png in a folder that is there")
    print(machine())
    tables = simglucose._tables(simglucose._simulator())

    def simulated(people: int) -> np.ndarray:
        return np.concatenate(list(simulate_blocks(people, _SEED, _DAYS, _MONDAY, tables)))

    for people, cores in ((_PEOPLE, "one process"), (2 * _PEOPLE, "all cores")):
        if given.rounds:
            what = f"{people} people x {_DAYS} days, {cores}"
            _speeds(what, lambda people=people: simulated(people), people, given.rounds)  # type: ignore[misc]
    columns = dict(zip(VALUES, simulated(_PEOPLE).astype(float).transpose(2, 0, 1), strict=True))
    real = read_real()
    named = ", ".join(real) or "none, TSFM_SHARED is not set"
    print(f"{_PEOPLE} virtual people x {_DAYS} days, seed {_SEED}; real people: {named}")
    print(table(list(columns["glucose"]), list(real.values())))
    if given.plot:
        from _likeness_plot import draw

        draw(given.plot, list(columns["glucose"]), list(columns["carbs_eaten_g"]), list(real.values()))


def _speeds(what: str, ours: Callable[[], object], people: int, rounds: int) -> None:
    """Print days a second of both, medians, and the ratio, higher is better."""
    times = pairs(ours, lambda: simglucose.simulate("adult#001", _SEED, 1, _MONDAY), rounds)
    speeds = [(people * _DAYS / mine, (BURN_IN + 1) / other) for mine, other in times]
    mine, other = (statistics.median(one) for one in zip(*speeds, strict=True))
    ratios = [one / peer for one, peer in speeds]
    print(
        f"{what}: {mine:,.0f} days a second, simulate() {other:.2f}, ratio {statistics.median(ratios):,.0f} "
        f"(from {min(ratios):,.0f} to {max(ratios):,.0f} in {rounds} pairs)",
        flush=True,
    )


if __name__ == "__main__":
    main()
