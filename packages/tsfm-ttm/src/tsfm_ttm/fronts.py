"""Fronts of :func:`tsfm_core.train` under the names that code for TTM had before."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tsfm_core.config.tree import Tree
    from tsfm_core.run import Run

__all__ = ["TTMConfig", "TTMTrainer", "finetune_ttm"]


@dataclass(frozen=True)
class TTMConfig:
    """A configuration for ``ttm``.

    :param source: a YAML file, or the same as a mapping.
    """

    source: Path | Mapping[str, Any]

    @classmethod
    def from_yaml(cls, path: str | Path) -> TTMConfig:
        """Return the configuration in a file.

        Of the old layout too, with a DeprecationWarning that says what was not taken over as it is.

        :raises ConfigError: for a file that cannot be read, or that cannot be translated without guessing.
        """
        from tsfm_core.config.loader import load_file
        from tsfm_core.config.migrate import is_old_layout

        tree = load_file(Path(path))
        if not is_old_layout(tree):
            return cls(Path(path))
        return _migrated(tree, f"{path} has the old layout; write it anew by: tsfm config migrate {path} --output FILE")


@dataclass(frozen=True)
class TTMTrainer:
    """Trains by a configuration."""

    config: TTMConfig

    def train(self) -> Run:
        """Train, forecast and score as ``tsfm train ttm`` does, and return the run."""
        from tsfm_core import train

        return train("ttm", self.config.source)


def finetune_ttm(
    model_path: str,
    context_length: int,
    forecast_length: int,
    data_source_name: str,
    y_feature: Sequence[str],
    x_features: Sequence[str],
    timestamp_column: str,
    resolution_min: int,
    data_split: Sequence[float],
    fewshot_percent: float,
    batch_size: int,
    learning_rate: float | None,
    num_epochs: int,
    resume_dir: str | None = None,
    loss: str = "mse",
    use_cpu: bool = False,
    dataloader_num_workers: int | None = None,
) -> Run:
    """Train a TTM by the arguments of the old function, and return the run. Deprecated: use ``tsfm_core.train``.

    What becomes of each argument is what ``tsfm config migrate`` makes of the key of its name.

    :param data_source_name: a data set of the old code, whose cache is read, or a csv or parquet file.
    :raises TsfmError: for what cannot be translated, and whatever ``tsfm train`` refuses.
    """
    from tsfm_core.config.tree import Origin, Tree

    values: dict[str, Any] = {
        "model": {"path": model_path, "context_length": context_length, "forecast_length": forecast_length},
        "data": {
            "source_name": data_source_name,
            "y_feature": list(y_feature),
            "x_features": list(x_features),
            "timestamp_column": timestamp_column,
            "resolution_min": resolution_min,
            "data_split": list(data_split),
            "fewshot_percent": fewshot_percent,
        },
        "training": {
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "num_epochs": num_epochs,
            "loss": loss,
            "use_cpu": use_cpu,
        },
    }
    asked = {"resume_dir": resume_dir, "dataloader_num_workers": dataloader_num_workers}
    values["training"] |= {name: value for name, value in asked.items() if value is not None}
    tree = Tree(values, {(): Origin("finetune_ttm")})
    return TTMTrainer(_migrated(tree, "finetune_ttm is the old way; use tsfm_core.train('ttm', config)")).train()


def _migrated(tree: Tree, sentence: str) -> TTMConfig:
    """Return what an old configuration becomes, and warn the caller of the caller."""
    from tsfm_core.config.migrate import migrate

    migrated = migrate(tree)
    warnings.warn("\n- ".join((sentence, *migrated.notes)), DeprecationWarning, stacklevel=3)
    return TTMConfig(migrated.config)
