"""What the processes of one training tell each other; alone, a process is told its own."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
import torch.distributed as dist

__all__ = ["count", "each_of", "part", "rank", "sum_of", "wait"]

T = TypeVar("T", float, torch.Tensor)


def count() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process among them, from 0 on: the first alone writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def sum_of(value: T, device: torch.device) -> T:
    """Return the sum of a number, or of a tensor element by element, over the processes."""
    if count() == 1:
        return value
    if isinstance(value, torch.Tensor):
        total = value.clone()
        dist.all_reduce(total)
        return total
    summed = torch.tensor(value, dtype=torch.float64, device=device)
    dist.all_reduce(summed)
    return summed.item()


def each_of(value: Any) -> list[Any]:
    """Return what each process gives, by rank."""
    if count() == 1:
        return [value]
    found: list[Any] = [None] * count()
    dist.all_gather_object(found, value)
    return found


def wait() -> None:
    """Go on when all processes have come here."""
    if count() > 1:
        dist.barrier()


def part() -> None:
    """Go separate ways, when all processes have come here."""
    if count() > 1:
        dist.barrier()
        dist.destroy_process_group()
