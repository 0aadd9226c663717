"""A report as a person meets it: it opens without a network, and sorts, filters and changes its colours."""

import json

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

PATIENTS = "#table-patients"


def column(browser, at, table=PATIENTS):
    """Return the values of a column, of the rows that are shown, from the top down."""
    script = """
      return [...document.querySelectorAll(arguments[0] + " tbody tr")].filter((row) => row.offsetHeight > 0)
        .map((row) => row.cells[arguments[1]].dataset.value ?? null)"""
    return browser.execute_script(script, table, at)


def headings(browser, table=PATIENTS):
    return browser.find_elements(By.CSS_SELECTOR, f"{table} thead th")


def colour(browser, name="background-color"):
    return browser.execute_script("return getComputedStyle(document.body).getPropertyValue(arguments[0])", name)


def test_the_console_is_silent_and_the_network_is_not_asked(show, page):
    browser = show()
    assert browser.get_log("browser") == []
    events = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    asked = {one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"}
    assert page.as_uri() in asked
    assert all(url == page.as_uri() or url.startswith("data:") for url in asked)


@pytest.mark.parametrize("width", [360, 1280])
def test_every_figure_is_drawn(show, width):
    script = """
      return [...document.querySelectorAll("figure")].map((figure) => {
        const svg = figure.querySelector("svg"), box = svg.getBoundingClientRect();
        const marks = [...svg.querySelectorAll("path, use, image")].filter((one) => {
          const size = one.getBoundingClientRect(); return size.width > 0 || size.height > 0; });
        const outside = [...svg.querySelectorAll("text")].filter((one) => {
          const at = one.getBoundingClientRect();
          return at.left < box.left - 3 || at.right > box.right + 3
            || at.top < box.top - 3 || at.bottom > box.bottom + 3;
        }).map((one) => one.textContent);
        return [figure.id, box.width, box.height, marks.length, outside]; })"""
    figures = show(width).execute_script(script)
    assert len(figures) > 30
    for name, wide, tall, marks, outside in figures:
        assert 250 < wide <= (width if name != "ranks" else 800), name
        assert tall > 100, name
        assert marks > 5, name
        assert outside == [], name


def test_a_column_sorts_both_ways_by_click(show):
    browser = show()
    windows, rmse = headings(browser)[2:4]
    values = sorted(float(value) for value in column(browser, 3))
    assert len(values) > 15
    rmse.find_element(By.TAG_NAME, "button").click()
    assert [float(value) for value in column(browser, 3)] == values
    assert rmse.get_attribute("aria-sort") == "ascending"
    rmse.find_element(By.TAG_NAME, "button").click()
    assert [float(value) for value in column(browser, 3)] == values[::-1]
    assert rmse.get_attribute("aria-sort") == "descending"
    windows.find_element(By.TAG_NAME, "button").click()
    assert (rmse.get_attribute("aria-sort"), windows.get_attribute("aria-sort")) == (None, "ascending")


def test_missing_values_come_last_in_both_ways(show):
    browser = show()
    second = headings(browser)[4]  # the second run has no patient_holdout
    for _ in range(2):
        second.find_element(By.TAG_NAME, "button").click()
        values = column(browser, 4)
        known = [value for value in values if value is not None]
        assert 0 < len(known) < len(values)
        assert values[: len(known)] == known


def test_a_table_sorts_by_keyboard(show):
    browser = show()
    first, second = (one.find_element(By.TAG_NAME, "button") for one in headings(browser)[:2])
    browser.execute_script("arguments[0].focus()", first)
    first.send_keys(Keys.ENTER)
    assert column(browser, 0) == sorted(column(browser, 0))
    first.send_keys(Keys.TAB)
    assert browser.switch_to.active_element == second
    second.send_keys(Keys.SPACE)
    assert column(browser, 1) == sorted(column(browser, 1))
    outline = browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_the_skip_link_comes_first(show):
    browser = show()
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    skip = browser.switch_to.active_element
    assert skip.text == "Skip to the report"
    skip.send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "main"


def test_the_filter_is_labelled_and_works(show):
    browser = show()
    rows = column(browser, 0)
    field = browser.find_element(By.ID, "filter-patients")
    assert browser.find_element(By.CSS_SELECTOR, "label[for=filter-patients]").is_displayed()
    field.send_keys("P03 temporal")
    assert column(browser, 0) == ["p03"]
    status = browser.find_element(By.CSS_SELECTOR, f"[data-sortable]:has({PATIENTS}) [role=status]")
    assert status.text == f"1 of {len(rows)} rows"
    field.clear()
    field.send_keys("no such row")
    assert column(browser, 0) == []
    field.clear()
    field.send_keys(Keys.SPACE)
    assert column(browser, 0) == rows


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_system_and_the_button(show, scheme):
    browser = show(scheme=scheme)
    light, dark = "rgb(255, 255, 255)", "rgb(21, 24, 27)"
    expected = [light, dark] if scheme == "light" else [dark, light]
    ink = "return getComputedStyle(document.querySelector('figure svg text')).fill"
    seen = [(colour(browser), browser.execute_script(ink))]
    button = browser.find_element(By.ID, "theme")
    said = [button.text]
    for _ in range(2):
        button.click()
        seen.append((colour(browser), browser.execute_script(ink)))
        said.append(button.text)
    assert [paper for paper, _ in seen] == [*expected, expected[0]]
    assert seen[0] == seen[2]
    assert seen[0][1] != seen[1][1]
    words = ["Dark colours", "Light colours"]
    assert said[:2] == (words if scheme == "light" else words[::-1])


def test_text_stands_out_in_both_themes(show):
    script = """
      const parse = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
      const light = (text) => parse(text).map((c) => c / 255)
        .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
      const paper = light(getComputedStyle(document.body).backgroundColor);
      return ["p", ".quiet", ".finding", "caption", "nav a", "figure svg text"].map((one) => {
        const style = getComputedStyle(document.querySelector(one));
        const ink = light(one.includes("svg") ? style.fill : style.color);
        return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05); })"""
    for scheme in ("light", "dark"):
        assert min(show(scheme=scheme).execute_script(script)) >= 4.5


@pytest.mark.parametrize(("width", "scrolls"), [(320, True), (360, True), (1600, False)])
def test_a_page_scrolls_down_only_and_wide_tables_in_their_box(show, width, scrolls):
    browser = show(width)
    assert browser.execute_script("return document.scrollingElement.scrollWidth") <= width
    wide = "const box = document.querySelector('.scroll:has(#table-headline-temporal_holdout)');"
    assert browser.execute_script(f"{wide} return box.scrollWidth > box.clientWidth") is scrolls


def test_print_is_light_and_whole(show):
    browser = show(scheme="dark", media="print")
    assert colour(browser) == "rgb(255, 255, 255)"
    assert not browser.find_element(By.ID, "theme").is_displayed()
    assert not browser.find_element(By.TAG_NAME, "nav").is_displayed()
    hidden = (
        "return [...document.querySelectorAll('.scroll')].filter((one) => getComputedStyle(one).overflowY != 'visible')"
    )
    assert browser.execute_script(hidden) == []
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
    assert len(printed["data"]) > 100_000


def test_the_page_is_whole_without_scripts(show):
    browser = show()
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.refresh()
        assert len(browser.find_elements(By.CSS_SELECTOR, f"{PATIENTS} tbody tr")) > 15
        assert not browser.find_element(By.ID, "theme").is_displayed()
        assert not browser.find_element(By.ID, "filter-patients").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
