"""Make the synthetic data set `simglucose_adult`: 10 virtual adults, 14 days, every 5 minutes.

Run it from the repository root (simglucose 0.2.11 still needs an old setuptools):

    uv run --no-project --python 3.11 --with "setuptools<81" --with simglucose==0.2.11 --with numpy==2.4.6 \
        --with scipy==1.17.1 --with pandas==3.1.1 --with pyarrow==26.0.1 \
        python packages/tsfm-glucose/tools/simulate_adults.py

or with `python` in a virtual environment that holds these six. It writes one parquet file, 40,320 rows, sorted:

    item_id        sim_01 ... sim_10: adult#001 ... adult#010 of the UVa/Padova cohort of 2008
    timestamp      start of the slot, naive, from 2001-01-01 00:00 (a Monday); the full grid
    glucose        mg/dL, what the sensor shows at `timestamp`: whole numbers, 40 to 400, null in a sensor gap
    bolus_u        U given in [timestamp, timestamp + 5 min), decided on readings up to `timestamp`
    basal_u_per_h  U/h in force in the slot, 0 while suspended
    carbs_g        g that the person LOGGED in the slot: what a model may see
    carbs_eaten_g  g of which eating BEGAN in the slot: hidden truth, for analysis only

simglucose (MIT) gives physiology and sensor; it is driven minute by minute and not changed. Its own runs are too
tame. Added here, every draw from generators seeded by (SEED, person, purpose):

Sensitivity. Insulin action on uptake and on the liver (Vmx, kp3) is scaled by a log-normal factor: a daily and an
hourly AR(1) part, and a circadian part that is lowest at 08:00.

Dawn. Hepatic glucose production (kp1) rises around 06:30, on some days more than on others. The basal profile
anticipates a part of it, and its level is off by a personal error.

Meals. Three meals and some snacks at personal times (an hour later at weekends), each with its own speed of
absorption. What is logged is what was eaten times a personal bias and a log-normal error, to the nearest 5 g.

Boluses. Up to 10 minutes before the meal, or 15 to 60 minutes late, or missed: then nothing is logged either. A
bolus calculator doses: carbs by ratio, a correction, less insulin on board. By day a person sometimes notices a
high reading long after the last bolus, and corrects it.

Lows. Below 70 mg/dL the person eats 15 to 20 g within minutes by day, late or not at all when asleep; in a sensor
gap only symptoms (true glucose below 60) tell. Only a part of these rescue carbs is logged. The pump suspends
basal for 30 minutes to 2 hours when the sensor points below 70 in 30 minutes.

Sensor. Short dropouts, dropouts of 50 to 150 minutes that favour the night, and one sensor change with 2 hours of
warm-up; in a gap neither person nor pump sees a value. The simulator's sensor error has tails beyond 100 mg/dL:
it is softly limited to 25. Readings are rounded and clipped as sensors do.
"""

import argparse
import hashlib
import math
import time
import warnings
from dataclasses import dataclass, field
from multiprocessing import Pool
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

warnings.simplefilter("ignore")  # simglucose warns of gym and pkg_resources at import
from simglucose.controller.basal_bolus_ctrller import CONTROL_QUEST  # noqa: E402
from simglucose.patient.t1dpatient import PATIENT_PARA_FILE, Action, T1DPatient  # noqa: E402
from simglucose.sensor.cgm import CGMSensor  # noqa: E402

SEED = 1
PEOPLE, DAYS, BURN_IN = 10, 14, 1  # a first day, not written, leaves the simulator's steady state
DAY = 288  # slots of 5 minutes
SLOTS = (BURN_IN + DAYS) * DAY
VALUES = ["glucose", "bolus_u", "basal_u_per_h", "carbs_g", "carbs_eaten_g"]
OUTPUT = Path(__file__).parents[1] / "src/tsfm_glucose/data/simglucose_adult.parquet"
SYNTHETIC = (
    "Synthetic data, no real person: made by tools/simulate_adults.py with simglucose 0.2.11 "
    f"(UVa/Padova 2008, adults), seed {SEED}."
)
# hour, SD of the hour, median g, log-SD of g, probability
MEALS = [
    (7.3, 0.5, 45, 0.32, 0.93),
    (10.3, 0.5, 15, 0.35, 0.30),
    (12.6, 0.5, 60, 0.32, 0.97),
    (15.8, 0.6, 18, 0.35, 0.40),
    (18.8, 0.7, 70, 0.32, 0.99),
    (21.5, 0.5, 18, 0.35, 0.35),
]
LOW, TARGET, HIGH = 70.0, 120.0, 200.0  # mg/dL: alarm, aim of the bolus calculator, worth a correction
SENSOR_ERROR = 25.0  # mg/dL: soft limit
NOTICED, RESCUES_LOGGED = 0.1, 0.5  # probabilities: of noticing a high reading, of logging rescue carbs
MAX_BOLUS = 25.0  # U
INSULIN_ACTION = 66  # slots (5.5 h) until the bolus calculator counts a bolus as used up


@dataclass
class Adult:
    """One virtual adult with a pump: the simulator's parameters, the settings, and what has been seen and done."""

    params: SimpleNamespace
    state: np.ndarray
    carb_ratio: float  # g per U
    correction_factor: float  # mg/dL per U
    basal_profile: list[float]  # U/h by slot of the day
    dawn: float  # mean relative rise of glucose production
    rng: np.random.Generator
    readings: list[float] = field(default_factory=list)  # mg/dL, one a slot
    boluses: list[tuple[int, float]] = field(default_factory=list)  # (slot, U)
    suspended: int = 0  # slots in a row
    next_suspend: int = 0
    rescue_slot: int | None = None
    next_rescue: int = 0

    def bolus(self, slot: int, carbs: float) -> float:
        """Give what the bolus calculator says for `carbs` g and the newest reading, to 0.1 U."""
        reading = self.readings[-1]
        correction = 0.0 if math.isnan(reading) else (reading - TARGET) / self.correction_factor
        if correction > 0:
            on_board = sum(dose * max(0.0, 1 - (slot - given) / INSULIN_ACTION) for given, dose in self.boluses)
            correction = max(0.0, correction - on_board)
        dose = round(min(MAX_BOLUS, max(0.0, carbs / self.carb_ratio + correction)), 1)
        if dose > 0:
            self.boluses.append((slot, dose))
        return dose

    def corrects(self, slot: int) -> bool:
        """Whether the person notices a high reading, 2.5 hours or more after the last bolus."""
        if asleep(slot) or (self.boluses and slot - self.boluses[-1][0] < 30):
            return False
        return self.readings[-1] > HIGH and self.rng.random() < NOTICED

    def rescue(self, slot: int, glucose: float) -> float:
        """Return g of rescue carbs eaten in this slot; the true `glucose` is felt only in a sensor gap."""
        reading = self.readings[-1]
        low = glucose < LOW - 10 if math.isnan(reading) else reading < LOW
        if low and self.rescue_slot is None and slot >= self.next_rescue:
            if not asleep(slot):
                self.rescue_slot = slot + int(self.rng.integers(1, 5))
            elif self.rng.random() < 0.8:
                self.rescue_slot = slot + int(self.rng.integers(2, 10))
            else:  # slept through the alarm
                self.next_rescue = slot + 6
        if slot != self.rescue_slot:
            return 0.0
        self.rescue_slot, self.next_rescue = None, slot + 5
        return float(self.rng.choice([15, 15, 20]))

    def basal(self, slot: int) -> float:
        """Return U/h now: the profile, or 0 while the last 20 minutes point below the alarm in 30 minutes."""
        reading = self.readings[-1]
        slope = (reading - self.readings[-5]) / 4 if len(self.readings) > 4 else 0.0
        forecast = reading + 6 * min(slope, 0.0)  # NaN in a gap, where both comparisons below are false
        if self.suspended:
            stop = self.suspended < 6 or (forecast < LOW + 10 and self.suspended < 24)
        else:
            stop = slot >= self.next_suspend and reading < 110 and forecast < LOW
        if self.suspended and not stop:
            self.next_suspend = slot + 6
        self.suspended = self.suspended + 1 if stop else 0
        return 0.0 if stop else self.basal_profile[slot % DAY]


def asleep(slot: int) -> bool:
    """Whether it is between 23:00 and 06:30."""
    return not 78 <= slot % DAY < 276


def bell(centre: float, width: float) -> np.ndarray:
    """Return a bell of height 1 by slot of the day; `centre` and `width` in hours."""
    return np.exp(-0.5 * ((np.arange(DAY) / 12 - centre) / width) ** 2)


def autoregressive(rng: np.random.Generator, length: int, memory: float, sd: float) -> np.ndarray:
    """Return a stationary AR(1) series."""
    series = rng.normal(0, sd, length)
    for i in range(1, length):
        series[i] = memory * series[i - 1] + math.sqrt(1 - memory**2) * series[i]
    return series


def draw_adult(number: int, rng: np.random.Generator) -> Adult:
    """Return adult#<number> of the simulator with settings that are nearly right, as in life."""
    row = pd.read_csv(PATIENT_PARA_FILE).set_index("Name", drop=False).loc[f"adult#{number:03d}"]
    settings = pd.read_csv(CONTROL_QUEST).set_index("Name").loc[row["Name"]]
    params = SimpleNamespace(**{key: value if key == "Name" else float(value) for key, value in row.items()})
    dawn = rng.uniform(0.08, 0.18)
    steady = params.u2ss * params.BW / 6000 * 60  # U/h; u2ss in pmol/kg/min, 6000 pmol per U
    profile = steady * rng.normal(0.98, 0.05) * (1 + 1.2 * dawn * bell(5.5, 2.0))
    return Adult(
        params,
        state=row.iloc[2:15].to_numpy(float),
        carb_ratio=settings["CR"] * rng.normal(1.03, 0.05),
        correction_factor=settings["CF"] * rng.normal(1.3, 0.1),
        basal_profile=[round(round(rate / 0.05) * 0.05, 2) for rate in np.repeat(profile[::12], 12)],  # hourly steps
        dawn=dawn,
        rng=rng,
    )


def plan_meals(rng: np.random.Generator) -> tuple[dict[int, tuple[float, float]], dict[int, float]]:
    """Return {slot: (g eaten, speed of absorption)} and {slot: g logged, and dosed for}."""
    appetite, lateness = rng.lognormal(0, 0.10), rng.normal(0, 0.5)
    bias, error = rng.normal(0.97, 0.06), rng.uniform(0.15, 0.35)
    missed, late = rng.uniform(0.03, 0.12), rng.uniform(0.08, 0.25)
    eaten, logged = {}, {}
    for day in range(BURN_IN + DAYS):
        weekend = (day - BURN_IN) % 7 >= 5
        for hour, hour_sd, size, size_sd, probability in MEALS:
            if rng.random() > probability:
                continue
            slot = day * DAY + round(12 * rng.normal(hour + lateness + weekend, hour_sd))
            carbs = float(round(size * appetite * math.exp(size_sd * np.clip(rng.normal(), -2, 2))))
            eaten[slot] = carbs, rng.lognormal(0, 0.25)
            fate, delay = rng.random(), int(rng.integers(3, 13))
            if fate > missed:
                entry = slot + delay if fate < missed + late else slot - int(rng.integers(0, 3))
                count = 5.0 * max(1, round(carbs * bias * rng.lognormal(0, error) / 5))
                logged[entry] = logged.get(entry, 0.0) + count
    return eaten, logged


def physiology(rng: np.random.Generator, dawn: float) -> tuple[list[float], list[float]]:
    """Return relative insulin sensitivity and relative hepatic glucose production by slot."""
    days, hours = BURN_IN + DAYS, np.arange(SLOTS) / 12
    daily = np.interp(hours, np.arange(days) * 24 + 12, autoregressive(rng, days, 0.4, 0.26))
    hourly = np.interp(hours, np.arange(24 * days), autoregressive(rng, 24 * days, 0.8, 0.26))
    sensitivity = np.exp(daily + hourly - 0.10 * np.cos(2 * np.pi * (hours - 8) / 24))
    production = 1 + np.outer(dawn * rng.lognormal(0, 0.35, days), bell(6.5, 1.7)).ravel()
    return sensitivity.tolist(), production.tolist()


def sensor_gaps(rng: np.random.Generator) -> np.ndarray:
    """Return True for the slots in which the sensor shows nothing."""
    gap, first = np.zeros(SLOTS, bool), BURN_IN * DAY
    for start in rng.integers(first, SLOTS, rng.poisson(0.5 * DAYS)):
        gap[start : start + min(8, rng.geometric(0.35))] = True
    for _ in range(1 + rng.poisson(0.4)):
        hour = rng.uniform(23, 29) if rng.random() < 0.6 else rng.uniform(6, 23)
        start = first + int(rng.integers(DAYS)) * DAY + int(hour * 12)
        gap[start : start + int(rng.integers(10, 31))] = True
    change = first + int(rng.integers(4, 10)) * DAY + int(rng.uniform(8, 21) * 12)
    gap[change : change + int(rng.integers(24, 28))] = True
    return gap


def simulate(number: int) -> pd.DataFrame:
    """Return the rows of one adult."""
    settings, habits, faults, body, error = (np.random.default_rng([SEED, number, purpose]) for purpose in range(5))
    adult = draw_adult(number, settings)
    (meals, entries), gaps = plan_meals(habits), sensor_gaps(faults)
    sensitivity, production = physiology(body, adult.dawn)
    # Plain attributes, where the simulator expects a pandas row, are quicker to read; and they may change in time.
    usual, params = adult.params, SimpleNamespace(**vars(adult.params))
    patient = T1DPatient(params, init_state=adult.state)
    sensor = CGMSensor.withName("GuardianRT", seed=int(error.integers(2**31)))  # its own step is 5 minutes
    rows = []
    for slot in range(SLOTS):
        # Read the sensor itself: the environment's step() would average a held value and so add a lag.
        glucose = patient.observation.Gsub
        deviation = SENSOR_ERROR * math.tanh((sensor.measure(patient) - glucose) / SENSOR_ERROR)
        reading = math.nan if gaps[slot] else float(min(max(round(glucose + deviation), 40), 400))
        adult.readings.append(reading)

        logged = entries.get(slot, 0.0)
        bolus = adult.bolus(slot, logged) if logged or adult.corrects(slot) else 0.0
        meal, speed = meals.get(slot, (0.0, 1.5))  # rescue carbs are fast
        rescue = adult.rescue(slot, glucose)
        if rescue and adult.rng.random() < RESCUES_LOGGED:
            logged += rescue
        eaten, basal = meal + rescue, adult.basal(slot)
        rows.append((reading, bolus, basal, logged, eaten))

        params.kp1 = usual.kp1 * production[slot]
        params.kp3, params.Vmx = usual.kp3 * sensitivity[slot], usual.Vmx * sensitivity[slot]
        if eaten:
            params.kabs = usual.kabs * speed
        for minute in range(5):
            patient.step(Action(CHO=0.0 if minute else eaten, insulin=basal / 60 + bolus / 5))  # U/min
    table = pd.DataFrame(rows, columns=VALUES, dtype="float32").iloc[BURN_IN * DAY :]
    table.insert(0, "item_id", f"sim_{number:02d}")
    table.insert(1, "timestamp", pd.date_range("2001-01-01", periods=len(table), freq="5min"))
    return table


def digest(table: pd.DataFrame) -> str:
    """Return the sha256 of ids, stamps and values."""
    sha = hashlib.sha256("\n".join(table["item_id"]).encode())
    sha.update(table["timestamp"].to_numpy("datetime64[s]").astype("<i8").tobytes())
    sha.update(np.ascontiguousarray(table[VALUES].to_numpy("<f4")).tobytes())
    return sha.hexdigest()


def write(table: pd.DataFrame, path: Path) -> None:
    """Write the table with a note that it is synthetic."""
    columns = [("item_id", pa.string()), ("timestamp", pa.timestamp("us")), *((name, pa.float32()) for name in VALUES)]
    schema = pa.schema(columns, metadata={"synthetic": SYNTHETIC, "unit": "mg/dL", "freq": "5min"})
    arrays = [pa.array(table[name], type=kind) for name, kind in columns]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, compression="zstd", compression_level=19)


def statistics(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row per adult: mg/dL, per cent, and g or U a day."""
    table = table.astype(dict.fromkeys(VALUES, float)).assign(basal_u=lambda x: x.basal_u_per_h / 12)
    seen = table.dropna().assign(in_range=lambda x: x.glucose.between(70, 180), below_70=lambda x: x.glucose < 70)
    result = seen.groupby("item_id")["glucose"].agg(["mean", "std"])
    result[["in_range", "below_70"]] = 100 * seen.groupby("item_id")[["in_range", "below_70"]].mean()
    result["missing"] = 100 - 100 * seen.groupby("item_id").size() / (DAYS * DAY)
    daily = table.groupby("item_id")[["carbs_g", "carbs_eaten_g", "bolus_u", "basal_u"]].sum() / DAYS
    return result.join(daily).round(1)


def main() -> None:
    """Simulate everybody, write the file, and print what came out."""
    parser = argparse.ArgumentParser(description="Make the synthetic data set simglucose_adult.")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    start = time.perf_counter()
    with Pool(arguments.processes) as pool:
        table = pd.concat(pool.map(simulate, range(1, PEOPLE + 1), chunksize=1), ignore_index=True)
    seconds = time.perf_counter() - start
    write(table, arguments.output)
    print(statistics(table).to_string())
    print(f"{PEOPLE * (BURN_IN + DAYS) / seconds:.2f} patient-days per second, {seconds:.0f} s")
    print(f"{arguments.output}: {arguments.output.stat().st_size:,} bytes, sha256 of the values {digest(table)}")


if __name__ == "__main__":
    main()
