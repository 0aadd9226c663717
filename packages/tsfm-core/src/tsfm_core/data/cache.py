"""Prepared panels on disk, keyed by what is in the source and how it is prepared.

Two processes may build one panel at once: each builds aside, the first rename wins, and both open the same files. A
source's files are hashed once; after that their sizes and times say whether they are still the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.feather as feather

from tsfm_core.data.panel import Panel
from tsfm_core.data.quality import Quality, read_report
from tsfm_core.data.saved import DAMAGE, ITEMS, open_saved
from tsfm_core.errors import DataError, listing
from tsfm_core.files import write_json

__all__ = ["SourceFiles", "clear", "find", "hash_files", "location", "open_or_build", "prepared", "report_of"]

_ASIDE = ".building-"


@dataclass(frozen=True)
class SourceFiles:
    """The files of a source as they are now.

    :param digests: by name below the source's folder.
    :param changed: names of files that were other, or not there, when the source was last read.
    """

    digests: Mapping[str, str]
    changed: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Return one hash of all names and contents."""
        return hashlib.sha256(json.dumps(sorted(self.digests.items())).encode()).hexdigest()


def location() -> Path:
    """Return the folder of the cache: ``TSFM_CACHE``, else the user's cache folder."""
    given = os.environ.get("TSFM_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tsfm"


def hash_files(name: str, source: Path, root: Path, files: Sequence[Path]) -> SourceFiles:
    """Return the contents' hashes; a file whose size, time and inode are as before is not read again.

    :param name: of the data set: two of them may read one folder.
    :param source: the file or folder that is asked for: one of several files in a folder is a source of its own.
    :param root: the folder below which files are called by their path.
    """
    memo_key = hashlib.sha256(f"{name}\0{source.absolute()}".encode()).hexdigest()[:32]
    memo_path = location() / "sources" / f"{memo_key}.json"
    memo = _memo(memo_path)
    found: dict[str, list[Any]] = {}
    for file in files:
        path = str(file.relative_to(root) if file.is_relative_to(root) else file)
        state = file.stat()
        mark = [state.st_size, state.st_mtime_ns, state.st_ino]
        if memo.get(path, [None])[:3] == mark:
            found[path] = memo[path]
        else:
            with file.open("rb") as opened:
                found[path] = [*mark, hashlib.file_digest(opened, "sha256").hexdigest()]
    changed = sorted(
        path for path in {*memo, *found} if memo and memo.get(path, [None])[-1] != found.get(path, [None])[-1]
    )
    if found != memo:
        try:
            memo_path.parent.mkdir(parents=True, exist_ok=True)
            write_json(memo_path, found)
        except OSError as error:
            raise _unwritable(error) from error
    return SourceFiles({path: one[-1] for path, one in found.items()}, tuple(changed))


def _memo(path: Path) -> dict[str, list[Any]]:
    """Return what is known of a source's files; nothing where the memo is missing or damaged."""
    try:
        memo = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    whole = isinstance(memo, dict) and all(isinstance(one, list) and len(one) == 4 for one in memo.values())
    return memo if whole else {}


def _unwritable(error: OSError) -> DataError:
    return DataError(f"the cache {location()} cannot be written: {error}", "set TSFM_CACHE to a folder")


def open_or_build(key: Mapping[str, Any], build: Callable[[Path], object]) -> Panel:
    """Return the panel of a key, built first where it is not there.

    :param key: plain data that says everything the panel depends on.
    :param build: fills an empty folder with a saved panel.
    """
    folder = location() / "panels" / hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:20]
    if not (folder / ITEMS).exists():
        with _aside(folder) as made:
            build(made)
            (made / "key.json").write_text(json.dumps(dict(key), indent=1), encoding="utf-8")
    return open_saved(folder)


def report_of(panel: Panel) -> Quality:
    """Return the report that was stored with a panel."""
    if panel.folder is None:
        raise DataError("the panel is in no folder")
    meta = _meta(panel.folder)
    try:
        return read_report(meta["report"])
    except DAMAGE as error:
        raise DataError(
            f"{panel.folder} holds no report: {error}", "tsfm data clear removes what is prepared"
        ) from error


def prepared() -> list[dict[str, Any]]:
    """Return what the cache holds: a row for each panel, the newest first."""
    rows = []
    for folder in _folders():
        meta = _meta(folder)
        size = sum(file.stat().st_size for file in folder.iterdir())
        made = datetime.fromtimestamp((folder / ITEMS).stat().st_mtime, UTC)
        rows.append(
            {
                "key": folder.name,
                "source": meta["provenance"]["source"],
                "path": meta["provenance"]["path"],
                "items": len(meta["report"]["items"]),
                "rows": sum(item["slots"] for item in meta["report"]["items"]),
                "channels": list(meta["channels"]),
                "megabytes": round(size / 1e6, 1),
                "prepared": made.isoformat(timespec="seconds"),
                "fingerprint": meta["fingerprint"],
            }
        )
    return sorted(rows, key=lambda row: row["prepared"], reverse=True)


def find(key: str) -> Path:
    """Return the folder of the panel whose key begins so.

    :raises DataError: where none or several do.
    """
    folders = _folders()
    found = [folder for folder in folders if folder.name.startswith(key)]
    if len(found) != 1:
        said = f"{len(found)} prepared panels have a key that begins with {key!r}"
        there = listing(folder.name for folder in folders)
        raise DataError(said, f"there are {there}; tsfm data list --prepared shows them")
    return found[0]


def _folders() -> list[Path]:
    """Return the folders of panels, by key; not those that are being built, or were when a process was killed."""
    folders = sorted((location() / "panels").glob("*/"))
    return [one for one in folders if not one.name.startswith(_ASIDE) and (one / ITEMS).exists()]


def clear(keys: Sequence[str] = ()) -> tuple[int, float]:
    """Remove prepared panels, by default all of them and what a killed process left; return how many, and megabytes."""
    panels = location() / "panels"
    folders = [find(key) for key in keys] if keys else sorted(panels.glob("*/")) + sorted(panels.glob(f"{_ASIDE}*/"))
    folders = list(dict.fromkeys(folders))
    size = sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())
    for folder in folders:
        shutil.rmtree(folder)
    if not keys:
        shutil.rmtree(location() / "sources", ignore_errors=True)
    return len(folders), round(size / 1e6, 1)


def _meta(folder: Path) -> dict[str, Any]:
    try:
        meta: dict[str, Any] = json.loads(feather.read_table(folder / ITEMS).schema.metadata[b"tsfm"])
    except DAMAGE as error:
        raise DataError(
            f"{folder} holds no whole panel: {error}", "tsfm data clear removes what is prepared"
        ) from error
    return meta


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """Yield a folder to build in; it becomes ``folder`` whole, or vanishes."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=folder.parent))
    except OSError as error:
        raise _unwritable(error) from error
    try:
        yield made
        for file in made.iterdir():
            with file.open("rb+") as opened:
                os.fsync(opened.fileno())
        try:
            made.rename(folder)
        except OSError as error:
            if not (folder / ITEMS).exists():  # another process was not first: the rename failed
                said = f"{folder} holds no whole panel, and is in the way: {error}"
                raise DataError(said, "tsfm data clear removes what is prepared") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
