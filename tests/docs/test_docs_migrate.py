"""docs/migrate.md shows what the command makes of the file it shows."""

from __future__ import annotations

from pathlib import Path

from tsfm_core.config.loader import load_file
from tsfm_core.config.migrate import migrate
from tsfm_core.config.resolve import read_config
from tsfm_core.plugins import host


def test_the_example_becomes_what_is_shown(blocks, tmp_path: Path) -> None:
    old, new = (block.text for block in blocks if block.document == "docs/migrate.md" and block.language == "text")
    (tmp_path / "old.yaml").write_text(old)
    assert migrate(load_file(tmp_path / "old.yaml")).text() == new
    (tmp_path / "new.yaml").write_text(new)
    resolved = read_config(tmp_path / "new.yaml")
    card = host().model("ttm").card
    assert resolved.section("training", card.training_schema).strategy == "head"
    resolved.section("model", card.config_schema, without=("checkpoint",))
