"""`vaetool score` as a command: lines, verdicts, exit codes, evaluations, and what it writes."""

from __future__ import annotations

import base64
import inspect
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaetool import load
from vaetool.scoring import detection
from vaetool.scoring.calibration import ALPHA, Level, usual_alpha
from vaetool.store import weights

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def here(tmp_path, monkeypatch, digit_folders):
    """The current folder: `good` with 24 digits, `bad` with 6 pictures of noise."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(digit_folders / "1", "good")
    Path("bad").mkdir()
    generator = np.random.default_rng(0)
    for number in range(6):
        Image.fromarray(generator.integers(0, 256, (16, 16), np.uint8)).save(f"bad/{number}.png")
    return tmp_path


def rows(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


def records(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def same_scores(some: list[list[str]], others: list[list[str]]) -> bool:
    return [line[:3] for line in some] == [line[:3] for line in others]


def calibrating(model: Path) -> int:
    """The number of images that p-values are found by."""
    return load(model, device="cpu").calibration.count("typical")


# Lines


def test_a_line_is_score_p_value_verdict_and_path(here, vaetool, scorer):
    result = vaetool("score", "-m", scorer, "good/00.png", "bad")
    assert result.exit_code == 0
    lines = rows(result.stdout)
    assert [line[3] for line in lines] == ["good/00.png", *(f"bad/{number}.png" for number in range(6))]
    expected = list(detection.score(load(scorer, device="cpu"), [Path(line[3]) for line in lines]))
    for (score, p, verdict, _), one in zip(lines, expected, strict=True):
        assert float(score) == pytest.approx(one.score, rel=1e-4)
        assert float(p) == pytest.approx(one.p_value, rel=1e-3)
        assert verdict == ("outlier" if one.outlier else "normal")
    assert [line[2] for line in lines[1:]] == ["outlier"] * 6
    promise, summary, found = result.stderr.splitlines()
    expected = r"alpha 0\.05: of 100 good pictures, about [\d.]+ are called outliers, and no more than [\d.]+, with a "
    expected += (
        r"confidence of 95 %; calibrated with 72 good pictures \(24 to weigh the parts of a score, 48 for p-values\)"
    )
    assert re.fullmatch(expected, promise)
    assert calibrating(scorer) == 48
    assert (summary, found[:9]) == ("7 done", "outliers:")


def test_a_picture_that_is_named_twice_is_scored_once(here, vaetool, scorer):
    one = sorted(here.rglob("*.png"))[0]
    assert len(vaetool("score", "-m", scorer, one, one).stdout.splitlines()) == 1
    lines = vaetool("score", "-m", scorer, one.parent, one).stdout.splitlines()
    assert len(lines) == len(set(lines))


def test_json_has_every_component(here, vaetool, scorer):
    (record,) = records(vaetool("score", "-m", scorer, "bad/0.png", "--json", "--by", "iwae").stdout)
    assert record.keys() == {"path", "score", "p_value", "outlier", "by", "components", "in_bytes"}
    assert record["in_bytes"] == Path("bad/0.png").stat().st_size
    assert (record["path"], record["by"], record["outlier"]) == ("bad/0.png", "iwae", True)
    assert record["components"].keys() >= {"elbo", "recon", "kl", "iwae"}
    assert record["score"] == -record["components"]["iwae"]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_libraries_of_tables_read_it_as_the_guide_says(here, vaetool, scorer, library):
    frames = pytest.importorskip(library)
    guide = (ROOT / "docs/guide/score.md").read_text(encoding="utf-8")
    lines = [line.replace("\n", " ") for line in re.findall(rf"`({library}\.[^`]+)`", guide)]
    Path("scores.jsonl").write_bytes(vaetool("score", "-m", scorer, "bad", "good", "--json").data)
    Path("scores.tsv").write_bytes(vaetool("score", "-m", scorer, "bad", "good").data)
    tables = [eval(line, {library: frames}) for line in lines]
    assert len(tables) == (2 if library == "pandas" else 1)
    for table in tables:
        assert len(table) == 30
        assert {"path", "score"} <= set(table.columns)
        assert table["score"].dtype in (np.float64, getattr(frames, "Float64", None))


def test_in_a_pipe_and_by_any_format(here, vaetool, scorer):
    with Image.open("good/03.png") as image:
        for name in ("same.bmp", "same.webp", "same.tif"):
            image.save(name, lossless=True)
    lines = rows(vaetool("score", "-m", scorer, "good/03.png", "same.bmp", "same.webp", "same.tif").stdout)
    piped = rows(vaetool("score", "-m", scorer, "-", stdin=Path("good/03.png").read_bytes()).stdout)
    assert same_scores([*lines, *piped], lines[:1] * 5)
    assert piped[0][3] == "-"


def test_a_broken_file_is_named_in_its_place_and_the_others_are_scored(here, vaetool, scorer):
    Path("good/05.png").write_bytes(b"\x89PNG not really")
    result = vaetool("score", "-m", scorer, "good", "gone.png", "--json")
    assert result.exit_code == 1
    assert "good/05.png: not a readable image" in result.stderr
    assert "gone.png: no such file" in result.stderr
    assert "23 done, 2 failed" in result.stderr
    found = records(result.stdout)
    assert [record["path"] for record in found] == [*(f"good/{number:02}.png" for number in range(24)), "gone.png"]
    assert [number for number, record in enumerate(found) if "error" in record] == [5, 24]


def test_scores_do_not_depend_on_order_or_company_or_threads(here, vaetool, scorer):
    names = [*sorted(map(str, Path("good").iterdir())), *sorted(map(str, Path("bad").iterdir()))]
    once = rows(vaetool("score", "-m", scorer, *names).stdout)
    again = rows(vaetool("score", "-m", scorer, *names[::-1], "-j", "3").stdout)
    alone = rows(vaetool("score", "-m", scorer, names[7]).stdout)
    assert [line[3] for line in again] == names[::-1]
    assert same_scores(once, again[::-1])
    assert same_scores(once[7:8], alone)


def test_lines_come_while_names_still_come(here, python, scorer):
    with python("-m", "vaetool", "score", "-m", scorer, "--files-from", "-", "-0", cwd=here) as process:
        process.stdin.write(b"good/01.png\0good/02.png\0" * 10)
        process.stdin.flush()
        first = [process.stdout.readline() for _ in range(16)]
        process.stdin.write(b"bad/1.png\0")
        process.stdin.close()
        rest = process.stdout.readlines()
        words = process.stderr.read().decode()
    assert process.returncode == 0, words
    assert [line.split(b"\t")[3] for line in first] == [b"good/01.png\n", b"good/02.png\n"] * 8
    assert len(rest) == 5
    assert rest[-1].endswith(b"outlier\tbad/1.png\n")


def test_a_list_on_standard_input_may_be_empty(here, vaetool, scorer):
    result = vaetool("score", "-m", scorer, "--files-from", "-")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing to do" in result.stderr


def test_names_of_many_kinds_stay_on_their_line(here, vaetool, scorer):
    odd = "good/tab\tnew\nline é.png"
    Path("good/00.png").rename(odd)
    assert vaetool("score", "-m", scorer, odd).stdout.splitlines()[0].endswith("good/tab\\tnew\\nline é.png")
    (record,) = records(vaetool("score", "-m", scorer, "--files-from", "-", "-0", "--json", stdin=odd.encode()).stdout)
    assert record["path"] == odd


def test_a_shard_takes_its_part(here, vaetool, scorer):
    lines = rows(vaetool("score", "-m", scorer, "bad", "--shard", "1/2").stdout)
    assert [line[3] for line in lines] == ["bad/1.png", "bad/3.png", "bad/5.png"]


def test_a_dry_run_lists_the_files(here, vaetool, scorer):
    result = vaetool("score", "-m", scorer, "bad", "--dry-run")
    assert result.stdout.splitlines() == [f"bad/{number}.png" for number in range(6)]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")
def test_on_a_terminal_it_is_a_table(here, python, scorer):
    import pty

    ours, theirs = pty.openpty()
    with python("-m", "vaetool", "score", "-m", scorer, "good/01.png", "bad/1.png", cwd=here, stdout=theirs) as process:
        process.communicate(timeout=120)
    os.close(theirs)
    lines = os.read(ours, 10_000).decode().splitlines()
    os.close(ours)
    assert lines[0].split() == ["score", "p-value", "verdict", "file"]
    assert [line.split()[-2:] for line in lines[1:]] == [["normal", "good/01.png"], ["outlier", "bad/1.png"]]
    assert lines[0].index("verdict") == lines[2].index("outlier")


# Verdicts and exit codes


def test_outliers_fail_only_if_wanted(here, vaetool, scorer):
    assert vaetool("score", "-m", scorer, "bad/0.png").exit_code == 0
    assert vaetool("score", "-m", scorer, "bad/0.png", "--fail-on-outlier", "--quiet").exit_code == 3
    assert vaetool("score", "-m", scorer, "good/01.png", "--fail-on-outlier", "--quiet").exit_code == 0
    Path("broken.png").write_bytes(b"\x89PNG not really")
    result = vaetool("score", "-m", scorer, "bad/0.png", "broken.png", "--fail-on-outlier", "--quiet")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "exit code 1, not 3: 1 failed; outliers among the others: 1"


@pytest.mark.parametrize("options", [(), ("--shard", "0/1")], ids=["as found", "planned"])
def test_a_camera_that_delivered_nothing_does_not_pass(here, vaetool, scorer, options):
    Path("second").mkdir()
    both = ("score", "-m", scorer, "second", "good/01.png", "--fail-on-outlier", "--quiet", *options)
    result = vaetool(*both)
    assert (result.exit_code, len(result.stdout.splitlines())) == (1, 1)
    assert result.stderr.startswith("second: no images in it; -r looks into sub-folders\n")


def test_quiet_says_nothing_but_data(here, vaetool, scorer):
    result = vaetool("score", "-m", scorer, "good", "--quiet")
    assert (result.stderr, len(result.stdout.splitlines())) == ("", 24)


def test_a_level_that_the_calibration_cannot_resolve_is_refused(here, vaetool, scorer):
    for level in (["--alpha", "0.01"], ["--fdr", "0.01"]):
        result = vaetool("score", "-m", scorer, "good", *level)
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"{calibrating(scorer)} good images" in result.stderr
        assert result.stderr.count("\n") == 1


def test_the_false_discovery_rate_is_of_the_whole_batch(here, vaetool, scorer):
    """The smallest p-value is an outlier in company that is as bad, and none among many good pictures."""
    alone = vaetool("score", "-m", scorer, "bad", "--fdr", "0.05", "--json")
    assert "of 100 pictures reported as outliers, 5 or fewer are good ones" in alone.stderr
    assert [record["outlier"] for record in records(alone.stdout)] == [True] * 6
    among = vaetool("score", "-m", scorer, "good", "bad/0.png", "--fdr", "0.05", "--json")
    assert not any(record["outlier"] for record in records(among.stdout))
    assert "less usual than all" in among.stderr.splitlines()[-1]
    assert "less usual than all" not in alone.stderr


def test_the_default_level_is_that_of_the_library():
    assert inspect.signature(detection.score).parameters["alpha"].default is None
    assert Level(None, None, 19).alpha == usual_alpha(19) == ALPHA


def test_a_batch_that_drifted_is_warned_about(here, vaetool, scorer):
    names = [f"bad/{number}.png" for number in range(6)] * 5
    result = vaetool("score", "-m", scorer, "--files-from", "-", stdin="\n".join(names).encode())
    assert "median p-value" in result.stderr.splitlines()[-1]
    assert "median p-value" not in vaetool("score", "-m", scorer, "good").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["good"], "what is good"),
        (["-m", "SCORER", "--good", "good", "bad"], "--good and -m exclude each other"),
        (["-m", "SCORER"], "nothing to read"),
        (["-m", "SCORER", "good", "--by", "elbow"], "no method 'elbow'"),
        (["-m", "SCORER", "good", "--alpha", "1.5"], "from 0 to 1"),
        (["-m", "SCORER", "good", "--alpha", "0"], "between 0 and 1"),
        (["-m", "SCORER", "good", "--alpha", "0.1", "--fdr", "0.1"], "exclude each other"),
        (["-m", "SCORER", "good", "--heatmap", "maps"], "scores whole pictures"),
        (["-m", "SCORER", "good", "--raw"], "--heatmap"),
        (["-m", "SCORER", "good", "--skip-existing"], "results of --heatmap and --copy-outliers"),
        (["-m", "SCORER", "good", "--strip"], "No such option: --strip"),
        (["-m", "SCORER", "good", "--roc", "roc.png"], "--normal and --outlier, or --labels"),
        (["-m", "SCORER", "good", "--masks", "good"], "--normal and --outlier, or --labels"),
        (["-m", "SCORER", "good", "--report", "page.pdf"], "the name must end in .html"),
        (["-m", "SCORER", "--normal", "good"], "need each other"),
        (["-m", "SCORER", "--normal", "good", "--outlier", "bad", "--top", "3"], "no line for each picture: --json"),
        (["-m", "SCORER", "--normal", "good", "--outlier", "bad", "--header"], "no line for each picture: --json"),
        (["-m", "SCORER", "--normal", "good", "--outlier", "bad", "good"], "give no other inputs"),
        (["-m", "SCORER", "--normal", "good", "--outlier", "good"], "both normal and an outlier"),
        (["-m", "DENOISER", "good"], "a dae gives no scores: name a model of features"),
        (["-m", "UNCALIBRATED", "good"], "was not calibrated"),
        (["-m", "SCORER", "."], "no images in .; -r looks into sub-folders"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_request_that_makes_no_sense_is_one_line(here, vaetool, scorer, tiny_dae, tiny_vae, arguments, message):
    models = {"SCORER": scorer, "DENOISER": tiny_dae, "UNCALIBRATED": tiny_vae}
    result = vaetool("score", *(models.get(argument, argument) for argument in arguments))
    assert result.exit_code == 2
    assert message in result.stderr.splitlines()[-1]
    assert result.stdout == ""


# Evaluation


def test_folders_that_are_known_make_an_evaluation(here, vaetool, scorer):
    result = vaetool("score", "-m", scorer, "--normal", "good", "--outlier", "bad", "--roc", "roc.svg")
    assert result.exit_code == 0, result.stderr
    figures = dict(rows(result.stdout))
    assert figures["images"] == "24 normal, 6 outliers"
    assert figures["ROC AUC"].startswith("1.0000 (95 % interval 1.0000 to 1.0000)")
    assert {"average precision", "FPR at 95 % TPR", "verdicts as given"} <= figures.keys()
    assert b"<svg" in Path("roc.svg").read_bytes()
    again = vaetool("score", "-m", scorer, "--normal", "good", "--outlier", "bad", "--roc", "roc.svg")
    assert (again.exit_code, "roc.svg exists" in again.stderr) == (2, True)


def test_an_evaluation_in_json_is_one_object_more(here, vaetool, scorer):
    *found, last = records(vaetool("score", "-m", scorer, "--normal", "good", "--outlier", "bad", "--json").stdout)
    assert [record["label"] for record in found] == ["normal"] * 24 + ["outlier"] * 6
    evaluation = last["evaluation"]
    assert (evaluation["normal"], evaluation["outliers"], evaluation["roc_auc"]) == (24, 6, 1.0)
    assert evaluation["at_verdict"]["found"] == sum(record["outlier"] for record in found[24:])
    assert len(evaluation["roc_auc_interval"]) == 2


def test_a_table_of_labels_names_the_pictures_or_those_among_others(here, vaetool, scorer):
    names = [f"good/{number:02}.png,normal" for number in range(10)] + [f"bad/{number}.png,1" for number in range(3)]
    Path("labels.csv").write_text("\n".join(["path,label", *names]), encoding="utf-8")
    figures = dict(rows(vaetool("score", "-m", scorer, "--labels", "labels.csv").stdout))
    assert figures["images"] == "10 normal, 3 outliers"
    result = vaetool("score", "-m", scorer, "--labels", "labels.csv", "good", "bad", "--json")
    assert "17 have no label, and are left out of the evaluation" in result.stderr
    *found, last = records(result.stdout)
    assert (len(found), last["evaluation"]["normal"]) == (30, 10)
    assert ["label" in record for record in found] == [True] * 10 + [False] * 14 + [True] * 3 + [False] * 3


def test_drift_is_not_told_of_known_outliers(here, vaetool, scorer):
    result = vaetool("score", "-m", scorer, "--normal", "good", "--outlier", "bad")
    assert "median p-value" not in result.stderr


# Files


def test_the_page_lists_the_pictures_and_is_kept(here, vaetool, scorer):
    arguments = ["score", "-m", scorer, "--normal", "good", "--outlier", "bad", "--report", "page.html"]
    result = vaetool(*arguments)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (0, "wrote page.html")
    page = Path("page.html").read_text(encoding="utf-8")
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert len(data["rows"]) == 30
    assert {row[0] for row in data["rows"][:6]} == {f"bad/{number}.png" for number in range(6)}
    assert all(row[7] for row in data["rows"])
    assert "Scores by scorer.safetensors" in page
    assert "ROC AUC" in page
    before = Path("page.html").stat().st_mtime_ns
    assert vaetool(*arguments).exit_code == 2
    assert Path("page.html").stat().st_mtime_ns == before
    assert vaetool(*arguments, "--force").exit_code == 0
    assert Path("page.html").read_text(encoding="utf-8") == page


def test_heatmaps_mirror_the_pictures_and_have_their_size(here, vaetool, finder, photographs):
    photographs["china"].save("china.jpg")
    result = vaetool("score", "-m", finder, "china.jpg", "bad/0.png", "--heatmap", "maps", "--json")
    assert result.exit_code == 0, result.stderr
    assert [record["output"] for record in records(result.stdout)] == ["maps/china.png", "maps/0.png"]
    with Image.open("maps/china.png") as image:
        assert (image.mode, image.size) == ("RGB", (160, 107))
    assert "maps/china.png exists" in vaetool("score", "-m", finder, "china.jpg", "bad", "--heatmap", "maps").stderr
    vaetool("score", "-m", finder, "china.jpg", "bad", "--heatmap", "raw", "--raw")
    with Image.open("raw/china.png") as image:
        assert (image.mode, image.size) == ("I;16", (160, 107))
    kept = vaetool("score", "-m", finder, "china.jpg", "bad", "--heatmap", "maps", "--skip-existing")
    assert "5 done, 2 skipped" in kept.stderr


def test_masks_tell_how_well_places_are_found(here, vaetool, finder):
    Path("masks").mkdir()
    mask = np.zeros((16, 16), np.uint8)
    mask[2:9, 4:10] = 255
    for number in range(5):
        Image.fromarray(mask).save(f"masks/{number}_mask.png")
    arguments = ["--normal", "good", "--outlier", "bad", "--masks", "masks"]
    result = vaetool("score", "-m", finder, *arguments, "--report", "page.html", "--json")
    evaluation = records(result.stdout)[-1]["evaluation"]
    assert 0 < evaluation["pixel_auroc"] < 1
    assert 0 < evaluation["per_region_overlap"] < 1
    assert "1 outliers have no mask" in result.stderr
    data = json.loads(
        Path("page.html").read_text(encoding="utf-8").partition('id="data">')[2].partition("</script>")[0]
    )
    with Image.open(io.BytesIO(base64.b64decode(data["rows"][0][8]))) as heat:
        assert heat.size == (16, 16)


def test_what_was_written_is_said(here, vaetool, finder):
    arguments = ["-m", finder, "--normal", "good", "--outlier", "bad", "--roc", "roc.png", "--heatmap", "maps"]
    words = vaetool("score", *arguments, "--copy-outliers", "odd", "--json").stderr.splitlines()
    assert "wrote roc.png" in words
    assert "wrote 30 heatmaps to maps" in words
    copied = len(list(Path("odd").iterdir())) if Path("odd").exists() else 0
    assert (f"wrote {copied} copies of outliers to odd" in words) == (copied > 0)


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["bad", "--report", "page.html"], "bad/0.png"),
        (["--files-from", "list", "--report", "page.html"], "bad/0.png"),
        (["--files-from", "list", "--report", "list.html"], "list"),
        (["--normal", "good", "--outlier", "bad", "--roc", "bad/0.png"], "bad/0.png"),
        (["--labels", "labels.csv", "--roc", "labels.png"], "labels.csv"),
        (["bad", "--heatmap", "bad"], "bad/0.png"),
        (["good/01.png", "--heatmap", "maps"], "bad/0.png"),
        (["bad", "--copy-outliers", "bad"], "bad/0.png"),
        (["bad", "--report", "model.html"], "own.safetensors"),
        (["bad", "--bad", "bad", "--save", "own.safetensors"], "own.safetensors"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_read_is_never_replaced(here, vaetool, finder, arguments, kept):
    shutil.copy(finder, "own.safetensors")
    Path("list").write_text("bad/0.png\n")
    Path("labels.csv").write_text("path,label\nbad/0.png,1\ngood/01.png,0\n")
    Path("maps").mkdir()
    if "maps" in arguments:
        arguments = [*arguments, "--bad", "bad"]
    for link, target in {
        "page.html": "bad/0.png",
        "list.html": "list",
        "labels.png": "labels.csv",
        "model.html": "own.safetensors",
        "maps/01.png": "../bad/0.png",
    }.items():
        Path(link).symlink_to(target)
    before = Path(kept).read_bytes()
    result = vaetool("score", "-m", "own.safetensors", *arguments, "--force")
    assert result.exit_code == 2
    assert "is an input: results never replace inputs" in result.stderr
    assert Path(kept).read_bytes() == before


@pytest.mark.parametrize("option", ["--heatmap", "--copy-outliers"])
def test_a_folder_is_not_called_like_a_file(here, vaetool, finder, option):
    result = vaetool("score", "-m", finder, "bad", option, "one.png")
    assert (result.exit_code, "one.png is a name for a file" in result.stderr) == (2, True)


# Order, names and copies


def test_lines_are_sorted_and_cut_on_request(here, vaetool, scorer):
    every = rows(vaetool("score", "-m", scorer, "good", "bad").stdout)
    ordered = rows(vaetool("score", "-m", scorer, "good", "bad", "--sort").stdout)
    assert sorted(every) == sorted(ordered)
    p_values = [float(line[1]) for line in ordered]
    assert p_values == sorted(p_values)
    assert {line[3] for line in ordered[:6]} == {f"bad/{number}.png" for number in range(6)}
    result = vaetool("score", "-m", scorer, "good", "bad", "--top", "3")
    assert rows(result.stdout) == ordered[:3]
    assert "30 done" in result.stderr
    assert f"outliers: {[line[2] for line in every].count('outlier')} of 30 pictures" in result.stderr
    records_of_top = records(vaetool("score", "-m", scorer, "good", "bad", "--top", "3", "--json").stdout)
    assert [record["path"] for record in records_of_top] == [line[3] for line in ordered[:3]]


def test_a_picture_found_twice_is_scored_once(here, vaetool, scorer):
    Path("list").write_text("bad/0.png\n")
    every = vaetool("score", "-m", scorer, "bad").stdout.splitlines()
    assert vaetool("score", "-m", scorer, "bad/**").stdout.splitlines() == every
    assert vaetool("score", "-m", scorer, "bad", "--files-from", "list").stdout.splitlines() == every


def test_names_of_columns_come_on_request(here, vaetool, scorer):
    lines = vaetool("score", "-m", scorer, "bad", "--header").stdout.splitlines()
    assert lines[0] == "score\tp-value\tverdict\tfile"
    assert len(lines) == 7
    assert vaetool("score", "-m", scorer, "bad", "--header", "--json").exit_code == 2


def test_outliers_are_copied_to_where_they_were_below_the_folder(here, vaetool, scorer):
    Path("all/deep").mkdir(parents=True)
    shutil.copy("bad/0.png", "all/deep/odd.png")
    shutil.copy("good/01.png", "all/usual.png")
    for _ in range(2):  # what is in the folder of copies is not scored
        result = vaetool("score", "-m", scorer, "all", "-r", "--copy-outliers", "all/odd", "--json", "--force")
        assert result.exit_code == 0
        copies = [record.get("copy") for record in records(result.stdout)]
        assert copies == [None, "all/odd/deep/odd.png"]
    assert Path("all/odd/deep/odd.png").read_bytes() == Path("bad/0.png").read_bytes()
    assert not Path("all/odd/usual.png").exists()
    refused = vaetool("score", "-m", scorer, "all", "-r", "--copy-outliers", "all/odd")
    assert (refused.exit_code, "odd.png exists" in refused.stderr) == (2, True)


# What speaks against the verdicts


def test_few_good_pictures_are_said(here, vaetool, tiny_vae, digit_folders, scorer):
    model = load(tiny_vae, device="cpu")
    detection.calibrate(model, sorted(digit_folders.rglob("*.png"))[:40])
    weights.save("few.safetensors", model, {"data": []})
    words = vaetool("score", "-m", "few.safetensors", "bad", "--fdr", "0.1").stderr
    assert "hardly calibrated: p-values come from 26 good pictures" in words
    assert "none is below 1/27" in words
    assert "hardly calibrated" not in vaetool("score", "-m", scorer, "bad").stderr
    words = vaetool("score", "-m", "few.safetensors", "bad").stderr
    assert "with 26 good pictures, only pictures less usual than all of them are outliers" in words
    assert "39 good pictures find more, and so does alpha 0.08" in words
    assert "less usual" not in vaetool("score", "-m", "few.safetensors", "bad", "--alpha", "0.08").stderr


def test_a_collapsed_posterior_is_said(here, vaetool, scorer):
    model = load(scorer, device="cpu")
    assert "collapsed" not in vaetool("score", "-m", scorer, "bad").stderr
    weights.save("collapsed.safetensors", model, {"data": [], "doubt": model.diagnose({"active_units": 0.0})})
    words = vaetool("score", "-m", "collapsed.safetensors", "bad").stderr
    assert "the posterior has collapsed: 0 of 4 units carry information" in words


def test_a_table_that_is_none_is_a_wrong_request(here, vaetool, scorer):
    for text, message in {
        "filename,label\nbad/0.png,0\n": "labels.csv: has no column 'path'",
        "path,label\nbad/0.png,0\n,1\n": "labels.csv: line 3: has no path",
        "path,label\nbad/0.png\n": "labels.csv: line 2: a label is 0 or normal, 1 or outlier, not ''",
        "path,label\n": "labels.csv: names no image",
    }.items():
        Path("labels.csv").write_text(text)
        result = vaetool("score", "-m", scorer, "--labels", "labels.csv")
        assert (result.exit_code, message in result.stderr) == (2, True), result.stderr
    assert vaetool("score", "-m", scorer, "--labels", "gone.csv").exit_code == 2
