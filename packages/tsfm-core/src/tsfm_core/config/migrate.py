"""An experiment of the old TTM layout in ours, with a note on every key that has no place or means something else."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import yaml

from tsfm_core.config import old_sections as sections
from tsfm_core.config.old_layout import OldKeys, is_old_layout
from tsfm_core.config.old_training import evaluation, runtime, training
from tsfm_core.config.resolve import validate
from tsfm_core.config.schema import Config
from tsfm_core.config.tree import Tree
from tsfm_core.errors import ConfigError

__all__ = ["Migrated", "is_old_layout", "migrate"]


@dataclass(frozen=True)
class Migrated:
    """A configuration in our layout.

    :param notes: one sentence for each old key that has no place or means something else, and for each old default.
    """

    config: dict[str, Any]
    notes: tuple[str, ...]

    def text(self) -> str:
        """Return the YAML file: the notes as comments, then the configuration."""
        lines = ["Migrated from the old layout. What is not the same, and what has no place:"]
        lines += [line for note in self.notes for line in wrap(note, 110, initial_indent="- ", subsequent_indent="  ")]
        body = yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
        return "".join(f"# {line}\n" for line in lines) + body


def migrate(tree: Tree, unit: str | None = None) -> Migrated:
    """Return what an old file says, in our layout.

    :param tree: of ``load_file``, or a mapping in a tree.
    :param unit: of the target, where its name does not say it.
    :raises ConfigError: for a file of another layout, and for what cannot be translated without guessing.
    """
    if not is_old_layout(tree):
        raise ConfigError(
            f"{tree.origin(())}: this is not the old layout, which has model.path, data.source_name and the like",
            "tsfm config show --config FILE reads a configuration of today's layout",
        )
    old = OldKeys(tree)
    strategy = sections.strategy_of(old)
    trains = strategy != "zero_shot"
    target = sections.target_of(old)
    asked = sections.task(old, target, unit)
    new: dict[str, Any] = sections.experiment(old) | {
        "task": asked,
        "data": sections.data(old, target, asked["past_covariates"]),
        "split": sections.split(old, trains),
        "model": sections.model(old, strategy),
        "runtime": runtime(old, trains),
        "training": {"strategy": strategy} | (training(old) if trains else {}),
        "evaluation": evaluation(old),
        "output": sections.output(old),
    }
    new |= sections.tracking(old)
    old.name_the_rest({} if trains else {"training": "zero_shot trains nothing"})
    config = {section: value for section, value in new.items() if value != {}}
    validate(Config, config, Tree(config, {(): tree.origins[()]}), ())
    return Migrated(config, tuple(old.notes))
