"""``tsfm data split``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tsfm_core.cli.options import ConfigFile, Json, Settings
from tsfm_core.cli.output import note, print_json, print_lines, print_table

__all__ = ["split_command"]

_COLUMNS = {"item_id": "item", "set": "set", "rows": "rows", "first": "first", "last": "last"}


def split_command(
    config: ConfigFile = None,
    settings: Settings = None,
    output: Annotated[Path | None, typer.Option(help="Freeze the split: a YAML file to write.", metavar="FILE")] = None,
    as_json: Json = False,
) -> None:
    """Print which rows of each item are in which set; --output freezes the split for a config to !include."""
    from tsfm_core.config.resolve import read_config, require
    from tsfm_core.data.holdout import frozen_text, set_rows
    from tsfm_core.data.split import check_split, split_panel
    from tsfm_core.files import check_new, write_text
    from tsfm_core.opening import open_panel, refuse

    resolved = read_config(config, settings or ()).config
    task = require(resolved.task, "task", "tsfm data split")
    data = require(resolved.data, "data", "tsfm data split")
    wanted = require(resolved.split, "split", "tsfm data split")
    check_split(wanted)
    if output:
        check_new(output)
    panel, quality = open_panel(data, task)
    refuse(quality, data.path or data.source or "+".join(panel.provenance["sources"]))
    split = split_panel(panel, wanted, resolved.seed)
    rows = set_rows(panel, split)
    if output:
        write_text(output, frozen_text(panel, split))
    if as_json:
        facts = {"digest": split.digest, "patient_holdout": split.held_out, "notes": split.notes}
        print_json(facts | {"fingerprint": panel.fingerprint, "items": rows})
    else:
        print_table(rows, _COLUMNS)
        print_lines(f"patient_holdout: {', '.join(split.held_out) or 'none'}\ndigest: {split.digest}")
        for sentence in split.notes:
            note(sentence)
    if output:
        note(f"the split is frozen: {output}")
