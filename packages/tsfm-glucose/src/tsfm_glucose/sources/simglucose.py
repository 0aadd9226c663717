"""simglucose: virtual people, simulated when they are asked for. SYNTHETIC.

The package simglucose (UVa/Padova 2008; 10 adults, 10 adolescents, 10 children) gives physiology and sensor; it is
driven minute by minute and not changed. :mod:`tsfm_glucose.simulation` says what life is added around it. A person's
rows depend on the seed, the days and the person alone, not on how many others are asked for; adults of seed 1 over 14
days are the bundled ``simglucose_adult``. The cohort ``population`` is of other people: as many as are asked for, with
bodies between those of the package, pumps, closed loops or injections, exercise, illness and worse sensors
(:mod:`tsfm_glucose.population`); the package gives their parameters alone, which is hundreds of times quicker.

The stamps are placeholders with a true time of day. A slot holds the reading at its stamp, and the doses and meals
from there on, decided on readings up to it. ``carbs_g`` is what was logged; ``carbs_eaten_g`` is the hidden truth.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import warnings
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pydantic import Field

from tsfm_core import Channel, DataError, Dataset, Section, Source
from tsfm_glucose import population
from tsfm_glucose.simulation import BURN_IN, DAY, draw_person, physiology, plan_meals, sensor_gaps, shown
from tsfm_glucose.sources.tables import COLUMNS, offered

__all__ = ["DATASET", "VALUES", "Options", "simulate"]

#: The columns of :func:`simulate`.
VALUES = ("glucose", "bolus_u", "basal_u_per_h", "carbs_g", "carbs_eaten_g")
_PACKAGE = "simglucose"


class _Cohort(NamedTuple):
    seed: int  # added to a person's number: adult#001 and child#001 share nothing
    portion: float = 1.0  # of what an adult eats
    spread: float = 1.0  # of an adult's changes of insulin sensitivity
    caution: float = 1.0  # of corrections


# Children's bodies swing more by themselves: with an adult's life around them a tenth of their readings is low.
_COHORTS = {"adult": _Cohort(0), "adolescent": _Cohort(100), "child": _Cohort(200, 0.5, 0.4, 1.5)}
_EACH = 10  # people in a cohort


class Options(Section):
    """``data.options``: who is simulated, and for how long."""

    n: int = Field(
        default=10,
        ge=1,
        le=100_000,
        description="virtual people; at most 10 in a cohort, 30 in all; any number in population",
    )
    days: int = Field(default=14, ge=1, le=366, description="days of each person")
    seed: int = Field(default=0, ge=0, lt=2**32, description="of everything that is drawn")
    cohort: Literal["adult", "adolescent", "child", "all", "population"] = Field(
        default="adult",
        description="who; all: adults, adolescents and children in turn; population: people between and beyond "
        "them, with pumps, closed loops or injections, exercise, illness and sensors of 5 or 15 min",
    )
    start: date = Field(default=date(2001, 1, 1), description="placeholder for the first day; weekends follow it")


def _read(source: Source) -> Iterator[pa.RecordBatch]:
    options = source.options or Options()
    if source.path is not None:
        raise DataError(f"simglucose simulates its people; data.path says {source.path}", "leave data.path out")
    for item, values in _simulated(options):
        stamps = np.datetime64(options.start, "us") + np.arange(options.days * DAY) * np.timedelta64(5, "m")
        batch = {"item_id": pa.array([item] * len(stamps)), "timestamp": pa.array(stamps)}
        batch |= {one: pa.array(column, from_pandas=True) for one, column in values.items()}
        yield pa.RecordBatch.from_pydict({one: column for one, column in batch.items() if one in source.columns})


def _simulated(options: Options) -> Iterator[tuple[str, dict[str, npt.NDArray[Any]]]]:
    """Yield the name of each person and the values by column."""
    weekday = options.start.weekday()
    if options.cohort != "population":
        nothing = np.full(options.days * DAY, np.nan)
        for name in _people(options):
            values = simulate(name, options.seed, options.days, weekday)
            yield name.replace("#0", "_"), {"basal_u": nothing, **dict(zip(VALUES, values.T, strict=True))}
        return
    number = 0
    for block in population.simulate_blocks(options.n, options.seed, options.days, weekday, _tables(_simulator())):
        for values in block:
            number += 1
            yield f"virtual_{number:05d}", dict(zip(population.VALUES, values.T, strict=True))


def _tables(simulator: SimpleNamespace) -> dict[str, Any]:
    """Return the package's tables by the name of the body: parameters, and the ratios CR and CF of its controller."""
    return {name: pd.read_csv(getattr(simulator, name)).set_index("Name") for name in ("bodies", "advice")}


def _people(options: Options) -> Sequence[str]:
    """Return the simulator's names of the people asked for.

    :raises DataError: where there are not as many.
    """
    cohorts = list(_COHORTS) if options.cohort == "all" else [options.cohort]
    names = [f"{cohort}#{number:03d}" for number in range(1, _EACH + 1) for cohort in cohorts]
    if options.n > len(names):
        hint = f"at most {len(names)}, or data.options.cohort: all"
        raise DataError(
            f"the cohort {options.cohort} has {len(names)} virtual people; data.options.n is {options.n}", hint
        )
    return names[: options.n]


def simulate(name: str, seed: int, days: int, weekday: int = 0) -> npt.NDArray[np.float64]:
    """Return ``[days * 288, 5]`` of one person, the columns as in ``VALUES``; NaN in a sensor gap.

    :param name: as the simulator has it, such as ``adult#001``.
    :param weekday: of the first day, Monday is 0.
    :raises DataError: where the package simglucose is not there or does not run.
    """
    simulator = _simulator()
    cohort = _COHORTS[name.split("#")[0]]
    key = [seed, cohort.seed + int(name.split("#")[1])]
    settings, habits, faults, body, error = (np.random.default_rng([*key, purpose]) for purpose in range(5))
    usual, state, advice = _parameters(simulator, name)
    steady = usual.u2ss * usual.BW / 6000 * 60  # U/h; u2ss in pmol/kg/min, 6000 pmol per U
    person = draw_person(steady, advice["CR"], cohort.caution * advice["CF"], cohort.portion, settings)
    meals, entries = plan_meals(habits, days, person.portion, weekday)
    gaps = sensor_gaps(faults, days)
    sensitivity, production = physiology(body, days, person.dawn, cohort.spread)
    # Plain attributes, where the simulator expects a pandas row, are 8 times quicker; and they may change in time.
    params = SimpleNamespace(**vars(usual))
    patient = simulator.T1DPatient(params, init_state=state)
    sensor = simulator.CGMSensor.withName("GuardianRT", seed=int(error.integers(2**31)))  # its own step is 5 minutes
    rows = []
    for slot in range((BURN_IN + days) * DAY):
        # Read the sensor itself: the environment's step() would average a held value and so add a lag.
        glucose = patient.observation.Gsub
        reading = shown(sensor.measure(patient), glucose, gaps[slot])
        bolus, basal, logged, rescue = person.act(slot, reading, glucose, entries.get(slot, 0.0))
        meal, speed = meals.get(slot, (0.0, 1.5))  # rescue carbs are fast
        eaten = meal + rescue
        rows.append((reading, bolus, basal, logged, eaten))

        params.kp1 = usual.kp1 * production[slot]
        params.kp3, params.Vmx = usual.kp3 * sensitivity[slot], usual.Vmx * sensitivity[slot]
        if eaten:
            params.kabs = usual.kabs * speed
        for minute in range(5):
            patient.step(simulator.Action(CHO=0.0 if minute else eaten, insulin=basal / 60 + bolus / 5))  # U/min
    return np.array(rows[BURN_IN * DAY :], np.float64)


def _simulator() -> SimpleNamespace:
    """Return what is used of the package simglucose, which is imported here and nowhere else.

    :raises DataError: where it cannot be imported.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of gym and of pkg_resources
            from simglucose.controller.basal_bolus_ctrller import CONTROL_QUEST
            from simglucose.patient.t1dpatient import PATIENT_PARA_FILE, Action, T1DPatient
            from simglucose.sensor.cgm import CGMSensor
    except ImportError as error:
        said = "is not installed" if _version() is None else f"cannot be imported ({error})"
        raise DataError(
            f"the data set simglucose needs the package simglucose, which {said}",
            'pip install "tsfm-glucose[simglucose]" brings it and the setuptools that it needs',
        ) from error

    return SimpleNamespace(
        bodies=PATIENT_PARA_FILE, advice=CONTROL_QUEST, Action=Action, T1DPatient=T1DPatient, CGMSensor=CGMSensor
    )


def _parameters(simulator: SimpleNamespace, name: str) -> tuple[SimpleNamespace, npt.NDArray[np.float64], Any]:
    """Return a body's parameters, its steady state, and the ratios CR and CF of the simulator's own controller."""
    tables = _tables(simulator)
    row = tables["bodies"].loc[name]
    usual = SimpleNamespace(Name=name, **{key: float(value) for key, value in row.items()})
    return usual, row.iloc[1:14].to_numpy(float), tables["advice"].loc[name]


def _version() -> str | None:
    try:
        return importlib.metadata.version(_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return None


def _code() -> str:
    """Return a short hash of what simulates: other code gives other people."""
    here = Path(__file__)
    parts = [here, here.parents[1] / "simulation.py", *sorted(Path(population.__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()[:8]


def _files(path: Path | None) -> Sequence[Path]:
    return []


DATASET = Dataset(
    name="simglucose",
    summary="SYNTHETIC: virtual people with type 1 diabetes, simulated when asked for",
    licence="Apache-2.0; simulated by simglucose (MIT)",
    read=_read,
    columns=COLUMNS,
    target="glucose",
    unit="mg/dL",
    freq="5min",
    synthetic=True,
    origin="simulated here: the UVa/Padova model of 2008 in the package simglucose",
    channels={**offered("bolus_u", "basal_u_per_h", "basal_u", "carbs_g"), "carbs_eaten_g": Channel("amount", "g")},
    clock="time_of_day",
    # nothing is read: what the rows depend on beside data.options is this code and the simulator
    version=f"{_code()}, simglucose {_version() or 'not installed'}",
    files=_files,
    options_schema=Options,
    rules={"mixed_freq": "keep"},  # some people of a population wear sensors that read every 15 min
)
