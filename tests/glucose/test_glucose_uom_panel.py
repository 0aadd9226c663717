"""``tsfm data prepare t1d_uom`` on the published files, against the table that an independent script made of them."""

import json
import os
import subprocess
import sys

import pytest

SHARED = os.environ.get("TSFM_SHARED")
pytestmark = pytest.mark.skipif(not SHARED, reason="TSFM_SHARED is not set: no real data here")

#: glucose rows as published, another person's, exact repeats; slots, readings, first, last; mean mg/dL; totals.
TABLE = {
    "uom2301": (45768, 0, 7048, 31680, 31157, "2023-10-01T00:00", "2024-01-18T23:55", 149.00, 811.38, 10532.4, 601120),
    "uom2302": (13656, 0, 0, 48809, 13412, "2023-09-04T00:00", "2024-02-20T11:20", 134.93, 774.00, 8988.0, 1111090),
    "uom2303": (14188, 0, 1, 14326, 14124, "2023-10-08T00:00", "2023-11-26T17:45", 127.97, None, None, 404068),
    "uom2304": (17218, 0, 8609, 9224, 8609, "2023-12-31T09:25", "2024-02-01T10:00", 157.35, 1626.75, 683.0, 213029),
    "uom2305": (7190, 0, 0, 18431, 6665, "2023-11-16T00:00", "2024-01-18T23:50", 183.85, 668.00, 5264.0, 194484),
    "uom2307": (8385, 0, 0, 8535, 8378, "2023-11-06T00:00", "2023-12-05T15:10", 165.75, 401.70, 5652.0, 434754),
    "uom2309": (20665, 0, 0, 24651, 20665, "2024-02-06T00:35", "2024-05-01T14:45", 177.45, 896.25, 8019.5, 469929),
    "uom2310": (50108, 0, 0, 51155, 50108, "2023-10-18T00:00", "2024-04-12T14:50", 129.48, 1259.90, None, 767256),
}
#: Four of 2309's meals have a date and no time of day: the table puts their 113.8 g at midnight, we put them nowhere.
MEALS_WITHOUT_A_TIME = {"uom2309": 113.8}
#: A quarter of an hour of activity counts when it is over: the last one before the last reading then lies behind it.
STEPS_AFTER_THE_END = {"uom2303": 24, "uom2304": 52}


def prepared(*settings):
    code = "import sys; sys.argv[0] = 'tsfm'; from tsfm_core.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        code,
        "data",
        "prepare",
        "t1d_uom",
        "--path",
        f"{SHARED}/data/t1d_uom/raw",
        "--json",
    ]
    done = subprocess.run([*command, *settings], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def report():
    return prepared("--set", "data.start={uom2304: 2023-12-31}")


@pytest.mark.parametrize("item", TABLE)
def test_a_person_is_what_the_table_says(report, item):
    rows, shared, repeats, slots, readings, first, last, mean, bolus, carbs, steps = TABLE[item]
    found = next(one for one in report["items"] if one["item_id"] == item)
    assert (found["rows"], found["shared"], found["repeats"]) == (rows, shared, repeats)
    assert (found["slots"], found["readings"]) == (slots, readings)
    assert (found["first"], found["last"]) == (f"{first}:00", f"{last}:00")
    assert found["mean"] == pytest.approx(mean, abs=0.01)
    for channel, total in (("bolus_u", bolus), ("carbs_g", carbs), ("steps", steps)):
        elsewhere = {"carbs_g": MEALS_WITHOUT_A_TIME, "steps": STEPS_AFTER_THE_END}.get(channel, {})
        total = total and total - elsewhere.get(item, 0)
        assert found["channels"][channel]["total"] == (None if total is None else pytest.approx(total, abs=0.06))
    assert found["cadence"] == ("15min" if item in ("uom2302", "uom2305") else "5min")
    assert report["unit"] == "mg/dL"


def test_another_persons_rows_are_found_without_being_told():
    report = prepared()
    assert report["shared"] == [{"owner": "uom2303", "other": "uom2304", "rows": 14125}]
    found = next(one for one in report["items"] if one["item_id"] == "uom2304")
    assert (found["rows"], found["shared"], found["repeats"]) == (39512, 14125, 8609)
    assert found["rows"] - found["shared"] - found["repeats"] == 16778
    owner = next(one for one in report["items"] if one["item_id"] == "uom2303")
    assert (owner["shared"], owner["readings"]) == (0, 14124)


def test_what_has_no_place_is_said(report):
    said = {(note["item_id"], note["what"]): note["rows"] for note in report["notes"]}
    assert said["uom2309", "meal rows without a time of day"] == 4
    assert said["uom2302", "bolus rows with a wrong year"] == 2
    assert ("uom2303", "no bolus file") in said
