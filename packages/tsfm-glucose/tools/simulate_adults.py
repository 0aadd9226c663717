"""Make the synthetic data set `simglucose_adult`: 10 virtual adults, 14 days, every 5 minutes.

Run it from the repository root (simglucose 0.2.11 still needs an old setuptools):

    uv run --no-project --python 3.11 --with "setuptools<81" --with simglucose==0.2.11 --with numpy==2.4.6 \
        --with scipy==1.17.1 --with pandas==3.1.1 --with pyarrow==26.0.1 \
        --with ./packages/tsfm-core --with ./packages/tsfm-glucose \
        python packages/tsfm-glucose/tools/simulate_adults.py

or with `python` in a virtual environment that holds these eight. It writes one parquet file, 40,320 rows, sorted:

    item_id        sim_01 ... sim_10: adult#001 ... adult#010 of the UVa/Padova cohort of 2008
    timestamp      start of the slot, naive, from 2001-01-01 00:00 (a Monday); the full grid
    glucose        mg/dL, what the sensor shows at `timestamp`: whole numbers, 40 to 400, null in a sensor gap
    bolus_u        U given in [timestamp, timestamp + 5 min), decided on readings up to `timestamp`
    basal_u_per_h  U/h in force in the slot, 0 while suspended
    carbs_g        g that the person LOGGED in the slot: what a model may see
    carbs_eaten_g  g of which eating BEGAN in the slot: hidden truth, for analysis only

The data set `simglucose` simulates the same way on demand. What is added to the simulator's own physiology and sensor
is written in `tsfm_glucose/simulation.py`; every draw is from generators seeded by (SEED, person, purpose).
"""

import argparse
import hashlib
import time
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tsfm_glucose.simulation import BURN_IN, DAY
from tsfm_glucose.sources import simglucose

SEED = 1
PEOPLE, DAYS = 10, 14
VALUES = list(simglucose.VALUES)
OUTPUT = Path(__file__).parents[1] / "src/tsfm_glucose/data/simglucose_adult.parquet"
SYNTHETIC = (
    "Synthetic data, no real person: made by tools/simulate_adults.py with simglucose 0.2.11 "
    f"(UVa/Padova 2008, adults), seed {SEED}."
)


def simulate(number: int) -> pd.DataFrame:
    """Return the rows of one adult."""
    rows = simglucose.simulate(f"adult#{number:03d}", SEED, DAYS)
    table = pd.DataFrame(rows, columns=VALUES, dtype="float32")
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
