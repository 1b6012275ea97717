"""The page of a run in a browser: the slider, the rounds, the keyboard, a narrow window."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from report_runs import NASTY, NASTY_FILE, naive_totals, page_data

from bootstrap_det.report import write_runs_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

pytestmark = [
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="there is no Chromium with its chromedriver"
    ),
    # The driver's own sockets, closed when it is collected.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--window-size=1200,900",
)  # fmt: skip
COUNTS = """
const cells = id => Object.fromEntries(Array.from(
    document.querySelectorAll('#' + id + ' [data-of]'), c => [c.dataset.of, c.textContent]));
const boxes = kind => document.querySelectorAll('#gallery .box.' + kind).length;
return {all: cells('totals-all'), shown: cells('totals-shown'), hit: boxes('hit'),
        miss: boxes('miss'), false: boxes('false')};
"""


@pytest.fixture(scope="module")
def browser():
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        driver.set_page_load_timeout(60)
        yield driver
        driver.quit()


def show(browser, folder):
    """Open a run's page anew; return what its script reads, if it has one."""
    page = Path(folder) / "report.html"
    browser.get(page.resolve().as_uri())
    return page_data(page) if 'id="data"' in page.read_text() else None


def choose(browser, *, threshold=None, stage=None):
    """Set the slider and the round as a hand would: the value, then the event."""
    browser.execute_script(
        """
        const [threshold, stage] = arguments;
        const set = (id, value, event) => {
          if (value === null) { return; }
          const control = document.getElementById(id);
          control.value = value;
          control.dispatchEvent(new Event(event, {bubbles: true}));
        };
        set('threshold', threshold, 'input');
        set('stage', stage, 'change');
        """,
        threshold,
        stage,
    )
    return browser.execute_script(COUNTS)


def expected(data, stage, threshold):
    """Return hits, misses and false alarms of the pictures shown, from the page's data."""
    hits = misses = false = 0
    for picture in data["pictures"]:
        rows = [row for row in picture["stages"][stage] if row[0] >= threshold]
        found = {row[6] for row in rows if row[5] == 0}
        hits += len(found)
        false += sum(row[5] == 1 for row in rows)
        misses += sum(
            target == 1 and label in data["stages"][stage]["labels"] and index not in found
            for index, (*_, label, target) in enumerate(picture["objects"])
        )
    return hits, misses, false


def test_the_slider_and_the_rounds_show_what_the_files_say(browser, report_runs):
    data = show(browser, report_runs.boosted)
    last = len(data["thresholds"]) - 1
    seen = set()
    for stage in range(len(data["stages"])):
        for index in sorted({*range(0, last, 9), data["start"], last}):
            got = choose(browser, threshold=index, stage=stage)
            threshold = data["thresholds"][index]
            assert (got["hit"], got["miss"], got["false"]) == expected(data, stage, threshold)
            totals = naive_totals(report_runs.boosted, f"round_{stage}.json", threshold)
            names = ("hits", "misses", "false")
            assert tuple(int(got["all"][name]) for name in names) == totals
            shown = browser.find_element("id", "threshold-value").text
            assert float(shown) == threshold
            seen.add((got["hit"], got["miss"], got["false"]))
    assert len(seen) >= 4  # the slider does something


def test_several_labels_are_told_apart(browser, report_runs):
    data = show(browser, report_runs.linear)
    seen = set()
    for stage in range(len(data["stages"])):
        for index in (*range(0, len(data["thresholds"]), 15), data["start"]):
            got = choose(browser, threshold=index, stage=stage)
            threshold = data["thresholds"][index]
            assert (got["hit"], got["miss"], got["false"]) == expected(data, stage, threshold)
            assert got["all"]["hits"] == got["shown"]["hits"]  # all pictures are shown
            seen.add((got["hit"], got["miss"], got["false"]))
    assert len(seen) > 8
    tags = browser.execute_script(
        "return Array.from(document.querySelectorAll('.tag'), t => t.textContent)"
    )
    assert set(tags) == {NASTY, "bar"}


def test_nothing_is_loaded_and_nothing_fails(browser, report_runs):
    for folder in (report_runs.boosted, report_runs.linear, report_runs.untested):
        browser.get_log("browser")
        show(browser, folder)
        assert browser.get_log("browser") == []
        entries = browser.execute_script(
            "return performance.getEntriesByType('resource').map(e => e.name)"
        )
        assert [name for name in entries if not name.startswith("data:")] == []
        refused = browser.execute_async_script(
            "const done = arguments[0];"
            "fetch('data:,x').then(() => done('loaded'), () => done('refused'));"
        )
        assert refused == "refused"
        assert browser.get_log("browser")  # the refusal, and nothing before it


def test_names_from_data_are_text(browser, report_runs):
    show(browser, report_runs.linear)
    assert browser.title != "taken"
    assert "HOG and linear SVM" in browser.title
    names = [each.text for each in browser.find_elements("css selector", "#gallery .name")]
    assert NASTY_FILE in names
    assert NASTY in browser.find_element("css selector", "#labels").text


def test_every_picture_has_an_alternative_text(browser, report_runs):
    show(browser, report_runs.boosted)
    bare = browser.execute_script(
        """
        const named = e => (e.getAttribute('alt') || e.getAttribute('aria-label') || '').trim();
        return Array.from(document.querySelectorAll('img, svg')).filter(e => !named(e)).length;
        """
    )
    assert bare == 0
    broken = browser.execute_script(
        "return Array.from(document.images).filter(i => !i.complete || !i.naturalWidth).length"
    )
    assert broken == 0


def test_the_keyboard_reaches_and_moves_the_slider(browser, report_runs):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    data = show(browser, report_runs.boosted)
    for _ in range(60):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        focus = browser.switch_to.active_element
        if focus.get_attribute("id") == "threshold":
            break
    assert focus.get_attribute("id") == "threshold"
    outline = browser.execute_script("return getComputedStyle(arguments[0]).outlineStyle", focus)
    assert outline == "solid"
    focus.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT, Keys.ARROW_RIGHT)
    threshold = data["thresholds"][data["start"] + 2]
    assert focus.get_attribute("aria-valuetext") == f"score {threshold:g}"
    got = browser.execute_script(COUNTS)
    last = len(data["stages"]) - 1
    assert (got["hit"], got["miss"], got["false"]) == expected(data, last, threshold)


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_no_width_makes_the_page_scroll_sideways(width, browser, report_runs, tmp_path):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    runs = (report_runs.boosted, report_runs.linear, report_runs.untested)
    both = write_runs_page(runs, tmp_path / "both.html")
    for page in (*(run / "report.html" for run in runs), both):
        browser.get(page.resolve().as_uri())
        found = browser.execute_script("return document.documentElement.scrollWidth")
        assert found <= width, page
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_light_and_dark_differ_and_text_can_be_read(browser, report_runs):
    shades = {}
    for scheme in ("light", "dark"):
        feature = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": feature})
        show(browser, report_runs.boosted)
        shades[scheme] = browser.execute_script(
            """
            const of = (e, p) => getComputedStyle(e)[p].match(/[\\d.]+/g).slice(0, 3).map(Number);
            const label = document.querySelector('.plot text');
            return [of(document.body, 'backgroundColor'), of(document.body, 'color'),
                    of(label, 'fill')];
            """
        )
    for paper, ink, label in shades.values():
        assert abs(sum(paper) - sum(ink)) > 450
        assert abs(sum(paper) - sum(label)) > 450
    assert shades["light"][0] != shades["dark"][0]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
