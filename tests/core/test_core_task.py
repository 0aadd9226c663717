"""The task, its units and its step."""

import pytest
from pydantic import ValidationError

from tsfm_core import ConfigError, DataError, conversion_factor
from tsfm_core.freq import day_steps, format_seconds, seconds
from tsfm_core.units import check_unit


@pytest.mark.parametrize(
    ("alias", "length"),
    [
        ("s", 1),
        ("30s", 30),
        ("5min", 300),
        ("90min", 5400),
        ("h", 3600),
        ("36h", 129_600),
        ("1D", 86_400),
        ("7D", 604_800),
    ],
)
def test_a_step_is_a_number_of_seconds(alias, length):
    assert seconds(alias) == length
    assert seconds(format_seconds(length)) == length


@pytest.mark.parametrize("alias", ["", "5", "5T", "5 min", "-5min", "0min", "1.5h", "5Min", "M", "1W", "9" * 30 + "D"])
def test_what_is_no_fixed_step_is_refused(alias):
    with pytest.raises(ConfigError, match=f"'{alias}' is not a fixed step; write a number"):
        seconds(alias)


@pytest.mark.parametrize(("step", "steps"), [(300, 288), (900, 96), (86_400, 1), (7 * 86_400, 1), (7, 12_342)])
def test_a_day_in_steps(step, steps):
    assert day_steps(step) == steps


def test_one_mmol_per_litre_is_18_018_mg_per_dl():
    assert conversion_factor("mmol/L", "mg/dL") == 18.018
    assert 7.0 * conversion_factor("mmol/L", "mg/dL") == pytest.approx(126.126)
    assert 126.126 * conversion_factor("mg/dL", "mmol/L") == pytest.approx(7.0)
    assert conversion_factor("custom:MW", "custom:MW") == 1.0


@pytest.mark.parametrize(
    ("unit", "way_out"),
    [("mg/dl", "did you mean 'mg/dL'?"), ("mmol/l", "did you mean 'mmol/L'?"), ("furlong", "write 'custom:furlong'")],
)
def test_an_unknown_unit_names_the_way_out(unit, way_out):
    with pytest.raises(DataError, match="known: mg/dL, mmol/L") as error:
        check_unit(unit)
    assert way_out in str(error.value)


@pytest.mark.parametrize(("source", "to"), [("custom:MW", "mg/dL"), ("mmol/L", "custom:MW"), ("custom:a", "custom:b")])
def test_units_of_different_quantities_do_not_convert(source, to):
    with pytest.raises(DataError, match=f"'{source}' cannot be converted to '{to}'"):
        conversion_factor(source, to)


def test_channels_in_order(make_task):
    task = make_task(past_covariates=("iob", "cob"), known_covariates=("hour",))
    assert task.channels == ("glucose", "iob", "cob", "hour")
    assert task.step_seconds == 300


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("context_length", 0, "greater than or equal to 1"),
        ("context_length", 10**30, "less than or equal to 1000000"),
        ("prediction_length", 0, "greater than or equal to 1"),
        ("prediction_length", -6, "greater than or equal to 1"),
        ("quantile_levels", (0.0, 0.5), "strictly between 0 and 1"),
        ("quantile_levels", (0.5, 1.0), "strictly between 0 and 1"),
        ("quantile_levels", (0.9, 0.1), "ascending"),
        ("quantile_levels", (0.5, 0.5), "each once"),
        ("quantile_levels", (float("nan"),), "strictly between 0 and 1"),
        ("unit", "mg/dl", "did you mean 'mg/dL'"),
        ("freq", "5T", "'5T' is not a fixed step"),
        ("target", "", "at least 1 character"),
        ("past_covariates", ("glucose",), "a channel is named twice among glucose, glucose"),
        ("past_covariates", ("timestamp",), "no covariate may be called item_id or timestamp or target"),
        ("known_covariates", ("target",), "no covariate may be called item_id or timestamp or target"),
        ("horizon", 6, "Extra inputs are not permitted"),
    ],
)
def test_a_task_that_cannot_be_is_refused(make_task, field, value, said):
    with pytest.raises(ValidationError) as error:
        make_task(**{field: value})
    (problem,) = error.value.errors()
    assert said in problem["msg"]
    assert problem["loc"][:1] in ((field,), ())  # a rule over several fields stands at none


def test_a_task_is_frozen(make_task):
    with pytest.raises(ValidationError, match="frozen"):
        make_task().unit = "mmol/L"
