"""The hash of a file of forecasts is of what it holds, not of how it was written."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tsfm_core
from tsfm_core.data.digest import forecasts_hash
from tsfm_core.errors import RunError


@pytest.fixture
def file(tmp_path, readings, write):
    write(readings(n=60))
    task = {"target": "glucose", "unit": "mg/dL", "freq": "5min", "context_length": 12, "prediction_length": 6}
    config = {
        "task": task | {"quantile_levels": [0.1, 0.5, 0.9]},
        "data": {"source": "csv", "path": str(tmp_path / "data.csv")},
        "split": {"temporal_holdout": 0.4, "validation": 0.3},
        "evaluation": {"metrics": [], "baselines": []},
        "output": {"root": str(tmp_path / "experiments")},
    }
    run = tsfm_core.train("linear", config)
    assert run.facts["forecasts_sha256"] == forecasts_hash(run.forecasts_path)
    return run.forecasts_path


def test_other_bytes_of_the_same_values_have_the_same_hash(file, tmp_path):
    table = pq.read_table(file)
    other = tmp_path / "other.parquet"
    pq.write_table(table, other, compression="snappy", row_group_size=5)
    assert other.read_bytes() != file.read_bytes()
    assert forecasts_hash(other) == forecasts_hash(file)


def moved(value):
    if isinstance(value, list):
        return [*value[:-1], float(np.nextafter(np.float32(value[-1]), np.float32(1e9)))]
    return value + {str: "x", datetime: timedelta(minutes=5)}.get(type(value), 1)


def test_one_changed_value_changes_it(file, tmp_path):
    table, found = pq.read_table(file), {forecasts_hash(file)}
    columns = ["set", "item_id", "cutoff", "minute", "truth", "0.5", "context_tail", "scale_m1"]
    for column in columns:
        values = table[column].to_pylist()
        values[-1] = moved(values[-1])
        at, kind = table.schema.get_field_index(column), table.schema.field(column).type
        changed = table.set_column(at, column, pa.chunked_array([pa.array(values).cast(kind)]))
        assert sum(a != b for a, b in zip(changed[column].to_pylist(), table[column].to_pylist(), strict=True)) == 1
        pq.write_table(changed, tmp_path / "other.parquet")
        found.add(forecasts_hash(tmp_path / "other.parquet"))
    assert len(found) == 1 + len(columns)


def test_another_name_or_task_changes_it(file, tmp_path):
    table = pq.read_table(file)
    renamed = table.rename_columns([{"0.1": "0.2"}.get(name, name) for name in table.schema.names])
    retold = table.replace_schema_metadata({"tsfm": table.schema.metadata[b"tsfm"].replace(b"mg/dL", b"mmol/L")})
    for at, changed in enumerate((renamed, retold)):
        other = tmp_path / f"{at}.parquet"
        pq.write_table(changed, other)
        assert forecasts_hash(other) != forecasts_hash(file)


def test_a_file_that_is_none_is_named(tmp_path):
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    with pytest.raises(RunError, match="cut.parquet cannot be read"):
        forecasts_hash(tmp_path / "cut.parquet")
