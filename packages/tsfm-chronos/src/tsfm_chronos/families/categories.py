"""Categorical covariates as numbers, by what each window shows of them."""

from __future__ import annotations

import numpy as np

from tsfm_chronos.families.family import Floats

__all__ = ["encode_categories"]


def encode_categories(context: Floats, future: Floats, row: int, labels: int) -> None:
    """Replace codes by the mean target of their label in the window's own context, in place.

    Smoothed as upstream does: ``(m + sum) / (1 + count)``, m the mean of the context; a label that the context does not
    show has m. The truth is never looked at, and what is not recorded stays so.

    :param context: ``[B, V, C]``, the target first.
    :param future: ``[B, V, H]``, NaN throughout where nothing is known in advance.
    :param row: of the variate.
    :param labels: how many there are; the codes lie below.
    """
    labels = max(labels, 1)  # a channel in which nothing is recorded has none
    target, codes = context[:, 0].astype(np.float64), context[:, row]
    count = len(codes)
    seen = np.isfinite(target)
    values = np.where(seen, target, 0.0)
    mean = values.sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    both = seen & np.isfinite(codes)
    place = np.broadcast_to(np.arange(count)[:, None] * labels, codes.shape)[both] + codes[both].astype(np.int64)
    sums = np.bincount(place, weights=target[both], minlength=count * labels).reshape(count, labels)
    counts = np.bincount(place, minlength=count * labels).reshape(count, labels)
    table = (mean[:, None] + sums) / (1 + counts)
    for variates in (context, future):
        own = variates[:, row]
        known = np.isfinite(own)
        found = np.take_along_axis(table, np.where(known, own, 0).astype(np.int64), axis=1)
        variates[:, row] = np.where(known, found, np.nan)
