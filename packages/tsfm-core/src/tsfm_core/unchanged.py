"""Whether what a run began with is still there, to the bit: its data, its split and its starting checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tsfm_core.config.resolve import Resolved
from tsfm_core.errors import RunError, listing
from tsfm_core.files import folder_hash
from tsfm_core.plugins import host
from tsfm_core.prepare import Prepared, local_checkpoint
from tsfm_core.provenance import changed_files
from tsfm_core.run import Run

__all__ = ["refuse_other_checkpoint", "refuse_other_data", "started_from"]


def refuse_other_checkpoint(run: Run, facts: Mapping[str, Any], resolved: Resolved) -> None:
    """Refuse to go on where the checkpoint in a directory that a run started from is gone or holds other weights.

    :raises RunError: with both hashes.
    """
    if not facts["checkpoint"]:
        return
    name, was = started_from(facts, resolved), facts["checkpoint"]["hash"]
    default = host().model(facts["model"]).card.default_checkpoint
    if name not in (resolved.config.model.get("checkpoint"), default):
        raise RunError(
            f"{run.path} started from {name}, which was the default; the default is {default} now",
            "go back to the versions that run.json names",
        )
    if not was:
        return
    local = local_checkpoint(facts["model"], name)
    if local is None:
        raise RunError(f"the checkpoint that {run.path} started from is not there: {name}", "put it back")
    if (now := folder_hash(local)) != was:
        raise RunError(
            f"the checkpoint {name} is not what {run.path} started from: its hash was {was[:12]} and is {now[:12]}",
            "put the weights back as they were",
        )


def started_from(facts: Mapping[str, Any], resolved: Resolved) -> str:
    """Return the name of the checkpoint that a run started from: its configuration's, else the default one of then."""
    return str(resolved.config.model.get("checkpoint") or facts["checkpoint"]["name"])


def refuse_other_data(run: Run, facts: Mapping[str, Any], prepared: Prepared) -> None:
    """Refuse to go on where the configuration of a run gives other data now, or another split of it.

    :raises RunError: with both fingerprints, and the files that changed.
    """
    was, now = facts["data"]["fingerprint"], prepared.panel.fingerprint
    again = f"put it back; to run on today's data: tsfm {facts['command']} {facts['model']} --config {run.config_path}"
    if was != now:
        changed = changed_files(run, prepared.panel.provenance)
        why = f"changed: {listing(changed)}" if changed else "its files are the same, or not known, and read otherwise"
        raise RunError(
            f"the data of {run.path} is not what it was: its fingerprint was {was[:12]} and is {now[:12]} ({why})",
            again,
        )
    was, now = facts["split"]["digest"], prepared.split.digest
    if was != now:
        raise RunError(
            f"the split of {run.path} is not what it was: its digest was {was[:12]} and is {now[:12]}",
            "the data is the same: go back to the version of tsfm-core that run.json names",
        )
