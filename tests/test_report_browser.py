"""The report in a browser: it opens, tabs work, pictures are there, nothing overlaps or sticks out."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regoal.benchmarks.report import write_report
from regoal.cli import main

pytestmark = pytest.mark.browser

SUITE = """
name = "browsed"
title = "A suite with long names that is seen in a browser"
seeds = [0, 1]
steps = 300
eval_interval = 100
eval_episodes = 2
[pretrain]
steps = 300
[grid]
env = ["regoal/PointReach-v0"]
shift = ["action_rotation=60", "action_gain=0.5,action_rotation=90"]
mode = ["warm_start", "scratch"]
n_sampled_goal = [2, 4]
[settings]
agent.hidden = [16]
agent.batch_size = 16
[baseline]
mode = "scratch"
n_sampled_goal = 4
"""
# Pairs of visible pieces of text, one not in the other, that share more than a pixel or two.
OVERLAPS = """
const boxes = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode, parent = node.parentElement;
  if (!node.data.trim() || parent.closest("script, style, [hidden]")) continue;
  if (parent.closest(".rows thead") && innerWidth < 960) continue;  // for those who listen
  const range = document.createRange();
  range.selectNodeContents(node);
  for (const box of range.getClientRects())
    if (box.width > 1 && box.height > 1) boxes.push([box, node.data.trim()]);
}
const found = [];
for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) {
  const [a, one] = boxes[i], [b, other] = boxes[j];
  const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  if (x > 2 && y > 0.35 * Math.min(a.height, b.height)) found.push(one + " / " + other);
}
return [boxes.length, found];
"""
CUT = """
return [...document.querySelectorAll("svg[viewBox]")].flatMap(svg => {
  const all = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter(text => {
    const box = text.getBoundingClientRect();
    return box.width && (box.left < all.left - 2 || box.right > all.right + 2 || box.bottom > all.bottom + 2);
  }).map(text => text.textContent);
});
"""


def _chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a small benchmark; or, to look at another, that of the folder in REGOAL_REPORT."""
    if given := os.environ.get("REGOAL_REPORT"):
        return write_report(Path(given))
    folder = tmp_path_factory.mktemp("browsed")
    (folder / "browsed.toml").write_text(SUITE)
    assert main(["benchmark", str(folder / "browsed.toml"), "--out", str(folder / "out"), "--jobs", "1"]) == 0
    return folder / "out" / "report.html"


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    webdriver = pytest.importorskip(
        "selenium.webdriver", reason="selenium is not installed: make test-browser"
    )
    chromium, chromedriver = _chromium(), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("no chromium with its chromedriver: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    yield browser
    browser.quit()


def _open(driver: Any, report: Path, width: int, **media: str) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": media.get("scheme", "light")}]
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"media": media.get("media", ""), "features": features}
    )
    driver.get("about:blank")
    driver.get(report.as_uri())


def _shown(driver: Any) -> list[bool]:
    shown: list[bool] = driver.execute_script(
        "return [...document.querySelectorAll('.panel')].map(one => one.getClientRects().length > 0)"
    )
    return shown


@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_without_errors_and_nothing_overlaps_or_sticks_out(
    driver: Any, report: Path, width: int, scheme: str
) -> None:
    _open(driver, report, width, scheme=scheme)
    assert driver.get_log("browser") == []
    assert (
        driver.execute_script(
            "return performance.getEntriesByType('resource').filter(one => "
            "!one.name.startsWith('data:')).length"
        )
        == 0
    )
    tabs = driver.find_elements("css selector", "[role=tab]")
    assert len(tabs) == len(_shown(driver)) > 1
    for tab in tabs:
        tab.click()
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width
        texts, overlaps = driver.execute_script(OVERLAPS)
        assert texts > 100
        assert overlaps == []
        assert driver.execute_script(CUT) == []


def test_pictures_are_there(driver: Any, report: Path) -> None:
    _open(driver, report, 1440)
    sizes = driver.execute_script(
        "return [...document.images].map(one => [one.complete, one.naturalWidth, one.naturalHeight])"
    )
    assert len(sizes) >= 6
    assert all(complete and wide > 50 and high > 50 for complete, wide, high in sizes)
    plots = driver.execute_script(
        "return [...document.querySelectorAll('.plot > svg')].filter(one => !one.closest('[hidden]'))"
        ".map(one => [one.getBoundingClientRect().width, one.getBoundingClientRect().height])"
    )
    assert len(plots) == 3  # intervals, the chosen task, profiles
    assert all(width > 300 and height > 100 for width, height in plots)


def test_tabs_work_with_keys_and_links_open_theirs(driver: Any, report: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    _open(driver, report, 1440)
    tabs = driver.find_elements("css selector", "[role=tab]")
    last = len(tabs) - 1
    assert _shown(driver).index(True) == 0
    assert sum(_shown(driver)) == 1
    tabs[0].send_keys(Keys.ARROW_RIGHT)
    assert _shown(driver).index(True) == 1
    for key, chosen in ((Keys.END, last), (Keys.ARROW_RIGHT, 0), (Keys.ARROW_LEFT, last), (Keys.HOME, 0)):
        driver.switch_to.active_element.send_keys(key)
        assert _shown(driver).index(True) == chosen
        assert driver.switch_to.active_element == tabs[chosen]
        assert [tab.get_attribute("aria-selected") for tab in tabs].index("true") == chosen
    driver.execute_script(f"location.hash = '#task-{last}'")
    assert driver.execute_async_script("setTimeout(arguments[0], 100)") is None
    assert _shown(driver).index(True) == last


def test_on_paper_all_tasks_are_there_and_it_is_light(driver: Any, report: Path) -> None:
    _open(driver, report, 800, scheme="dark", media="print")
    assert all(_shown(driver))
    assert not driver.find_element("css selector", ".tabs").is_displayed()
    colour = "return getComputedStyle(document.body).backgroundColor"
    assert driver.execute_script(colour) == "rgb(255, 255, 255)"
    _open(driver, report, 800, scheme="dark")
    assert driver.execute_script(colour) == "rgb(20, 23, 27)"


def test_without_its_script_everything_is_there(driver: Any, report: Path) -> None:
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        _open(driver, report, 1440)
        panels = driver.find_elements("css selector", ".panel")
        assert len(panels) > 1
        assert all(panel.is_displayed() for panel in panels)
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
