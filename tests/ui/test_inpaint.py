"""The tab Inpaint, with the bundled model."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import vaetool
from vaetool import images
from vaetool.errors import ImageError, UsageError
from vaetool.images import Picture
from vaetool.ui.inpaint import Fill, Mark, fill, hole_of, mask
from vaetool.ui.views import saved

STROKE = Mark([(40.0, 30.0), (90.0, 50.0)], radius=5.0)


# Marks


def test_a_stroke_covers_the_pixels_whose_centres_are_within_its_radius():
    hole = hole_of([STROKE], 107, 160)
    rows, columns = np.mgrid[:107, :160] + 0.5
    start, way = np.array(STROKE.points[0]), np.subtract(STROKE.points[1], STROKE.points[0])
    along = (((columns - start[0]) * way[0] + (rows - start[1]) * way[1]) / (way @ way)).clip(0, 1)
    distance = np.hypot(columns - start[0] - along * way[0], rows - start[1] - along * way[1])
    assert np.array_equal(hole, distance <= 5)


def test_a_dot_is_a_disc_and_marks_beyond_the_picture_are_cut_off():
    hole = hole_of([Mark([(0.0, 0.0)], radius=3.0), Mark([(-50.0, 500.0)], radius=9.0)], 20, 30)
    assert hole.sum() == hole[:3, :3].sum() == 8  # of a quarter of the disc, all but its corner


def test_a_box_is_between_two_points_in_any_order_and_an_eraser_takes_away():
    box = Mark([(12.0, 9.0), (4.0, 3.0)], shape="box")
    hole = hole_of([box], 20, 30)
    assert hole.sum() == 8 * 6
    assert hole[3:9, 4:12].all()
    erased = hole_of([box, Mark([(8.0, 6.0)], radius=2.0, erase=True)], 20, 30)
    assert erased.sum() == 48 - 12


@pytest.mark.parametrize("mark", [Mark([]), Mark([(0.0, float("nan"))], 3.0), Mark([(1.0, 1.0)], -1.0)])
def test_a_mark_that_is_none_is_refused(mark):
    with pytest.raises(UsageError, match="a mark needs points"):
        hole_of([mark], 20, 30)


# Filling


def test_outside_of_the_marks_nothing_changes_and_inside_it_is_what_the_command_makes(session, opened, photographs):
    photo = opened()
    found = fill(session, Fill(photo["id"], [STROKE]))
    name, data = saved(session.find(found["id"]), "PNG")
    before, after = np.asarray(photographs["flower"]), images.read(data).pixels
    hole = hole_of([STROKE], *before.shape[:2])
    assert name == "flower.inpainted.png"
    assert np.array_equal(after[~hole], before[~hole])
    assert (after != before)[hole].any()
    assert np.array_equal(after, vaetool.inpaint(before, hole, dilate=0, device="cpu"))
    assert (found["holes"], found["filled"]) == (1, pytest.approx(hole.mean(), abs=1e-6))


def test_sixteen_bits_stay_sixteen_bits(session, opened, photographs):
    generator = np.random.default_rng(0)
    before = np.asarray(photographs["flower"]).astype(np.uint16) * 257
    before ^= generator.integers(0, 256, before.shape, np.uint16)
    photo = opened(images.encode(Picture(before), "PNG"), "deep.png")
    assert photo["bits"] == 16
    found = fill(session, Fill(photo["id"], [STROKE]))
    after = images.read(saved(session.find(found["id"]), "PNG")[1]).pixels
    hole = hole_of([STROKE], *before.shape[:2])
    assert after.dtype == np.uint16
    assert np.array_equal(after[~hole], before[~hole])
    assert (after != before)[hole].any()


def test_a_jpeg_can_be_saved_as_either(session, opened, photos):
    photo = opened(photos[0].read_bytes(), "china.jpg")
    found = fill(session, Fill(photo["id"], [STROKE]))
    assert found["formats"] == ["JPEG", "PNG"]
    assert [saved(session.find(found["id"]), each)[0] for each in found["formats"]] == [
        "china.inpainted.jpg",
        "china.inpainted.png",
    ]
    with pytest.raises(UsageError, match="is saved as JPEG or PNG, not as BMP"):
        saved(session.find(found["id"]), "BMP")


def test_a_result_is_filled_further(session, opened):
    once = fill(session, Fill(opened()["id"], [STROKE]))
    twice = fill(session, Fill(once["id"], [Mark([(20.0, 80.0)], 6.0)]))
    assert twice["name"] == "flower.inpainted.png"
    assert twice["id"] != once["id"]


def test_the_mask_is_one_that_the_command_takes(session, opened, vaetool, photographs, tmp_path):
    photo = opened()
    exact, grown = (mask(session, Fill(photo["id"], [STROKE], grow=grow)) for grow in (False, True))
    marked, wider = (session.find(made["id"]).picture.pixels > 0 for made in (exact, grown))
    assert (wider >= marked).all()
    assert wider.sum() > marked.sum()
    found = mask(session, Fill(photo["id"], [STROKE], dilate=3))
    name, data = saved(session.find(found["id"]))
    assert name == "flower.mask.png"
    (tmp_path / name).write_bytes(data)
    photographs["flower"].save(tmp_path / "flower.png")
    result = vaetool("inpaint", tmp_path / "flower.png", "--mask", tmp_path / name, "--dilate", "0", "--device", "cpu")
    assert result.exit_code == 0
    filled = fill(session, Fill(photo["id"], [STROKE], dilate=3))
    ours, theirs = session.find(filled["id"]).picture.pixels, images.read(tmp_path / "flower.inpainted.png").pixels
    assert np.array_equal(ours, theirs)


def test_what_cannot_be_filled_is_said_in_one_line(session, opened):
    photo = opened()
    with pytest.raises(UsageError, match="nothing is marked: paint over"):
        fill(session, Fill(photo["id"], []))
    with pytest.raises(UsageError, match="dilate must be from 0 to 1000"):
        fill(session, Fill(photo["id"], [STROKE], dilate=-1))
    everything = Mark([(0.0, 0.0), (500.0, 500.0)], shape="box")
    with pytest.raises(ImageError, match=r"^flower\.png: is covered by the hole entirely"):
        fill(session, Fill(photo["id"], [everything]))


def test_what_a_file_left_out_is_told(opened):
    first = Image.new("L", (40, 30), 50)
    first.save(file := io.BytesIO(), "GIF", save_all=True, append_images=[Image.new("L", (40, 30), 90)])
    assert "frame" in " ".join(opened(file.getvalue(), "two.gif")["notes"])
