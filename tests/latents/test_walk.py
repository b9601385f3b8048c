"""The page to walk through a latent space, and, where there is a browser, what it does."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from vaetool import load
from vaetool.latents.views import Plane
from vaetool.latents.walk import MAX_BYTES, SIDE, STEPS, walk_page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
EVIL = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def model():
    return load("smiles", device="cpu")


@pytest.fixture(scope="module")
def codes(model) -> np.ndarray:
    return model.mixture.sample(300, 1.0, np.random.default_rng(0))


@pytest.fixture(scope="module")
def page(model, codes) -> str:
    return walk_page(model, codes, ["a", "b", EVIL] * 100, [5, 3]).decode()


def test_all_pictures_are_in_the_page_which_is_small(page, model, codes):
    assert len(page) < 4 / 3 * MAX_BYTES + 100_000
    with Image.open(io.BytesIO(base64.b64decode(re.search('image/webp;base64,([^"]+)', page)[1]))) as image:
        sheet = np.asarray(image.convert("L")).astype(int)
    assert sheet.shape == (64 * (SIDE + 2), 64 * SIDE)
    grid = Plane(codes[np.random.default_rng(0).permutation(300)]).grid(SIDE)
    assert np.abs(sheet[64:128, -64:] - model.decode(grid[1, -1:])[0, :, :, 0]).mean() < 4
    low = codes.mean(axis=0)
    low[5] -= 3 * codes[:, 5].std()
    assert np.abs(sheet[64 * SIDE : 64 * (SIDE + 1), :64] - model.decode(low[None])[0, :, :, 0]).mean() < 4
    assert len(json.loads(re.search('id="data">([^<]+)<', page)[1])["dots"]) == 300


def test_the_page_needs_nothing_but_itself(page):
    assert all(address.startswith("data:") for address in re.findall(r'(?:src|href)="([^"]*)"', page))
    assert "default-src 'none'" in page
    assert EVIL not in page
    assert re.search(r"differs from what the model decodes by \d+ of 255 levels", page)


DRIVER = """
<script>
addEventListener("error", event => { document.title = `error: ${event.message}`; });
const seen = {};
const drawn = () => $("picture").getContext("2d").getImageData(0, 0, size, size).data;
const picture = () => [...drawn()].filter((_, k) => k % 4 == 0);
const set = (slider, value) => { slider.value = value; slider.dispatchEvent(new Event("input", {bubbles: true})); };
const timer = setInterval(() => {
  if (!document.body.dataset.ready) return;
  clearInterval(timer);
  seen.start = picture();
  set(places[0], 20); set(places[1], 19);
  seen.corner = picture();
  set(units[0], 3);
  seen.moved = picture();
  seen.outputs = [...document.querySelectorAll("output")].map(output => output.value);
  const box = $("map").getBoundingClientRect();
  $("map").dispatchEvent(new PointerEvent("pointerdown", {clientX: box.left + 1, clientY: box.bottom - 1}));
  seen.clicked = places.map(slider => slider.value);
  document.querySelector("button").click();
  setTimeout(() => {
    seen.reset = picture();
    seen.unnamed = [...document.querySelectorAll("input")].filter(item => !item.labels.length).length;
    seen.injected = document.querySelectorAll("img[onerror]").length;
    document.body.append(Object.assign(document.createElement("pre"), {id: "seen", textContent: JSON.stringify(seen)}));
  }, 50);
}, 50);
</script>
"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_sliders_and_clicks_show_the_pictures_of_the_codes(page, model, codes, tmp_path):
    (tmp_path / "page.html").write_text(page.replace("</body>", DRIVER + "</body>"), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/p"]
    options += ["--virtual-time-budget=8000", "--dump-dom", (tmp_path / "page.html").as_uri()]
    shown = subprocess.run([BROWSER, *options], capture_output=True, timeout=120, check=True).stdout.decode()
    found = re.search(r'<pre id="seen">([^<]+)</pre>', shown)
    assert found, re.findall("<title>.*?</title>", shown)
    seen = json.loads(found[1])

    grid = Plane(codes[np.random.default_rng(0).permutation(300)]).grid(SIDE)
    mean = codes.mean(axis=0)
    high = mean.copy()
    high[5] += STEPS[-1] * codes[:, 5].std()
    corner, start, centre, raised = (
        model.decode(code[None])[0].ravel().astype(int) for code in (grid[1, 20], grid[10, 10], mean, high)
    )
    for name, expected in (
        ("start", start),
        ("corner", corner),
        ("moved", (corner + raised - centre).clip(0, 255)),
        ("reset", start),
    ):
        assert np.abs(np.array(seen[name]) - expected).mean() < 4, name
    assert seen["outputs"] == ["20.0", "19.0", "3.0 σ", "0.0 σ"]
    assert seen["clicked"] == ["0", "0"]
    assert (seen["unnamed"], seen["injected"]) == (0, 0)
