"""The frozen records that cross packages. Plain data: none of them is a base class to inherit from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    from pydantic import BaseModel

    from tsfm_core.data.panel import Panel

__all__ = ["Block", "Dataset", "EvaluationProtocol", "Job", "Metric", "ModelCard", "Runtime", "Strategy"]

Strategy = Literal["zero_shot", "full", "from_scratch"]


@dataclass(frozen=True)
class ModelCard:
    """Static facts about a backend: cheap to make, no torch, no network.

    :param summary: one line for ``tsfm models list``.
    :param licence: of the default checkpoint, or of the code where there is none.
    :param strategies: what ``training.strategy`` may say.
    :param default_checkpoint: used when ``model.checkpoint`` is not given; None: the model has no weights of its own.
    :param quantiles: True for any level, False for a point model, or the only levels it offers.
    :param past_covariates: whether channels known up to the cutoff are used.
    :param known_covariates: whether channels known over the horizon are used.
    :param longest_context: in steps; None: no limit that is known without a checkpoint.
    :param longest_prediction: likewise.
    :param config_schema: pydantic class of the ``model:`` section, without ``checkpoint``.
    :param training_schema: pydantic class of the ``training:`` section.
    """

    summary: str
    licence: str
    strategies: tuple[Strategy, ...]
    config_schema: type[BaseModel]
    training_schema: type[BaseModel]
    default_checkpoint: str | None = None
    quantiles: bool | tuple[float, ...] = False
    past_covariates: bool = False
    known_covariates: bool = False
    longest_context: int | None = None
    longest_prediction: int | None = None


@dataclass(frozen=True)
class Runtime:
    """Where and how a model runs.

    :param strategy: of ``training.strategy``; ``zero_shot`` where nothing is trained.
    :param seed: of everything that is drawn.
    :param device: ``runtime.device``: auto, cpu, cuda or cuda:N.
    :param batch_size: windows per forward pass; None: the backend's own choice.
    """

    strategy: Strategy = "zero_shot"
    seed: int = 0
    device: str = "auto"
    batch_size: int | None = None


@dataclass(frozen=True)
class Job:
    """One training, as plain data.

    :param training: the ``training:`` section, an instance of the card's ``training_schema``.
    :param runtime: as ``load_model`` got it.
    :param checkpoint_dir: where ``train`` leaves ``step_<n>/`` and the links ``last`` and ``best``.
    :param log_path: a JSON-lines file, one object for each step or evaluation.
    """

    training: Any
    runtime: Runtime
    checkpoint_dir: Path
    log_path: Path


@dataclass(frozen=True)
class Block:
    """Forecasts and truths of n windows, as a metric sees them. Missing truths are NaN.

    :param truth: ``[n, H]`` in ``unit``.
    :param points: the forecasts by the point they stand for: ``mean`` and ``median``, each ``[n, H]``. One is always
        there; a metric asks :meth:`point`.
    :param unit: of truth and forecasts.
    :param quantiles: ``[n, Q, H]``, ascending along Q, or None.
    :param levels: ``[Q]``.
    :param scale: mean of ``|x_t - x_(t-m)|`` over the context, ``[n]``, for each m.
    :param scale_squared: the same of its square.
    """

    truth: npt.NDArray[np.float64]
    points: Mapping[str, npt.NDArray[np.float64]]
    unit: str
    quantiles: npt.NDArray[np.float64] | None = None
    levels: tuple[float, ...] = ()
    scale: Mapping[int, npt.NDArray[np.float64]] = field(default_factory=dict)
    scale_squared: Mapping[int, npt.NDArray[np.float64]] = field(default_factory=dict)

    def point(self, judged: str) -> npt.NDArray[np.float64]:
        """Return the forecast ``judged`` (``mean`` or ``median``), or the other where that one is not given."""
        return self.points[judged] if judged in self.points else next(iter(self.points.values()))


@dataclass(frozen=True)
class Metric:
    """A score that is computed in batches and comes by set, step and item.

    ``parts(block)`` gives arrays ``[n, H]`` (or ``[n]``: no step) that are summed over windows, NaN-free: a missing
    pair adds 0 to every part. ``finish(sums)`` turns the sums, scalars or ``[H]`` alike, into named numbers; no pairs
    give NaN. With ``additive=False`` nothing is summed: ``finish`` gets the joined arrays of ``parts`` and answers with
    scalars.

    :param name: what ``evaluation.metrics`` says.
    :param definition: the formula, to the last inequality; part of the protocol digest.
    :param unit: of the score: ``target`` (the target's unit), ``target^2``, ``%`` or ``1``.
    :param direction: ``lower`` or ``higher`` is better, or ``none``.
    :param point: what it judges: ``mean``, ``median`` or ``quantiles``.
    :param parts: of a block, as above.
    :param finish: of the sums, as above.
    :param additive: whether the parts are summed, as above.
    :param needs: what a block must hold beyond truth and point: ``quantiles``, ``scale``, ``glucose`` (a glucose unit).
    """

    name: str
    definition: str
    unit: str
    direction: Literal["lower", "higher", "none"]
    point: Literal["mean", "median", "quantiles"]
    parts: Callable[[Block], Mapping[str, npt.NDArray[Any]]]
    finish: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    needs: tuple[str, ...] = ()
    additive: bool = True


@dataclass(frozen=True)
class Dataset:
    """A data set that a package contributes.

    :param name: what ``data.source`` says.
    :param summary: one line for ``tsfm data list``.
    :param licence: of the data.
    :param read: ``read(path, columns)`` yields record batches with at least ``columns``; ``path`` is ``data.path``.
    :param columns: the column of each role and channel (``item_id``, ``timestamp``, ``target`` and covariates by name).
    :param target: name of the target channel, where the data set fixes it.
    :param unit: unit of the target column, where the data set fixes it.
    :param freq: step of its rows, where the data set fixes it.
    :param synthetic: simulated, and labelled so wherever it is shown.
    """

    name: str
    summary: str
    licence: str
    read: Callable[[Path | None, Sequence[str]], Iterator[pa.RecordBatch]]
    columns: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    unit: str | None = None
    freq: str | None = None
    synthetic: bool = False


@dataclass(frozen=True)
class EvaluationProtocol:
    """How test windows are cut.

    :param cutoffs: ``cutoffs(panel, stride)`` marks the rows of the panel where a cutoff may stand, ``[rows]`` bool.
    :param name: what ``evaluation.protocol`` says.
    :param definition: the rule in words; part of the protocol digest.
    """

    name: str
    definition: str
    cutoffs: Callable[[Panel, int], npt.NDArray[np.bool_]]
