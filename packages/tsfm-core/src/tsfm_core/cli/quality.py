"""The report on a source, as tables and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tsfm_core.cli.output import note, print_lines, print_table

if TYPE_CHECKING:
    from tsfm_core.data.panel import Panel
    from tsfm_core.data.quality import Quality

__all__ = ["print_report"]

_ITEMS = {
    "item_id": "item",
    "first": "first",
    "last": "last",
    "cadence": "cadence",
    "slots": "slots",
    "readings": "readings",
    "coverage": "coverage",
    "gaps": "gaps >45min >2h >6h >1D",
    "longest_gap": "longest",
    "mean": "mean",
}
_ROWS = {
    "item_id": "item",
    "rows": "rows",
    "shared": "another's",
    "repeats": "exact repeats",
    "doubles": "other doubles",
    "unsorted": "unsorted",
    "off_grid": "off grid",
    "impossible": "impossible",
}


def print_report(panel: Panel, quality: Quality) -> None:
    """Print what every item is like, what its rows were like, its channels, and what a person must know."""
    from dataclasses import asdict

    from tsfm_core.errors import listing
    from tsfm_core.report import synthetic_note

    rows = [asdict(item) for item in quality.items]
    for row in rows:
        row["gaps"] = " / ".join(str(count) for count in row["gaps"].values())
        row["doubles"] = row["duplicates"] - row["repeats"]
    zones = {"zone": "time zone"} if panel.zones else {}
    print_table(rows, _ITEMS | {"mean": f"mean {panel.unit}"} | zones)
    print_table(
        rows, {name: head for name, head in _ROWS.items() if name == "item_id" or any(row[name] for row in rows)}
    )
    channels = [name for name in panel.columns if name != panel.target]
    if channels:
        held = {name: "total" if any("total" in row["channels"][name] for row in rows) else "mean" for name in channels}
        held |= dict.fromkeys(panel.categories, "labels")
        # by place: a channel may be called like anything else
        recorded = [
            {"item_id": row["item_id"]}
            | {at: row["channels"][name].get(held[name]) for at, name in enumerate(channels)}
            for row in rows
        ]
        print_table(recorded, {"item_id": "item"} | {at: f"{name} ({held[name]})" for at, name in enumerate(channels)})
    for name, labels in panel.categories.items():
        print_lines(f"labels of {name}: {listing(labels)}")
    if panel.provenance.get("synthetic"):
        note(synthetic_note(panel.provenance))
    for name in channels:
        without = [row["item_id"] for row in rows if not row["channels"][name]["recorded"]]
        if without:
            note(f"{name} is not recorded in {listing(without)}")
    for pair in quality.shared:
        note(f"{pair['other']} has {pair['rows']:,} rows of {pair['owner']} (same stamp, same value)")
    for one in quality.notes:
        number = f": {one['rows']:,}" if one["rows"] else ""
        note(f"{one['item_id'] or 'all'}: {one['what']}{number}")
    for problem, hint in quality.problems:
        note(f"problem: {problem}; {hint}")
