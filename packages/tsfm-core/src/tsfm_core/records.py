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
    from tsfm_core.sample import Sample

__all__ = [
    "VALIDATION",
    "Block",
    "Channel",
    "Dataset",
    "EvaluationProtocol",
    "Feature",
    "IntervalMethod",
    "Job",
    "KnownCheckpoint",
    "Launcher",
    "Metric",
    "ModelCard",
    "Precision",
    "Runtime",
    "Source",
    "Strategy",
    "TrackedRun",
    "Tracker",
    "TrackerSession",
]

#: The set that choices are made on.
VALIDATION = "validation"

Strategy = Literal["zero_shot", "full", "lora", "head", "from_scratch"]
Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class KnownCheckpoint:
    """A published checkpoint that a backend serves.

    :param name: as ``model.checkpoint`` names it.
    :param parameters: how many weights it has.
    :param licence: of the weights.
    :param task: of its training, by the keys of ``task``: what ``tsfm predict`` does where a config says no task.
    :param min_context: ``data.min_context`` of ``tsfm predict`` where nothing says it; None: the whole context.
    :param folder: its directory, of one that a package holds; None: one of the hub.
    :param sha256: of its weights.
    :param notes: what a person must know of it, such as its data and its limits, by heading.
    """

    name: str
    parameters: int
    licence: str
    task: Mapping[str, Any] = field(default_factory=dict)
    min_context: int | None = None
    folder: Path | None = None
    sha256: str | None = None
    notes: Mapping[str, str] = field(default_factory=dict)


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
    :param categorical_covariates: whether covariates may be categorical.
    :param longest_context: in steps; None: no limit that is known without a checkpoint.
    :param longest_prediction: likewise.
    :param checkpoints: published ones, for ``tsfm models show``.
    :param precisions: what ``runtime.precision`` may say.
    :param launchers: by which its training runs in several processes.
    :param config_schema: pydantic class of the ``model:`` section, without ``checkpoint``. A key ``ignore_covariates``
        that is true there takes the covariates out of the task.
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
    categorical_covariates: bool = False
    checkpoints: tuple[KnownCheckpoint, ...] = ()
    precisions: tuple[Precision, ...] = ("fp32",)
    launchers: tuple[str, ...] = ()

    def known(self, checkpoint: str | None) -> KnownCheckpoint | None:
        """Return what is known of a checkpoint, of the default one where none is named."""
        name = checkpoint or self.default_checkpoint
        return next((one for one in self.checkpoints if one.name == name), None)


@dataclass(frozen=True)
class Runtime:
    """Where and how a model runs.

    :param strategy: of ``training.strategy``; ``zero_shot`` where nothing is trained.
    :param seed: of everything that is drawn.
    :param device: ``runtime.device``: auto, cpu, cuda or cuda:N.
    :param batch_size: windows per forward pass; None: the backend's own choice.
    :param precision: of the numbers that a training computes with; weights and forecasts are float32.
    :param deterministic: whether training may use such operations only as give the same bits again.
    """

    strategy: Strategy = "zero_shot"
    seed: int = 0
    device: str = "auto"
    batch_size: int | None = None
    precision: Precision = "fp32"
    deterministic: bool = True


@dataclass(frozen=True)
class Job:
    """One training, as plain data.

    :param training: the ``training:`` section, an instance of the card's ``training_schema``.
    :param runtime: as ``load_model`` got it.
    :param checkpoint_dir: where ``train`` leaves ``step_<n>/`` and the links ``last`` and ``best``.
    :param log_path: a JSON-lines file, one object for each step or evaluation. Before them, ``trainable`` and
        ``parameters`` of one say how many weights are trained, and how many there are.
    :param resume: whether to go on from ``last`` in ``checkpoint_dir``, if it is there, as if nothing had been between.
    """

    training: Any
    runtime: Runtime
    checkpoint_dir: Path
    log_path: Path
    resume: bool = False


@dataclass(frozen=True)
class Launcher:
    """A way to train one model in several processes, which share one run directory.

    :param name: what ``runtime.distributed`` says.
    :param command: from the number of processes to the words that stand before ``-m tsfm_core.worker RUN``. Each
        process finds its number, from 0 on, in the variable RANK.
    :param environment: variables that the processes get beside this one's.
    """

    name: str
    command: Callable[[int], Sequence[str]]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """Forecasts and truths of n windows, as a metric sees them. Missing truths are NaN.

    :param truth: ``[n, H]`` in ``unit``.
    :param points: the forecasts by the point they stand for: ``mean`` and ``median``, each ``[n, H]``. One is always
        there; a metric asks :meth:`point`.
    :param unit: of truth and forecasts.
    :param quantiles: ``[n, Q, H]``, ascending along Q, or None.
    :param levels: ``[Q]``.
    :param crossed: ``[n, H]``, how many neighbouring quantiles crossed before they were sorted, or None.
    :param scale: mean of ``|x_t - x_(t-m)|`` over the context, ``[n]``, for each m.
    :param scale_squared: the same of its square.
    :param context: the last steps of the context, ``[n, T]`` with T at most 48, NaN where nothing was observed; its
        last column stands at the cutoff.
    :param item_id: ``[n]``.
    :param cutoff: ``[n]``, the last stamp that each window showed.
    :param step: seconds between two steps.
    """

    truth: npt.NDArray[np.float64]
    points: Mapping[str, npt.NDArray[np.float64]]
    unit: str
    quantiles: npt.NDArray[np.float64] | None = None
    levels: tuple[float, ...] = ()
    scale: Mapping[int, npt.NDArray[np.float64]] = field(default_factory=dict)
    scale_squared: Mapping[int, npt.NDArray[np.float64]] = field(default_factory=dict)
    context: npt.NDArray[np.float64] | None = None
    item_id: npt.NDArray[np.object_] | None = None
    cutoff: npt.NDArray[np.datetime64] | None = None
    step: int = 0
    crossed: npt.NDArray[np.float64] | None = None

    def point(self, judged: str) -> npt.NDArray[np.float64]:
        """Return the forecast ``judged`` (``mean`` or ``median``), or the other where that one is not given."""
        return self.points[judged] if judged in self.points else next(iter(self.points.values()))


@dataclass(frozen=True)
class Metric:
    """A score that is computed in batches and comes by set, step, item and group.

    ``parts(block)`` gives arrays that are summed over windows, NaN-free: a missing pair adds 0 to every part. A part
    is ``[n, H]``, or ``[n]`` where the score has no step; with ``steps=False`` it is ``[n, ...]`` of any further shape,
    and only windows are summed. The part ``count`` is what the score rests on (pairs, windows, nights): core reports
    it. ``finish(sums)`` turns the sums, scalars or arrays ``[H]`` alike, into named numbers; no pairs give NaN.

    With ``additive=False`` nothing is summed: the joined arrays of ``parts`` stand in the place of the sums, and the
    answer is scalars. With ``per_item`` the sums (or joined arrays) of each item go through it first, its answers are
    summed over the items, and ``finish`` gets these: a score whose unit is the person.

    :param name: what ``evaluation.metrics`` says.
    :param definition: the formula, to the last inequality; part of the protocol digest.
    :param unit: of the score: ``target`` (the target's unit), ``target^2``, ``%``, ``min`` or ``1``.
    :param direction: ``lower`` or ``higher`` is better, or ``none``.
    :param point: what it judges: ``mean``, ``median`` or ``quantiles``.
    :param parts: of a block, as above.
    :param finish: of the sums, as above.
    :param additive: whether the parts are summed, as above.
    :param needs: what a block must hold beyond truth and point: ``quantiles``, ``scale``, ``glucose`` (a glucose unit).
    :param steps: whether the second axis of the parts is the horizon.
    :param pairs: whether what stands at a step is of that pair alone: then the score comes by hour and range, too.
    :param per_item: ``per_item(sums)`` of one item, as above.
    :param family: what kind of score it is, such as ``point``, for listings.
    :param source: where the definition comes from.
    :param why_not: ``why_not(block)`` says in a few words why such forecasts cannot be scored, by their levels or unit,
        or None.
    :param choose: ``choose(columns)`` of the validation windows (joined arrays; so ``additive=False``) gives numbers,
        such as an alarm's threshold, that ``per_item`` and ``finish`` find as further columns of every set: of each row
        what its own run chose.
    :param units: the unit of a number that is not ``unit``, by its name.
    :param directions: the direction of a number that is not ``direction``, by its name.
    :param limits: the least and the greatest that a number can be, by its name; ``""`` of those that are not named.
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
    steps: bool = True
    pairs: bool = True
    per_item: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    family: str = ""
    source: str = ""
    why_not: Callable[[Block], str | None] | None = None
    choose: Callable[[Mapping[str, Any]], Mapping[str, float]] | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    directions: Mapping[str, Literal["lower", "higher", "none"]] = field(default_factory=dict)
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class IntervalMethod:
    """A way to say how sure a score is.

    :param name: for listings.
    :param definition: what is done, and at which confidence.
    :param compute: ``compute(sample, seed)`` gives the lower and the upper bound of each number of a sample, NaN where
        there is none; a :class:`~tsfm_core.DataError` says why a sample can have no interval.
    """

    name: str
    definition: str
    compute: Callable[[Sample, int], Mapping[str, tuple[float, float]]]


@dataclass(frozen=True)
class Channel:
    """What a channel of a data set holds.

    :param kind: ``reading``: a value at a moment; several in a slot give their median, none is NaN. ``amount``: adds up
        within a slot; an empty slot is 0 between the item's first and last entry and NaN (not recorded) outside.
        ``rate``: holds until the next entry, for a day at most. ``category``: a label at a moment, such as an activity,
        in a column of text, integers or booleans; the last of a slot counts, and an empty slot is NaN.
    :param unit: such as ``U``, ``U/h`` or ``g``; ``1`` of a category.
    """

    kind: Literal["reading", "amount", "rate", "category"]
    unit: str


def _uncounted(item_id: str, what: str, rows: int) -> None:
    """Count nothing."""


@dataclass(frozen=True)
class Source:
    """What a reader is asked for.

    :param path: ``data.path``, a file or a folder.
    :param columns: the columns wanted, as the reader names them, item_id and timestamp among them.
    :param options: ``data.options`` as an instance of the data set's ``options_schema``.
    :param count: ``count(item_id, what, rows)`` puts rows that the reader left out, or anything else that a person must
        know of, into the quality report; ``item_id`` may be "" for the whole source.
    """

    path: Path | None
    columns: Sequence[str]
    options: Any = None
    count: Callable[[str, str, int], None] = _uncounted


@dataclass(frozen=True)
class Dataset:
    """A data set that a package contributes.

    ``read(source)`` yields record batches. Each holds the columns of item_id and timestamp and any of the others that
    are wanted; one that a batch lacks is empty there, so streams of events are yielded one after the other, as they
    are recorded. A reader neither fills, resamples, sorts nor drops a row without counting it: the grid is core's.
    An empty cell is null, never 0.

    :param name: what ``data.source`` says.
    :param summary: one line for ``tsfm data list``.
    :param licence: of the data.
    :param read: ``read(source)`` yields record batches as they are recorded; a DataError names a file that is missing
        or not as it should be.
    :param columns: the column of each role and channel (``item_id``, ``timestamp``, ``target``, covariates by name;
        ``timezone``, an IANA name for each row, where the stamps are instants).
    :param target: name of the target channel, where the data set fixes it.
    :param unit: unit of the target column, where the data set fixes it.
    :param freq: step of its rows, where the data set fixes it.
    :param synthetic: simulated, and labelled so wherever it is shown.
    :param origin: where its files come from, for ``tsfm data list``.
    :param channels: the covariates that it offers, by name, and what they hold.
    :param rules: what ``data:`` says where a config says nothing, such as ``{"off_grid": "floor"}``.
    :param clock: what a naive stamp means: ``local`` time, ``utc``, ``time_of_day`` (true, on placeholder dates) or
        ``none`` (the order and the distances are all that is true).
    :param version: of the reader: another one where the same files give other rows.
    :param files: ``files(path)``, what the rows are read from; by default the file, or all files below the folder.
    :param names: ``names(path)``, the columns that the files hold, where ``channels`` does not say: one of several
        sources may lack some.
    :param options_schema: pydantic class of ``data.options``.
    :param task_unit: the unit of a task that names none; default: ``unit``.
    :param recognises: ``recognises(path)``, the unit in which a file of this format says that it holds the target, or
        None for any other file: ``tsfm predict`` asks it where no source is named.
    """

    name: str
    summary: str
    licence: str
    read: Callable[[Source], Iterator[pa.RecordBatch]]
    columns: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    unit: str | None = None
    freq: str | None = None
    synthetic: bool = False
    origin: str = "your own"
    channels: Mapping[str, Channel] = field(default_factory=dict)
    rules: Mapping[str, Any] = field(default_factory=dict)
    clock: Literal["local", "utc", "time_of_day", "none"] = "local"
    version: str = "1"
    files: Callable[[Path | None], Sequence[Path]] | None = None
    names: Callable[[Path | None], Sequence[str]] | None = None
    options_schema: type[BaseModel] | None = None
    task_unit: str | None = None
    recognises: Callable[[Path], str | None] | None = None


@dataclass(frozen=True)
class Feature:
    """A channel that is computed from others, on the grid, one item at a time. It is causal: row t uses rows up to t.

    :param name: of the channel, as ``task.past_covariates`` and ``task.known_covariates`` name it.
    :param definition: the formula, with its source.
    :param unit: of its values.
    :param needs: the channels it is computed from, in the data set or features themselves; no category.
    :param compute: ``compute(channels, minutes, step)``: each channel of ``needs`` as float64 ``[n]`` with NaN where
        it is not recorded, the local minute of the day of each row ``[n]`` (-1 where the zone is not known), and
        seconds between rows; returns ``[n]``.
    :param set: ``data.features`` chooses among features of one name; None: the only one.
    :param known: whether it is known in advance, such as the time of day.
    """

    name: str
    definition: str
    unit: str
    needs: tuple[str, ...]
    compute: Callable[[Mapping[str, npt.NDArray[np.float64]], npt.NDArray[np.int64], int], npt.NDArray[np.float64]]
    set: str | None = None
    known: bool = False


@dataclass(frozen=True)
class EvaluationProtocol:
    """How test windows are cut.

    :param cutoffs: ``cutoffs(panel, stride, options)`` marks the rows of the panel where a cutoff may stand, ``[rows]``
        bool. It is called on groups of whole items, and must not depend on the grouping.
    :param name: what ``evaluation.protocol`` says.
    :param definition: the rule in words.
    :param options_schema: pydantic class of ``evaluation.options``.
    :param needs: ``needs(options)``: channels beside the target that the panel must hold, such as carbohydrates; no
        category.
    """

    name: str
    definition: str
    cutoffs: Callable[[Panel, int, Any], npt.NDArray[np.bool_]]
    options_schema: type[BaseModel] | None = None
    needs: Callable[[Any], tuple[str, ...]] | None = None


@dataclass(frozen=True)
class TrackedRun:
    """A run as a tracker gets to know it. No secret is in it: what a variable of the environment holds is ``${NAME}``.

    :param name: of the run, such as ``run_2026-01-31_12-00-00``.
    :param group: its model and experiment, ``ttm/night``.
    :param folder: its folder for logs, where a tracker may write one of its own.
    :param root: the folder of all experiments.
    :param settings: the resolved configuration, by dotted key.
    :param id: what the tracker itself called the run before, where a training goes on; None for a new run.
    """

    name: str
    group: str
    folder: Path
    root: Path
    settings: Mapping[str, Any]
    id: str | None = None


@dataclass(frozen=True)
class TrackerSession:
    """A run that a tracker follows.

    :param id: what the tracker calls it, kept in run.json for a training that goes on.
    :param log: ``log(step, values)``: of one step (loss, learning_rate, epoch) or of one evaluation (eval_rmse ...).
    :param end: ``end(status, scores, files)``: completed, failed or interrupted; of a completed run the scores by
        ``<set>/<metric>`` and its files. Called once, last.
    """

    id: str | None
    log: Callable[[int, Mapping[str, float]], None]
    end: Callable[[str, Mapping[str, float], Sequence[Path]], None]


@dataclass(frozen=True)
class Tracker:
    """Something that is told of a run while it goes on.

    :param name: what ``tracking`` says.
    :param definition: where it writes.
    :param check: raises a CapabilityError where it cannot be used; called before anything is loaded.
    :param open: ``open(run)``; this and what it returns are called in one thread, which is not the main one.
    """

    name: str
    definition: str
    check: Callable[[], None]
    open: Callable[[TrackedRun], TrackerSession]
