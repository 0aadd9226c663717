"""Nightscout: records as the server gives them, and basal rates computed by hand."""

import json
from datetime import UTC, datetime

import pytest

from tsfm_core import DataError
from tsfm_glucose.sources.nightscout_basal import Schedule, Temp, basal_rates
from tsfm_glucose.sources.nightscout_profile import Profile, Switch, schedules

BERLIN = Schedule("Europe/Berlin", (0, 6 * 3600), (1.0, 0.5))  # in summer 04:00 UTC is 06:00 there


def us(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def ms(text):
    return us(text) // 1000


def rates(temps, plan=((0, BERLIN),), until="2024-12-31"):
    instants, values = basal_rates(temps, plan, us(until))
    stamps = [datetime.fromtimestamp(one / 1e6, UTC).strftime("%m-%d %H:%M") for one in instants]
    return list(zip(stamps, values.tolist(), strict=True))


def test_a_newer_temp_cancels_and_a_percentage_follows_the_schedule():
    temps = [
        Temp(us("2024-07-01T03:30"), 120, percent=50),
        Temp(us("2024-07-01T03:00"), 60, absolute=0.0),
    ]
    assert rates(temps) == [
        ("07-01 03:00", 0.0),  # suspended
        ("07-01 03:30", 1.5),  # 1.0 and half of it
        ("07-01 04:00", 0.75),  # 06:00 in Berlin: 0.5 and half of it
        ("07-01 05:30", 0.5),  # the schedule again
    ]


def test_an_absolute_rate_wins_over_a_percentage_and_nothing_known_is_the_schedule():
    temps = [
        Temp(us("2024-07-01T10:00"), 30, absolute=2.0, percent=-100),
        Temp(us("2024-07-01T11:00"), 30, percent=-100),
        Temp(us("2024-07-01T11:45"), 30),
        Temp(us("2024-07-01T11:20"), 0),
    ]
    assert rates(temps) == [
        ("07-01 10:00", 2.0),
        ("07-01 10:30", 0.5),
        ("07-01 11:00", 0.0),
        ("07-01 11:20", 0.5),
    ]


def test_of_temps_with_one_start_the_first_in_the_file_counts():
    start = us("2024-07-01T10:00")
    assert rates([Temp(start, 30, absolute=3.0), Temp(start, 60, absolute=4.0)]) == [
        ("07-01 10:00", 3.0),
        ("07-01 10:30", 0.5),
    ]


def test_the_schedule_follows_the_clock_of_its_zone_through_a_change():
    night = Schedule("Europe/Berlin", (0, 3 * 3600), (1.0, 2.0))
    temps = [Temp(us("2024-03-30T00:30"), 0), Temp(us("2024-03-31T06:00"), 0)]
    assert rates(temps, [(0, night)]) == [
        ("03-30 00:30", 1.0),
        ("03-30 02:00", 2.0),  # 03:00 in winter
        ("03-30 11:00", 2.0),  # given again at noon
        ("03-30 23:00", 1.0),
        ("03-31 01:00", 2.0),  # 03:00 in summer, an hour earlier
    ]
    skipped = Schedule("Europe/Berlin", (0, 2.5 * 3600), (1.0, 2.0))
    assert rates([Temp(us("2024-03-31T00:00"), 0), Temp(us("2024-03-31T02:00"), 0)], [(0, skipped)]) == [
        ("03-31 00:00", 1.0),
        ("03-31 01:00", 2.0),  # 02:30 does not exist: the moment after the gap
    ]


def test_a_rate_that_holds_on_is_never_a_day_old():
    flat = Schedule("UTC", (0,), (0.7,))
    given = rates([Temp(us("2024-07-01T00:00"), 0), Temp(us("2024-07-03T00:00"), 0)], [(0, flat)])
    assert given == [
        (f"07-0{day} {hour}:00", 0.7) for day, hour in ((1, "00"), (1, "12"), (2, "00"), (2, "12"), (3, "00"))
    ]


def test_before_its_first_entry_the_last_rate_of_the_day_before_holds():
    late = Schedule("UTC", (8 * 3600, 20 * 3600), (1.0, 3.0))
    assert rates([Temp(us("2024-07-01T07:00"), 0), Temp(us("2024-07-01T08:30"), 0)], [(0, late)]) == [
        ("07-01 07:00", 3.0),
        ("07-01 08:00", 1.0),
    ]


def test_a_temp_ends_with_what_is_known():
    temps = [Temp(us("2024-07-01T10:00"), 6000, absolute=2.0)]
    assert rates(temps, until="2024-07-01T12:00")[-1] == ("07-01 12:00", 0.5)


def test_without_a_schedule_there_is_no_rate():
    temps = [Temp(us("2024-07-01T03:00"), 60, absolute=2.0), Temp(us("2024-07-01T05:00"), 60, absolute=3.0)]
    assert rates(temps, []) == []
    assert rates([]) == []
    assert rates(temps, [(us("2024-07-01T04:30"), BERLIN)]) == [
        ("07-01 04:30", 0.5),
        ("07-01 05:00", 3.0),
        ("07-01 06:00", 0.5),
    ]
    assert rates(temps, [(0, BERLIN), (us("2024-07-01T03:10"), None)]) == [("07-01 03:00", 2.0)]


def test_profiles_and_switches_say_which_schedule_is_in_force():
    day, night, own = (Schedule("UTC", (0,), (rate,)) for rate in (1.0, 2.0, 3.0))
    known = [Profile(100, "day", {"day": day, "night": night}, "UTC"), Profile(10**9, "night", {"night": night}, "UTC")]
    switches = [
        Switch(50, 0, "night", None),  # before the first profile
        Switch(200, 0, "night", None),
        Switch(300, 1, "own", own),  # for a minute
        Switch(10**8, 0, "nowhere", None),
    ]
    assert schedules(known, switches) == [
        (100, day),
        (200, night),
        (300, own),
        (300 + 60_000_000, night),
        (10**8, day),
        (10**9, night),
    ]
    assert schedules([], switches) == []


PROFILE = [
    {
        "defaultProfile": "Default",
        "startDate": "1970-01-01T00:00:00.000Z",
        "store": {
            "Default": {
                "timezone": "europe/BERLIN",
                "basal": [
                    {"time": "00:00", "value": "1.0", "timeAsSeconds": "0"},
                    {"time": "06:00", "value": 0.5},
                ],
            }
        },
    }
]
ENTRIES = [
    {"type": "sgv", "sgv": 121, "date": ms("2024-07-01T08:05:10"), "dateString": "x", "direction": "Flat"},
    {"type": "mbg", "mbg": 300, "date": ms("2024-07-01T08:03")},
    {"sgv": 118, "dateString": "2024-07-01T10:00:10.000+0200"},
    {"type": "sgv", "sgv": None, "date": ms("2024-07-01T07:55")},
    {"type": "calendar of Ada", "date": 1},
]
TREATMENTS = [
    {"_id": "9", "eventType": "Sensor Start", "created_at": "2024-07-01T08:00:00Z", "notes": "of Ada"},
    {"_id": "8", "eventType": "SMB", "insulin": 0.15, "created_at": "2024-07-01T07:00:00.500Z", "carbs": None},
    {"_id": "7", "eventType": "Meal Bolus", "insulin": 4, "carbs": "45", "created_at": "2024-07-01T06:30:00"},
    {"_id": "7", "eventType": "Meal Bolus", "insulin": 4, "carbs": "45", "created_at": "2024-07-01T06:30:00"},
    {"_id": "6", "eventType": "Carb Correction", "carbs": -10, "created_at": "2024-07-01T06:20:00Z"},
    {"_id": "5", "eventType": "Temp Basal", "duration": 120, "percent": 50, "created_at": "2024-07-01T03:30:00Z"},
    {
        "_id": "4",
        "eventType": "Temp Basal",
        "duration": 60,
        "absolute": 0,
        "rate": 9,
        "created_at": "2024-07-01T03:00Z",
    },
    {"_id": "3", "eventType": "Combo Bolus", "insulin": 1, "relative": 2, "created_at": "2024-07-01T02:00:00Z"},
    {"_id": "2", "eventType": "Suspend Pump", "created_at": "2024-07-01T01:00:00Z"},
]


def person(folder, name="p01", entries=ENTRIES, treatments=TREATMENTS, profile=PROFILE):
    own = folder / name
    own.mkdir(exist_ok=True)
    for file, records in (("entries", entries), ("treatments", treatments), ("profile", profile)):
        if records is not None:
            (own / f"{file}.json").write_text(json.dumps(records))
    return own


def test_streams_are_given_as_recorded(read, tmp_path):
    rows = read("nightscout", person(tmp_path))
    assert rows.of("p01", "glucose") == [("2024-07-01 08:05:10+00:00", 121), ("2024-07-01 08:00:10+00:00", 118)]
    assert [value for _, value in rows.of("p01", "bolus_u")] == [0.15, 4, 1]
    assert rows.of("p01", "carbs_g") == [("2024-07-01 06:30:00+00:00", 45)]
    assert rows.of("p01", "basal_u_per_h") == [
        ("2024-07-01 03:00:00+00:00", 0),
        ("2024-07-01 03:30:00+00:00", 1.5),
        ("2024-07-01 04:00:00+00:00", 0.75),
        ("2024-07-01 05:30:00+00:00", 0.5),
    ]
    assert set(rows.frame.timezone) == {"Europe/Berlin"}


def test_what_is_left_out_is_counted(read, tmp_path):
    assert read("nightscout", person(tmp_path)).counts == {
        ("p01", "entries of type mbg"): 1,
        ("p01", "entries of type other than sgv"): 1,
        ("p01", "entries without a value"): 1,
        ("p01", "treatments that are there twice"): 1,
        ("p01", "carbs below 0"): 1,
        ("p01", "combo boluses, without the extended part"): 1,
        ("p01", "suspends that are no temporary basal"): 1,
    }


def test_each_folder_is_a_person_and_what_is_not_there_is_not_recorded(read, tmp_path):
    person(tmp_path)
    person(tmp_path, "p02", treatments=None, profile=None)
    (tmp_path / "other").mkdir()
    rows = read("nightscout", tmp_path)
    assert set(rows.frame.item_id) == {"p01", "p02"}
    own = rows.frame[rows.frame.item_id == "p02"]
    assert own.timezone.isna().all()
    assert own.bolus_u.isna().all()
    assert rows.counts["p02", "no time zone in a profile"] == 1


def test_without_a_schedule_temps_are_counted(read, tmp_path):
    rows = read("nightscout", person(tmp_path, profile=None))
    assert rows.frame.basal_u_per_h.isna().all()
    assert rows.counts["p01", "temporary basals before a schedule is known"] == 2


def test_a_profile_without_a_temp_is_no_record_of_a_pump(read, tmp_path):
    rows = read("nightscout", person(tmp_path, treatments=TREATMENTS[1:3]))
    assert rows.frame.basal_u_per_h.isna().all()


def test_a_profile_switch_may_bring_its_own_schedule(read, tmp_path):
    other = {"timezone": "Europe/Berlin", "basal": [{"time": "00:00", "value": 2, "timeAsSeconds": 0}]}
    change = {
        "_id": "1",
        "eventType": "Profile Switch",
        "profile": "sick day",
        "profileJson": json.dumps(other),
        "percentage": 120,
        "created_at": "2024-07-01T04:30:00Z",
    }
    rows = read("nightscout", person(tmp_path, treatments=[change, *TREATMENTS]))
    assert rows.of("p01", "basal_u_per_h")[2:] == [
        ("2024-07-01 04:00:00+00:00", 0.75),
        ("2024-07-01 04:30:00+00:00", 3),
        ("2024-07-01 05:30:00+00:00", 2),
    ]
    assert rows.counts["p01", "profile switches read without percentage and time shift"] == 1


def test_a_file_of_the_server_is_read_without_the_others(read, tmp_path):
    own = person(tmp_path)
    path = own / "entries.csv"
    path.write_text(
        f'"2024-07-01T08:05:10.000Z",{ms("2024-07-01T08:05:10")},121,"Flat","xDrip"\r\n'
        f'"2024-07-01T08:00:10.000Z",{ms("2024-07-01T08:00:10")},,,"xDrip"\r\n'
    )
    rows = read("nightscout", path)
    assert rows.of("p01", "glucose") == [("2024-07-01 08:05:10+00:00", 121)]
    assert rows.counts["p01", "entries without a value"] == 1
    path.write_text("2024-07-01T08:05:10.000Z,121\n")
    with pytest.raises(DataError, match=r"entries.csv: line 1 has 2 cells, not 5; take the server's entries.csv"):
        read("nightscout", path)
    path.write_text('"2024-07-01T08:05:10.000Z",1719821110000,12x,"Flat","xDrip"\n')
    with pytest.raises(DataError, match=r"entries.csv: entry 1: 'sgv' is '12x', not a number"):
        read("nightscout", path)


EXPORT = """# CGM ENTRIES
Date,Time,Glucose (mg/dL),Type,Device,Trend,ID
"7/1/2024","8:05:10\u202fPM","121","sgv","","4","a"
"7/1/2024","8:00:10 PM","118","sgv","","4","b"
"11/3/2024","1:30:00 AM","99","sgv","","4","c"

# TREATMENTS (Insulin, Carbs, Exercise)
Date,Time,Event Type,Insulin (U),Carbs (g),Notes,ID
"7/1/2024","7:00:00 PM","Bolus","2.5","","of Ada","d"
"7/1/2024","7:30:00 PM","Carbs","","30","","e"
"""
BROWSER = {"timezone": "America/Toronto", "date_format": "%m/%d/%Y %I:%M:%S %p"}


def test_the_exporters_sections_need_the_browsers_zone_and_order(read, tmp_path):
    own = tmp_path / "p03"
    own.mkdir()
    (own / "export.csv").write_text(EXPORT)
    with pytest.raises(DataError, match=r"says neither; give data.options.timezone and data.options.date_format"):
        read("nightscout", own)
    rows = read("nightscout", own, **BROWSER)
    assert rows.of("p03", "glucose") == [("2024-07-02 00:05:10+00:00", 121), ("2024-07-02 00:00:10+00:00", 118)]
    assert rows.of("p03", "bolus_u") == [("2024-07-01 23:00:00+00:00", 2.5)]
    assert rows.of("p03", "carbs_g") == [("2024-07-01 23:30:00+00:00", 30)]
    assert set(rows.frame.timezone) == {"America/Toronto"}
    assert rows.counts == {("p03", "exported rows in the hour of a clock change"): 1}
    with pytest.raises(DataError, match=r"line 3 is of '7/1/2024 8:05:10 PM', not %d.%m.%Y; check data.options"):
        read("nightscout", own, timezone="America/Toronto", date_format="%d.%m.%Y")
    with pytest.raises(DataError, match=r"data.options: 'timezone' is 'Toronto', not a time zone; did you mean"):
        read("nightscout", own, timezone="Toronto", date_format="%d.%m.%Y")
    (own / "export.csv").write_text(EXPORT.replace("Glucose (mg/dL)", "Glucose (mmol/L)"))
    with pytest.raises(DataError, match=r"the section # CGM ENTRIES has not the columns Date, Time, Glucose"):
        read("nightscout", own, **BROWSER)


@pytest.mark.parametrize(
    ("file", "records", "said"),
    [
        ("entries", [{"type": "sgv", "sgv": "high", "date": 1}], r"entry 1: 'sgv' is 'high', not a number; correct"),
        ("entries", [ENTRIES[0], {"type": "sgv", "sgv": 1}], r"entry 2 has no date and no dateString; correct"),
        ("entries", [{"type": "sgv", "sgv": 1, "date": 1719821110}], r"'date' is 1719821110, not milliseconds since"),
        ("entries", [3], r"entries.json: record 1 is 3, not an object"),
        ("entries", "text", r"entries.json holds no list of records"),
        (
            "treatments",
            [{"insulin": True, "created_at": "2024-07-01"}],
            r"treatment 1: 'insulin' is True, not a number",
        ),
        ("treatments", [{"carbs": 1, "created_at": "soon"}], r"treatment 1: 'created_at' is 'soon', not milliseconds"),
        (
            "treatments",
            [{"eventType": "Temp Basal", "absolute": -1, "created_at": "2024-07-01"}],
            r"treatment 1: 'absolute' is -1, not 0 or more",
        ),
        (
            "treatments",
            [{"eventType": "Profile Switch", "profileJson": "{", "created_at": "2024-07-01"}],
            r"treatment 1: 'profileJson' is no json object",
        ),
        (
            "profile",
            [{"defaultProfile": "Day", "store": {}}],
            r"profile.json: record 1 has no schedule 'Day' in 'store'",
        ),
        (
            "profile",
            [{"store": {"Default": {"timezone": "Berlin", "basal": []}}}],
            r"record 1, Default: 'timezone' is 'Berlin', not a time zone; did you mean 'Europe/Berlin'",
        ),
        (
            "profile",
            [{"store": {"Default": {"timezone": "UTC", "basal": [{"time": "25:00", "value": 1}]}}}],
            r"record 1, Default: an entry of 'basal' begins at 90000.0; expected HH:MM",
        ),
        (
            "profile",
            [{"store": {"Default": {"timezone": "UTC", "basal": [{"time": "00:00"}]}}}],
            r"record 1, Default: 'basal' has an entry without 'value'",
        ),
    ],
)
def test_a_record_that_is_not_as_it_should_be_is_named(read, tmp_path, file, records, said):
    with pytest.raises(DataError, match=said):
        read("nightscout", person(tmp_path, **{file: records}))


def test_a_folder_or_file_that_is_not_as_it_should_be_is_named(read, tmp_path):
    with pytest.raises(DataError, match=r"nightscout needs data.path"):
        read("nightscout", None)
    with pytest.raises(DataError, match=r"nowhere is not there"):
        read("nightscout", tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"holds no entries.json or entries.csv"):
        read("nightscout", tmp_path)
    own = person(tmp_path)
    (own / "entries.json").write_text('[{"sgv": NaN}]')
    with pytest.raises(DataError, match=r"entries.json is no json: NaN is no number"):
        read("nightscout", own)
    (own / "entries.json").write_text("[{")
    with pytest.raises(DataError, match=r"entries.json is no json: Expecting property name"):
        read("nightscout", own)
    person(tmp_path)
    (tmp_path / "entries.json").write_text("[]")
    with pytest.raises(DataError, match=r"holds entries, and so does p01 in it; one folder for each person"):
        read("nightscout", tmp_path)


def test_marks_before_an_export_are_passed_over_and_no_format_is_guessed(read, tmp_path):
    own = tmp_path / "p03"
    own.mkdir()
    (own / "export.csv").write_text(f"\ufeff\ufeff{EXPORT}")
    assert len(read("nightscout", own, **BROWSER).frame) == 4
    for form in ("mixed", "%Q", "%m/%d/%Y %z"):
        with pytest.raises(DataError, match=r"data.options.date_format is"):
            read("nightscout", own, timezone="UTC", date_format=form)


def test_a_duration_without_end_is_no_overflow():
    temps = [Temp(us("2024-07-01T10:00"), 1e300, absolute=2.0)]
    assert rates(temps, until="2024-07-01T11:00") == [("07-01 10:00", 2.0), ("07-01 11:00", 0.5)]
