"""Reading an archive as core asks for it: rows as one table, and what the reader counted."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from tsfm_core import Source
from tsfm_core.plugins import host


@dataclass
class Rows:
    """What a reader gave: its rows, and ``{(item_id, what): rows}`` of what it counted."""

    frame: pd.DataFrame
    counts: dict

    def of(self, item, channel):
        """Return ``[(stamp, value)]`` of one channel of one item, in the order given."""
        own = self.frame[(self.frame.item_id == item) & self.frame[channel].notna()]
        return [(str(stamp), value) for stamp, value in zip(own.timestamp, own[channel], strict=True)]


@pytest.fixture
def read():
    """Return ``read(name, path, columns=None, **options)``: by default every channel that the data set offers."""

    def rows(name, path, columns=None, **options):
        dataset = host().dataset(name)
        wanted = columns or ["item_id", "timestamp", "glucose", *dataset.channels]
        if "timezone" in dataset.columns:
            wanted = [*wanted, dataset.columns["timezone"]]
        counts = {}

        def count(item, what, number):
            counts[item, what] = counts.get((item, what), 0) + int(number)

        given = dataset.options_schema(**options) if dataset.options_schema else None
        source = Source(Path(path) if path else None, wanted, given, count)
        parts = [batch.to_pandas() for batch in dataset.read(source)]
        frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=wanted)
        return Rows(frame.reindex(columns=wanted), {key: number for key, number in counts.items() if number})

    return rows
