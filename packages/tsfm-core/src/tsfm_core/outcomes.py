"""What two runs of one configuration left, side by side: what differs, and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tsfm_core.data.digest import forecasts_hash
from tsfm_core.errors import listing
from tsfm_core.run import Run

__all__ = ["Compared", "compare_outcomes", "flat"]

#: What says which window a row is of.
_KEYS = ("set", "item_id", "cutoff")


@dataclass(frozen=True)
class Compared:
    """One thing that two runs have.

    :param same: None: it cannot be said.
    :param said: what is the same, or what differs and by how much, in words.
    :param details: by name what differs: the largest absolute difference, or what was and what is.
    """

    what: str
    same: bool | None
    said: str
    details: Mapping[str, Any] = field(default_factory=dict)


def compare_outcomes(one: Run, other: Run) -> list[Compared]:
    """Return how the weights, windows, forecasts and scores of ``other`` differ from those of ``one``."""
    digests = [run.facts.get("protocol_digest") for run in (one, other)]
    found = [] if one.best_checkpoint is None and other.best_checkpoint is None else [_weights(one, other)]
    found += [_counts(one, other), _digest(*digests), _forecasts(one.forecasts_path, other.forecasts_path)]
    return [*found, _metrics(one.metrics or {}, other.metrics or {})]


def flat(value: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``(dotted name, value)`` of everything in plain data."""
    if isinstance(value, Mapping | list):
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, below in pairs:
            yield from flat(below, f"{above}.{key}" if above else str(key))
    else:
        yield above, value


def _weights(one: Run, other: Run) -> Compared:
    first, second = (_tensor_files(run.best_checkpoint) for run in (one, other))
    if set(first) != set(second):
        return Compared("weights", False, f"files {listing(first)} and {listing(second)}")
    details = {}
    for name, path in first.items():
        if path.read_bytes() != second[name].read_bytes():
            details[name] = _largest_of_tensors(path, second[name])
    if not details:
        return Compared("weights", True, f"the same bytes: {listing(first)}")
    said = listing(f"{name} by {_amount(amount)}" for name, amount in details.items())
    return Compared("weights", False, f"at most {said}", details)


def _tensor_files(best: Path | None) -> dict[str, Path]:
    return {} if best is None else {str(one.relative_to(best)): one for one in sorted(best.rglob("*.safetensors"))}


def _largest_of_tensors(one: Path, other: Path) -> float | None:
    """Return the largest absolute difference of two files of tensors; None where they hold other tensors."""
    from safetensors.numpy import load_file

    try:
        first, second = load_file(one), load_file(other)
    except (KeyError, TypeError):  # a kind of number that numpy does not have
        return None
    if {name: tensor.shape for name, tensor in first.items()} != {
        name: tensor.shape for name, tensor in second.items()
    }:
        return None
    return max((_largest(tensor, second[name]) for name, tensor in first.items()), default=0.0)


def _counts(one: Run, other: Run) -> Compared:
    was, now = (run.facts["windows"] for run in (one, other))
    if was == now:
        return Compared("windows", True, ", ".join(f"{count:,} {name}" for name, count in was.items()))
    details = {name: [was.get(name), now.get(name)] for name in {**was, **now} if was.get(name) != now.get(name)}
    return Compared("windows", False, listing(f"{name} {a} -> {b}" for name, (a, b) in details.items()), details)


def _digest(was: str | None, now: str | None) -> Compared:
    if was == now:
        return Compared("protocol", True, f"digest {str(was)[:12]}")
    return Compared("protocol", False, f"digest {str(was)[:12]} -> {str(now)[:12]}")


def _forecasts(one: Path, other: Path) -> Compared:
    rows = pq.read_metadata(one).num_rows
    if forecasts_hash(one) == forecasts_hash(other):
        return Compared("forecasts", True, f"the same bits in {rows:,} windows")
    keys = [pq.read_table(path, columns=list(_KEYS)).to_pydict() for path in (one, other)]
    if keys[0] != keys[1]:
        apart = set(zip(*keys[0].values(), strict=True)) ^ set(zip(*keys[1].values(), strict=True))
        return Compared("forecasts", False, f"{len(apart):,} windows are in one of the two alone", {})
    names = [list(pq.read_schema(path).names) for path in (one, other)]
    columns = [name for name in names[0] if name in names[1] and name not in _KEYS]
    details: dict[str, float | None] = dict.fromkeys(sorted({*names[0]} ^ {*names[1]}))
    changed = np.zeros(rows, bool)
    for name in columns:
        first, second = (_matrix(pq.read_table(path, columns=[name])[name]) for path in (one, other))
        differs = ~((first == second) | (np.isnan(first) & np.isnan(second)))
        if differs.any():
            details[name] = _largest(first, second)
            changed |= differs.any(axis=1)
    said = listing(f"{name} by {_amount(amount)}" for name, amount in details.items())
    return Compared("forecasts", False, f"{int(changed.sum()):,} of {rows:,} windows, at most {said}", details)


def _matrix(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    whole = column.combine_chunks()
    values = whole.flatten() if pa.types.is_fixed_size_list(whole.type) else whole
    array = np.asarray(values.to_numpy(zero_copy_only=False), np.float64)
    return array.reshape(len(whole), -1)


def _metrics(was: Mapping[str, Any], now: Mapping[str, Any]) -> Compared:
    first, second = dict(flat(was)), dict(flat(now))
    details = {
        name: [first.get(name), second.get(name)]
        for name in {**first, **second}
        if first.get(name) != second.get(name) or (name in first) != (name in second)
    }
    if not details:
        return Compared("scores", True, f"the same {len(first):,} values")
    gaps = {name: gap for name, (a, b) in details.items() if (gap := _gap(a, b)) is not None}
    said = f"{len(details):,} of {len({**first, **second}):,} values"
    if gaps:
        name = max(gaps, key=lambda one: gaps[one])
        said += f", at most {name} by {gaps[name]:.6g}"
    return Compared("scores", False, said, details)


def _gap(one: Any, other: Any) -> float | None:
    """Return how far two numbers are apart; None where one of them is none."""
    numbers = [value for value in (one, other) if isinstance(value, int | float) and not isinstance(value, bool)]
    return abs(numbers[0] - numbers[1]) if len(numbers) == 2 else None


def _largest(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    """Return the largest absolute difference; infinite where one of two has no value."""
    first, second = one.astype(np.float64), other.astype(np.float64)
    with np.errstate(invalid="ignore"):
        gap = np.abs(first - second)
    gap[(first == second) | (np.isnan(first) & np.isnan(second))] = 0.0
    return float(np.where(np.isnan(gap), np.inf, gap).max(initial=0.0))


def _amount(amount: float | None) -> str:
    return "other tensors or columns" if amount is None else f"{amount:.6g}"
