"""A page in headless Chromium; skipped where there is none, unless TSFM_REQUIRE_CHROMIUM is 1."""

import os
from pathlib import Path

import pytest
from reportkit import entry, made_up
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from tsfm_eval.report import Drawing, PairRow, Statistics, write_report
from tsfm_eval.statistics.critical_difference import critical_difference_height, draw_critical_difference
from tsfm_eval.statistics.ranks import friedman_nemenyi

BINARIES = ("/usr/bin/chromium", "/usr/bin/chromedriver")
#: A browser of its own: new, without a screen, and without a word to anybody.
ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)


@pytest.fixture(scope="session")
def page(tmp_path_factory):
    """Return the file of a comparison with everything that a report can hold."""
    learnt = [{"step": at, "loss": 9 / at} for at in range(1, 30)]
    learnt.append({"step": 30, "validation": {"loss": 1.5}, "best": True})
    entries = [
        entry("first", [made_up(items=18), made_up("patient_holdout", seed=3)], training=learnt),
        entry("second", [made_up(items=18, width=30)], baselines=()),
    ]
    rows = [PairRow("temporal_holdout", "rmse", "first", "second", 18, -3.0, -5.0, -1.0, 0.004, -0.9)]
    errors = {row["item_id"]: row["rmse"] for row in entries[0].items if row["set"] == "temporal_holdout"}
    own = [error + 5 * (at % 3) for at, error in enumerate(errors.values())]
    table = {"first": list(errors.values()), "second": own, "third": own[::-1]}
    ranking = friedman_nemenyi(table)
    size = (7.0, critical_difference_height(ranking))
    drawing = Drawing("ranks", "Ranks", "first is ahead.", lambda axes: draw_critical_difference(ranking, axes), size)
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(entries, path, statistics=Statistics(rows, [drawing]))
    return path


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """Return a browser that notes what it asks the network for and what its console says."""
    missing = [path for path in BINARIES if not Path(path).exists()]
    if missing:
        if os.environ.get("TSFM_REQUIRE_CHROMIUM") == "1":
            pytest.fail(f"TSFM_REQUIRE_CHROMIUM is 1, and {' and '.join(missing)} is not there")
        pytest.skip(f"{' and '.join(missing)} is not there: the page is not tested in a browser")
    options = Options()
    options.binary_location = BINARIES[0]
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(BINARIES[1]))
    yield browser
    browser.quit()


@pytest.fixture
def show(chromium, page):
    """Return ``show(width, scheme, media)``, which opens the page anew and gives the browser."""

    def shown(width=1280, scheme="light", media="screen"):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        for kind in ("browser", "performance"):
            chromium.get_log(kind)  # what came before
        chromium.get(page.as_uri())
        there = "return document.readyState === 'complete' && document.querySelector('thead th') !== null"
        WebDriverWait(chromium, 30).until(lambda browser: browser.execute_script(there))
        return chromium

    return shown
