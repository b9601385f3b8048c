"""The page in a real browser: Chromium without a window, where there is one (and selenium)."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from vaetool.ui.inpaint import Mark, hole_of
from vaetool.ui.server import serving

pytest.importorskip("selenium")

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs Chromium and its driver"),
    pytest.mark.filterwarnings("ignore::ResourceWarning:selenium"),
]

PATIENCE = 120  # seconds


class Page:
    """What a user does with the page."""

    def __init__(self, driver: webdriver.Chrome, downloads: Path) -> None:
        self.driver, self.downloads = driver, downloads

    def open(self, address: str) -> None:
        self.driver.get(address)
        WebDriverWait(self.driver, PATIENCE).until(lambda driver: self.find("body").get_attribute("data-ready"))

    def find(self, selector: str):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def wait(self) -> None:
        """Until the page does not work on anything."""
        time.sleep(0.2)
        WebDriverWait(self.driver, PATIENCE).until(lambda driver: not self.find("body").get_attribute("aria-busy"))

    def give(self, selector: str, *paths: Path) -> None:
        """Choose files, as in the dialogue of a file button."""
        self.find(f"{selector} input[type=file]").send_keys("\n".join(map(str, paths)))
        self.wait()

    def drop(self, selector: str, path: Path) -> None:
        """Drag a file or folder from outside onto an element."""
        box = self.find(selector).rect
        where = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for step in ("dragEnter", "dragOver", "drop"):
            self.driver.execute_cdp_cmd("Input.dispatchDragEvent", {"type": step, **where, "data": data})
        self.wait()

    def show(self, tab: str) -> None:
        self.find(f"#tab-{tab}").click()
        self.wait()

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def focus(self, selector: str) -> None:
        """Press Tab until an element has the focus; fail if it never has."""
        for _ in range(60):
            if self.driver.execute_script("return document.activeElement.matches(arguments[0])", selector):
                return
            self.press(Keys.TAB)
        pytest.fail(f"{selector} cannot be reached with the Tab key")

    def saved(self, name: str) -> Path:
        """Return a file that the browser saved, once it is there."""
        path, deadline = self.downloads / name, time.monotonic() + PATIENCE
        while not path.exists():
            assert time.monotonic() < deadline, list(self.downloads.iterdir())
            time.sleep(0.05)
        return path

    @property
    def error(self) -> str:
        return self.find("#error").text.removesuffix("×").strip()


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    downloads = tmp_path_factory.mktemp("downloads")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1360,900"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.downloads = downloads
    yield driver
    driver.quit()


@pytest.fixture
def page(driver, session):
    """The page of a new session; at the end nothing was loaded from elsewhere, and no script failed."""
    for path in driver.downloads.iterdir():
        path.unlink()
    driver.get("about:blank")
    for log in ("performance", "browser"):
        driver.get_log(log)
    with serving(session) as address:
        page = Page(driver, driver.downloads)
        page.open(address)
        yield page
        messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
        asked = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
        here = urlsplit(address).netloc
        assert len(asked) > 10
        assert {urlsplit(each).netloc for each in asked if not each.startswith(("data:", "blob:"))} == {here}
        assert [line for line in driver.get_log("browser") if "400 (Bad Request)" not in line["message"]] == []


@pytest.fixture
def photo(tmp_path, photographs) -> Path:
    path = tmp_path / "flower.png"
    photographs["flower"].save(path)
    return path


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_stroke_is_painted_filled_undone_and_saved(page, photo):
    page.give("#photo", photo)
    assert "160 × 107 pixels" in page.find(".facts").text
    sheet = page.find("#canvas")
    scale = sheet.rect["width"] / 160
    chain = ActionChains(page.driver).move_to_element_with_offset(sheet, 0, 0).click_and_hold()
    for _ in range(8):
        chain.move_by_offset(round(4 * scale), round(2 * scale))
    chain.release().perform()
    page.find("#fill").click()
    page.wait()
    assert (page.error, page.find("#inpaint .result").text[:13]) == ("", "1 hole filled")
    page.find("#inpaint .save a").click()
    before, after = pixels(photo), pixels(page.saved("flower.inpainted.png"))
    radius = float(page.find("#brush").get_attribute("value")) / 2
    middle = (80.0, 53.5)
    near = hole_of([Mark([middle, (middle[0] + 32, middle[1] + 16)], radius + 2)], 107, 160)
    changed = (before != after).any(axis=2)
    assert after.dtype == np.uint8
    assert not changed[~near].any()
    assert changed.sum() > 0.5 * 2 * radius * 36

    page.find("#undo").click()
    assert page.find("#fill").is_enabled()
    page.find("#undo").click()
    assert not page.find("#fill").is_enabled()
    assert not page.find("#undo").is_enabled()
    page.find("#redo").click()
    page.find("#redo").click()
    assert page.find("#inpaint .save a").text == "Save PNG"


def test_everything_is_done_with_the_keyboard(page, photo):
    page.focus("#tab-inpaint")
    page.give("#photo", photo)
    page.focus("#canvas")
    page.press(Keys.ARROW_LEFT * 3, " ", Keys.ARROW_RIGHT * 12, " ")
    page.press(Keys.ENTER)
    page.wait()
    assert page.find("#inpaint .result").text.startswith("1 hole filled")
    page.focus("#inpaint .save a")
    page.press(Keys.ENTER)
    changed = (pixels(photo) != pixels(page.saved("flower.inpainted.png"))).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert rows.size
    assert 45 < rows.min() <= rows.max() < 62  # a level stroke through the middle
    assert np.ptp(columns) > 2 * np.ptp(rows)
    ActionChains(page.driver).key_down(Keys.CONTROL).send_keys("z").key_up(Keys.CONTROL).perform()
    assert page.find("#fill").is_enabled()

    page.focus("#tab-inpaint")
    page.press(Keys.ARROW_RIGHT)
    assert page.find("#denoise").is_displayed()
    assert not page.find("#inpaint").is_displayed()
    page.wait()
    page.focus("#strength")
    page.press(Keys.ARROW_LEFT)
    assert page.find("#strength").get_attribute("value") == "0.95"
    page.focus("#denoise .compare input")
    page.focus("#denoise .save a")


def test_a_photo_is_compressed_and_the_file_saved(page, photo):
    page.give("#photo", photo)
    page.show("compress")
    figures = page.find("#compress .figures").text
    assert "PSNR" in figures
    assert page.error == ""
    page.find("#compress .save a").click()
    data = page.saved("flower.vae").read_bytes()
    assert f"{len(data):,} bytes" in figures
    assert page.driver.execute_script(
        "return [...document.querySelectorAll('#compress .frame img')].map(image => image.naturalWidth)"
    ) == [160, 160]
    assert len(page.driver.find_elements(By.CSS_SELECTOR, "#compress .lenses canvas")) == 2


def test_samples_are_changed_with_sliders_and_morphed(page):
    page.show("sample")
    assert len(page.driver.find_elements(By.CSS_SELECTOR, "#sample .grid img")) == 16
    before = page.find("#sample .chosen").get_attribute("src")
    page.focus("#sample .sliders input")
    page.press(Keys.END)
    page.wait()
    assert page.find("#sample .chosen").get_attribute("src") != before
    page.show("morph")
    page.find("#invent").click()
    page.wait()
    assert (page.error, page.find("#morph .result").text) == ("", "Frame 13 of 24")
    middle = page.find("#morph .film img").get_attribute("src")
    page.focus("#morph .film input")
    page.press(Keys.HOME)
    assert page.find("#morph .film img").get_attribute("src") != middle
    page.find("#morph .save a").click()
    assert page.saved("faces.sample.morph.gif").read_bytes().startswith(b"GIF89a")


@pytest.mark.slow
def test_new_pictures_get_a_table_of_verdicts(page, parts, tmp_path):
    page.show("score")
    for role, count in (("good", 12), ("new", 2)):
        paths = []
        for number, data in enumerate(parts(count)[: 12 if role == "good" else 3]):
            paths.append(tmp_path / f"{role}{number}.png")
            paths[-1].write_bytes(data)
        page.give(f"#{role}", *paths)
    page.find("#alpha").clear()
    page.find("#alpha").send_keys("0.1")
    page.find("#score .go").click()
    page.wait()
    rows = page.driver.find_elements(By.CSS_SELECTOR, "#score tbody tr")
    assert [page.error, len(rows)] == ["", 3]
    assert rows[0].text.split()[0] == "new2.png"
    assert rows[0].text.split()[-1] == "outlier"
    assert "of 100 good pictures" in page.find("#score .result").text
    assert "less usual" in page.find("#score .notes").text


def test_files_and_folders_are_dropped(page, photo, parts, tmp_path):
    page.drop("#inpaint .empty", photo)
    assert page.find(".facts").text.startswith("flower.png · 160 × 107")
    folder = tmp_path / "good"
    (folder / "inside").mkdir(parents=True)
    for place, data in zip((folder, folder, folder / "inside"), parts(2), strict=True):
        (place / f"{len(list(place.iterdir()))}.png").write_bytes(data)
    page.show("score")
    page.drop("#good", folder)
    assert page.find("#good [role=status]").text == "3 good pictures"
    page.find("#good [aria-label='Clear good pictures']").click()
    page.wait()
    assert page.find("#good [role=status]").text == "Drop good pictures here"


def test_errors_are_shown_in_one_line(page, tmp_path):
    path = tmp_path / "notes.png"
    path.write_text("no picture")
    page.give("#photo", path)
    assert page.error.startswith("notes.png: not a readable image")
    page.find("#error button").click()
    assert not page.find("#error").is_displayed()


def test_controls_have_names(page):
    nameless = page.driver.execute_script("""
        return [...document.querySelectorAll("input:not([type=file]), select, button")]
            .filter(each => !(each.labels?.length || each.textContent.trim() || each.getAttribute("aria-label")))
            .map(each => each.outerHTML)""")
    assert nameless == []
