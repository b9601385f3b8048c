"""The page: what is in it, what cannot get out of it, and, where there is a browser, what it does."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from vaetool.scoring.calibration import Calibration
from vaetool.scoring.evaluation import evaluate
from vaetool.scoring.report import Page, ReportRow, thumbnail

EVIL = 'evil/<img src=x onerror=alert(1)>"&amp;</script><!--{{data}}\udcff.png'
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

CALIBRATION = Calibration(("recon", "kl", "iwae"), np.array([[k / 40, 1 - k / 40, np.nan] for k in range(40)]))


def entry(number: int, path: str | None = None, *, label: bool | None = None, pictures: bytes = b"") -> ReportRow:
    """The one with number 0 is the least strange of a hundred."""
    components = {"recon": number / 100, "kl": 0.5}
    p = float(CALIBRATION.p_values(np.array([number / 100]), "recon")[0])
    return ReportRow(path or f"parts/{number:02}.png", number / 100, p, components, label, pictures, pictures)


def written(entries: list[ReportRow], *, threshold: float = 0.05) -> str:
    page = Page()
    for each in entries:
        page.add(each)
    scores, p_values = (np.array([getattr(each, name) for each in entries]) for name in ("score", "p_value"))
    labels = np.array([-1 if each.label is None else int(each.label) for each in entries])
    evaluation = evaluate(scores, labels == 1, p_values <= threshold) if (labels >= 0).all() else None
    facts = ["By recon <b>."]
    content = page.write("Scores by </title>x", facts, calibration=CALIBRATION, by="recon", threshold=threshold,
                         scores=scores, p_values=p_values, labels=labels, evaluation=evaluation)  # fmt: skip
    return content.decode()


class Outline(HTMLParser):
    """Tags with their attributes, and what is in scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.current = ""
        self.scripts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.current = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.current = ""

    def handle_data(self, data):
        if self.current == "script":
            self.scripts[-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def data(self) -> dict:
        return json.loads(self.scripts[0])


@pytest.fixture(scope="module")
def small_picture() -> bytes:
    return thumbnail(np.zeros((8, 8, 1), np.uint8), square=True)


def test_the_worst_come_first_with_the_terms_of_their_scores():
    data = Outline(written([entry(number) for number in (3, 99, 50)])).data
    assert [row[0] for row in data["rows"]] == ["parts/99.png", "parts/50.png", "parts/03.png"]
    assert data["terms"] == ["recon", "kl"]  # iwae was not computed
    _, score, p, outlier, label, terms, ranks, picture, heat = data["rows"][1]
    assert (score, outlier, label, terms, picture, heat) == (0.5, False, None, [0.5, 0.5], None, None)
    assert p == pytest.approx(21 / 41, abs=1e-6)
    assert ranks == [0.5, pytest.approx(0.5, abs=0.03)]
    assert data["rows"][0][3] is True
    assert data["labelled"] is False


def test_of_very_many_the_worst_are_kept_and_the_page_says_so(monkeypatch):
    monkeypatch.setattr("vaetool.scoring.report.MAX_ROWS", 10)
    page = written([entry(number) for number in np.random.default_rng(0).permutation(100)])
    assert [row[0] for row in Outline(page).data["rows"]] == [f"parts/{number}.png" for number in range(99, 89, -1)]
    assert "Only the 10 with the highest scores are listed" in page


def test_no_name_gets_out_of_its_place():
    page = written([entry(5, EVIL), entry(6)])
    outline = Outline(page)
    assert outline.data["rows"][1][0] == EVIL
    assert "<title>Scores by &lt;/title&gt;x</title>" in page
    assert "By recon &lt;b&gt;." in page
    assert len(outline.scripts) == 2
    assert all("onerror" not in attributes for _, attributes in outline.tags)


def test_the_page_needs_nothing_but_itself(small_picture):
    outline = Outline(written([entry(k, label=k > 1, pictures=small_picture) for k in range(4)]))
    addresses = [value for _, attributes in outline.tags for key, value in attributes.items() if key in ("src", "href")]
    assert addresses
    assert all(address.startswith("data:") for address in addresses)
    assert not outline.all("link")
    policy = next(item["content"] for item in outline.all("meta") if item.get("http-equiv"))
    assert policy.startswith("default-src 'none'")


def test_plots_have_words_and_tools_have_labels():
    page = written([entry(k, label=k > 1) for k in range(4)])
    outline = Outline(page)
    words = [image["alt"] for image in outline.all("img")]
    assert words[0].startswith("Histogram of scores. Calibration images: median 0.4875")
    assert words[1] == "ROC and precision-recall curves"
    assert '<th scope="row">ROC AUC</th><td>1.0000' in page
    for tool in re.findall(r"<(?:input|select)[^>]*>", page):
        assert re.search(rf"<label[^>]*>[^<]*{re.escape(tool)}", page)
    assert outline.all("html")[0]["lang"] == "en"


def test_a_term_that_is_no_number_is_left_empty():
    data = Outline(written([ReportRow("a.png", 0.3, 1.0, {"recon": float("nan"), "kl": 0.5})])).data
    assert data["rows"][0][1:7] == [0.3, 1.0, False, None, [None, 0.5], [None, pytest.approx(0.5, abs=0.03)]]


@pytest.mark.parametrize(
    ("shape", "dtype", "square", "size"),
    [
        ((300, 200, 3), np.uint8, True, (128, 128)),
        ((300, 200, 3), np.uint8, False, (85, 128)),
        ((28, 28, 1), np.uint8, True, (28, 28)),
        ((20, 40, 1), np.uint16, True, (20, 20)),
        ((40, 20, 3), np.float32, False, (20, 40)),
    ],
)
def test_thumbnails_are_small_and_of_the_part_that_was_seen(shape, dtype, square, size):
    with Image.open(io.BytesIO(thumbnail(np.ones(shape, dtype), square=square))) as image:
        assert (image.format, image.size) == ("WEBP", size)


def test_small_pictures_are_shown_as_they_are():
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28, 3), np.uint8)
    with Image.open(io.BytesIO(thumbnail(pixels, square=True))) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


# In a browser

DRIVER = """
<script>
{
addEventListener("error", event => { document.title = `error: ${event.message}`; });
const key = (name, at = document.activeElement) =>
  at.dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true}));
const type = (id, value) => { $(id).value = value; $(id).dispatchEvent(new Event("input", {bubbles: true})); };
const press = name => [...document.querySelectorAll("thead button")].find(item => item.textContent === name).click();
const first = () => document.querySelector("tr[data-place='0'] td.path").textContent;
const focused = () => document.activeElement.dataset.place;
const built = () => document.querySelectorAll("tr[data-place]").length;
const seen = {built: built(), first: first(), count: $("count").textContent};

seen.sorted = ["file", "score", "score", "kl"].map(name => {
  press(name);
  return [first(), document.querySelector("[aria-sort]").getAttribute("aria-sort")];
});
press("score");

type("name", "0007"); seen.named = $("count").textContent; type("name", "");
type("verdict", "outlier"); seen.outliers = $("count").textContent;
type("label", "wrong"); seen.wrong = $("count").textContent;
type("label", ""); type("verdict", "");

document.querySelector("tr[data-place='0']").focus();
seen.moves = ["ArrowDown", "ArrowDown", "ArrowUp", "End", "ArrowDown", "ArrowUp", "Home"].map(name => {
  key(name);
  return focused();
});
key("End"); seen.builtAtEnd = built();
key("Enter"); seen.open = [$("detail").open, $("detail-name").textContent, $("detail-terms").rows.length];
key("ArrowLeft", $("detail")); seen.before = $("detail-name").textContent;
const slider = $("detail-heat").querySelector("input");
slider.value = "0.25"; slider.dispatchEvent(new Event("input"));
const shown = getComputedStyle(document.querySelector("dialog .heat"));
seen.heat = [shown.opacity, $("heated").querySelector("input").value];
$("detail").close();

for (let step = 0; step < 50; step++) { $("scroller").scrollTop = step * 20000; build(); }
$("scroller").scrollTop = $("scroller").scrollHeight; build();
const controls = [...document.querySelectorAll("button, input, select")];
seen.unnamed = controls.filter(item => !(item.textContent || item.labels.length)).length;
seen.injected = document.querySelectorAll("img[onerror]").length;
setTimeout(() => {
  seen.focusAfter = focused();
  document.body.append(make("pre", {id: "seen", textContent: btoa(JSON.stringify(seen))}));
}, 100);
}
</script>
"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_ten_thousand_images_are_sorted_filtered_and_gone_through_by_keyboard(tmp_path, small_picture):
    names = [EVIL.replace("\udcff", ""), *(f"parts/{number:05}.png" for number in range(1, 10_000))]
    entries = [entry(n // 100, name, label=n >= 9000, pictures=small_picture) for n, name in enumerate(names)]
    entries[-1] = ReportRow(
        "parts/09999.png", 2.0, 1 / 41, {"recon": 2.0, "kl": 3.0}, False, small_picture, small_picture
    )
    page = written(entries).replace("</body>", DRIVER + "</body>")
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,900", f"--user-data-dir={tmp_path}/p"]
    options += ["--virtual-time-budget=5000", "--dump-dom", (tmp_path / "page.html").as_uri()]
    process = subprocess.run([BROWSER, *options], capture_output=True, timeout=120, check=True)
    shown = process.stdout.decode()
    found = re.search(r'<pre id="seen">([^<]+)</pre>', shown)
    assert found, re.findall("<title>.*?</title>", shown)
    seen = json.loads(base64.b64decode(found[1]))
    outliers = sum(each.p_value <= 0.05 for each in entries)
    wrong = sum(each.p_value <= 0.05 and not each.label for each in entries)
    assert seen["first"] == "parts/09999.png"
    assert seen["built"] < 40
    assert seen["builtAtEnd"] < 40
    assert seen["count"] == "10000 of 10000 images"
    assert seen["sorted"] == [
        [names[0], "ascending"],
        ["parts/09999.png", "descending"],
        [names[0], "ascending"],
        ["parts/09999.png", "descending"],
    ]
    assert seen["named"] == "11 of 10000 images"
    assert (seen["outliers"], seen["wrong"]) == (f"{outliers} of 10000 images", f"{wrong} of 10000 images")
    assert seen["moves"] == ["1", "2", "1", "9999", "9999", "9998", "0"]
    assert seen["open"][0] is True
    assert seen["open"][2] == 6  # score, p-value, verdict, label, recon, kl
    assert seen["before"] != seen["open"][1]
    assert seen["heat"] == ["0.25", "0.25"]
    assert seen["focusAfter"] == "9998"
    assert (seen["unnamed"], seen["injected"]) == (0, 0)
