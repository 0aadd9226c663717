"""Units and thresholds of glucose."""

import numpy as np
import pytest

from tsfm_core import DataError
from tsfm_glucose import convert, thresholds


def test_one_mmol_per_litre_is_18_018_mg_per_decilitre():
    assert convert(np.array([1.0, 10.0]), "mmol/L", "mg/dL") == pytest.approx([18.018, 180.18], rel=1e-12)


def test_there_and_back_gives_the_same_value_with_any_factor():
    values = np.array([40.0, 70.0, 251.3])
    for factor in (18.018, 18.0182, 18.0):
        back = convert(convert(values, "mg/dL", "mmol/L", factor), "mmol/L", "mg/dL", factor)
        assert back == pytest.approx(values, rel=1e-12)
    assert convert(values, "mg/dL", "mmol/L", 18.0) == pytest.approx(values / 18.0, rel=1e-12)


def test_thresholds_are_paired_not_converted():
    # metrics of the consensus reports: 10.0 mmol/L is in range, though 10.0 x 18.018 is above 180
    assert thresholds("mmol/L") == (3.0, 3.9, 10.0, 13.9)
    assert thresholds("mg/dL") == (54, 70, 180, 250)
    assert convert(np.array([10.0]), "mmol/L", "mg/dL")[0] > thresholds("mg/dL").high


@pytest.mark.parametrize(("unit", "hint"), [("mg/dl", "did you mean 'mg/dL'"), ("custom:MW", "no unit of glucose")])
def test_another_unit_is_refused_by_name(unit, hint):
    with pytest.raises(DataError, match=hint):
        thresholds(unit)
    with pytest.raises(DataError, match=hint):
        convert(np.array([1.0]), unit, "mg/dL")
