"""A csv of GlucoBench and its YAML: small files written here, in their layout."""

import pytest

from tsfm_core import DataError
from tsfm_core.plugins import host

YAML = """\
# Dataset
ds_name: small
data_csv_path: ./raw_data/small.csv
index_col: -1
observation_interval: 5min
column_definition:
  - {name: subject, data_type: categorical, input_type: id}
  - {name: when, data_type: date, input_type: time}
  - {name: value, data_type: real_valued, input_type: target}
  - {name: Age, data_type: real_valued, input_type: static_input}
drop: null
nan_vals: [none, -1]
interpolation_params: {gap_threshold: 45, min_drop_length: 240}
split_params: {test_percent_subjects: 0.1, length_segment: 240, random_state: 0}
length_pred: 12
"""
ROWS = ("subject,when,value,Age", "S1,2015-06-06 16:50:27,153,50", "S1,2015-06-06 16:55:27,-1,50")
FIRST = "2015-06-06 16:50:27"


@pytest.fixture
def bench(tmp_path):
    """Return ``bench(lines, yaml, name)``: the csv, with the YAML beside it where one is given."""

    def write(lines=ROWS, yaml=None, name="small.yaml"):
        path = tmp_path / "small.csv"
        path.write_text("\n".join(lines) + "\n")
        if yaml is not None:
            (tmp_path / name).write_text(yaml)
        return path

    return write


def refusal(read, path, **options):
    with pytest.raises(DataError) as caught:
        read("glucobench", path, **options)
    return str(caught.value).replace(str(path.parent if path else "none"), "DIR")


def test_without_a_yaml_the_columns_have_their_usual_names(read, bench):
    lines = [
        "id,time,gl,fast_insulin",
        "1.0,2012-01-01 00:04:00,185.4,0",
        "1.0,2012-01-01 00:09:00,,0",
        "2,2012-01-01,90,0",
    ]
    rows = read("glucobench", bench(lines))
    assert rows.of("1.0", "glucose") == [("2012-01-01 00:04:00", 185.4)]
    assert rows.of("2", "glucose") == [("2012-01-01 00:00:00", 90.0)]
    assert rows.counts == {("1.0", "rows without a reading, left out"): 1}


def test_the_yaml_beside_it_names_the_columns_and_the_empty_cells(read, bench):
    for name in ("small.yaml", "small.yml"):
        rows = read("glucobench", bench(yaml=YAML, name=name))
        assert rows.of("S1", "glucose") == [(FIRST, 153.0)]
        assert rows.counts == {("S1", "rows without a reading, left out"): 1}


def test_the_yaml_may_be_elsewhere(read, bench, tmp_path):
    path = bench()
    (tmp_path / "config").mkdir()
    config = tmp_path / "config" / "iglu.yaml"
    config.write_text(YAML)
    assert read("glucobench", path, config=str(config)).of("S1", "glucose") == [(FIRST, 153.0)]
    assert "DIR/config/none.yaml is not there" in refusal(read, path, config=str(config.with_name("none.yaml")))


def test_another_interval_is_told(read, bench):
    rows = read("glucobench", bench(yaml=YAML.replace("5min", "15min")))
    assert rows.counts["", "small.csv is in steps of 15min: task.freq should say so"] == 1


def test_its_dates_may_be_placeholders():
    assert host().dataset("glucobench").clock == "none"


def test_what_it_reads_includes_the_yaml_beside_it(bench, tmp_path):
    files = host().dataset("glucobench").files
    path = bench(yaml=YAML)
    assert files(path) == [path, tmp_path / "small.yaml"]
    assert files(tmp_path) == files(None) == []


def test_a_yaml_that_is_none_is_said(read, bench):
    hint = "; take the file as it is published"
    assert refusal(read, bench(yaml="column_definition: [")).endswith(hint)
    assert "DIR/small.yaml is no YAML: " in refusal(read, bench(yaml="column_definition: ["))
    assert "is no YAML: month must be in 1..12" in refusal(read, bench(yaml="start: 2012-13-01"))
    assert refusal(read, bench(yaml="- a\n- b")) == f"DIR/small.yaml holds list, not keys and values{hint}"
    assert "holds NoneType" in refusal(read, bench(yaml=""))


def test_a_yaml_without_the_three_roles_is_said(read, bench):
    nothing = "DIR/small.yaml: column_definition is not a list of named columns; it is a list of name"
    assert refusal(read, bench(yaml="ds_name: small")).startswith(nothing)
    assert refusal(read, bench(yaml="column_definition: [{data_type: date}]")).startswith(nothing)
    assert "gives no column the input_type target" in refusal(read, bench(yaml=YAML.replace("target", "observed")))
    twice = YAML.replace("static_input", "id")
    assert "gives 2 columns (subject, Age) the input_type id" in refusal(read, bench(yaml=twice))
    assert "gives one column two roles" in refusal(read, bench(yaml=YAML.replace("name: when", "name: value")))


def test_what_is_wrong_in_the_csv_is_said_with_its_row(read, bench):
    head, good = "id,time,gl", "1,2015-06-06 16:50:27,153"
    assert refusal(read, bench([head, good, "1,2015-06-06 16:55:27,HI"])) == (
        "DIR/small.csv: row 2 of 'gl' is 'HI', not a number; correct the cell"
    )
    assert "row 2 of 'time' is '06/06/2015 16:55', not a timestamp" in refusal(
        read, bench([head, good, "1,06/06/2015 16:55,150"])
    )
    assert "row 2 of 'id' is empty" in refusal(read, bench([head, good, ",2015-06-06 16:55:27,150"]))
    assert "has no column 'gl'; it has id, time, glucose" in refusal(read, bench(["id,time,glucose", good]))
    assert "has no column 'subject'" in refusal(read, bench([head, good], yaml=YAML))


def test_a_path_that_is_no_file_is_said(read, tmp_path):
    assert "glucobench needs data.path" in refusal(read, None)
    assert "is a folder; name the csv of one set" in refusal(read, tmp_path)
    assert "is not there; name the csv of one set" in refusal(read, tmp_path / "none.csv")
