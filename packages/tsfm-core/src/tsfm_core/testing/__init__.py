"""The conformance kit: what every model plugin must hold, run by its author.

::

    from tsfm_core.testing import check_model

    def test_contract(tmp_path):
        check_model("mine", tmp_path)

Each check is a function of :mod:`tsfm_core.testing.checks` whose docstring is the promise. The data is made here: four
short series with gaps, a past-only, a categorical and a known covariate, as the card allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tsfm_core.testing.checks import CHECKS
from tsfm_core.testing.subject import Subject, sample_panel

__all__ = ["check_model", "sample_panel"]


def check_model(
    name: str,
    folder: Path,
    model: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    task: Mapping[str, Any] | None = None,
) -> list[str]:
    """Run every check on the model ``name``; return the names of the checks.

    :param folder: an empty folder for checkpoints.
    :param model: the ``model:`` section; a small model makes the kit fast.
    :param training: the ``training:`` section; by default the first trained strategy of the card, else zero-shot.
    :param task: keys over the kit's task: 96 steps of 5 min in, 12 out, quantiles and covariates as the card says.
    :raises AssertionError: naming every promise that is broken, from what was raised first.
    :raises TsfmError: where the model cannot be loaded for the kit's task at all.
    """
    subject = Subject(name, folder, dict(model or {}), dict(training or {}), dict(task or {}))
    assert subject.loaded.backend.name == name
    broken: list[str] = []
    first: Exception | None = None
    for check in CHECKS:
        try:
            check(subject)
        except Exception as error:
            promise = (check.__doc__ or "").splitlines()[0]
            said = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
            broken.append(f"{check.__name__[1:]}: {promise} {said}")
            first = first or error
    if broken:
        count = f"{len(broken)} of {len(CHECKS)} promises"
        raise AssertionError(f"the model {name!r} breaks {count}:\n" + "\n".join(broken)) from first
    return [check.__name__[1:] for check in CHECKS]
