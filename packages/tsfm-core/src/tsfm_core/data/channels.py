"""Which channels a panel holds, which of them are read, and which are computed from others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tsfm_core.config.schema import DataConfig
from tsfm_core.errors import DataError, did_you_mean, listing
from tsfm_core.records import Dataset, Feature
from tsfm_core.task import Task

__all__ = ["Channels", "plan_channels"]


@dataclass(frozen=True)
class Channels:
    """The channels of a panel.

    :param held: by the panel, the target first.
    :param read: from the source, the target first.
    :param computed: in an order in which each needs only what stands before it.
    :param absent: held and NaN throughout: another of several sources has them.
    """

    held: tuple[str, ...]
    read: tuple[str, ...]
    computed: tuple[Feature, ...] = ()
    absent: tuple[str, ...] = ()


def plan_channels(
    dataset: Dataset,
    data: DataConfig,
    task: Task,
    features: Mapping[str, Sequence[Feature]],
    extra: Sequence[str] = (),
    may_lack: bool = False,
) -> Channels:
    """Find where each channel comes from.

    A channel is read where ``data.columns`` or the data set names it, computed where it is a feature's, else read.

    :param features: by name, those that are installed.
    :param extra: channels beside the task's that the panel must hold.
    :param may_lack: whether a channel that the source cannot give is NaN: one of several sources.
    :raises DataError: for a feature that has several sets and not one of them is ``data.features``, one that needs
        itself, a known covariate that is computed from what is not known, or a category where numbers are needed.
    """
    held = tuple(dict.fromkeys((*task.channels, *extra)))
    read: list[str] = [task.target]
    computed: list[Feature] = []
    absent: list[str] = []

    unfixed = may_lack and not dataset.channels and dataset.names is not None
    there = set(dataset.names(Path(data.path) if data.path else None)) if unfixed and dataset.names else None

    def resolve(name: str, above: tuple[str, ...] = ()) -> bool:
        """Find one channel, which those ``above`` need; return whether this source can give it."""
        if name in read or any(one.name == name for one in computed):
            return True
        if name in above:
            said = f"{name} is computed from itself: {', '.join((*above, name))}"
            raise DataError(said, "correct the package that gives it")
        named = name in data.columns or name in dataset.channels
        if not named and name in features:
            feature = _chosen(name, features[name], data.features)
            if not all(resolve(need, (*above, name)) for need in feature.needs):
                return False
            computed.append(feature)
            return True
        lacked = bool(dataset.channels) or (there is not None and dataset.columns.get(name, name) not in there)
        if may_lack and not named and lacked:
            return False
        if not named and dataset.channels:
            known = [*dataset.channels, *features]
            hint = did_you_mean(name, known) or f"it offers {listing(dataset.channels)}; computed: {listing(features)}"
            raise DataError(f"{dataset.name} has no channel {name!r}", hint)
        read.append(name)
        return True

    for name in held[1:]:
        before = (list(read), list(computed))
        if not resolve(name):
            read[:], computed[:] = before
            absent.append(name)
    clocked = [feature.name for feature in computed if feature.known]
    if clocked and dataset.clock == "none":
        said = f"{dataset.name} has no time of day: its dates and times are placeholders"
        raise DataError(f"{clocked[0]} cannot be computed; {said}", f"leave out {listing(clocked)}")
    for name in task.known_covariates:
        unknown = [one for one in computed if one.name == name and not one.known]
        if unknown:
            raise DataError(
                f"{name} is not known in advance", f"list it in task.past_covariates: {unknown[0].definition}"
            )
    _require_numbers(data.kinds, computed, extra)
    return Channels(held, tuple(read), tuple(computed), tuple(absent))


def _require_numbers(kinds: Mapping[str, str], computed: Sequence[Feature], extra: Sequence[str]) -> None:
    """Refuse a category where its codes would be taken for numbers."""
    for feature in computed:
        if kinds.get(feature.name) == "category":
            said = f"{feature.name} is computed, and data.kinds says that it is a category"
            raise DataError(said, f"map its column with data.columns.{feature.name}, or take it out of data.kinds")
        labelled = [need for need in feature.needs if kinds.get(need) == "category"]
        if labelled:
            said = f"{feature.name} is computed from {labelled[0]}, which is a category"
            raise DataError(said, f"give {labelled[0]} as numbers, or leave {feature.name} out")
    for name in extra:
        if kinds.get(name) == "category":
            said = f"evaluation.protocol needs the numbers of {name}, which is a category"
            raise DataError(said, f"give {name} as numbers, or take another protocol")


def _chosen(name: str, offered: Sequence[Feature], wanted: str) -> Feature:
    of_set = [one for one in offered if one.set in (None, wanted)]
    if not of_set:
        raise DataError(
            f"{name} is not in the set data.features: {wanted}", f"sets: {listing(one.set for one in offered)}"
        )
    if len(of_set) > 1:
        raise DataError(f"two features are called {name!r} in the set {wanted}", "uninstall one of them")
    return of_set[0]
