"""The page of a run: what is on it, what it is made of, and what it says of a damaged folder."""

from __future__ import annotations

import html
import json
import re
import shutil

import numpy as np
import pytest
from report_runs import (
    N_TEST,
    NASTY,
    NASTY_FILE,
    invoke,
    naive_totals,
    page_data,
    train_boosted,
)

from bootstrap_det.channels import HOG
from bootstrap_det.classifiers import TreeModel
from bootstrap_det.exceptions import BootstrapDetError, DataError, ParameterError
from bootstrap_det.report import MAX_BYTES, read_peer, read_run, write_report, write_runs_page
from bootstrap_det.report.anatomy import cell_orientations, channel_kinds, usage
from bootstrap_det.report.figures import COLORS
from bootstrap_det.report.html import embedded_json, plain
from bootstrap_det.report.numbers import Table
from bootstrap_det.report.pages import write_strategies_page
from bootstrap_det.report.run_page import SIZES, make_page
from bootstrap_det.report.viewer import missed_objects, threshold_grid, totals_at
from bootstrap_det.round_detections import MAX_PER_PICTURE, spread, write_detections


@pytest.fixture
def run(report_runs, tmp_path):
    """A copy of a run, to be damaged."""
    return shutil.copytree(report_runs.boosted, tmp_path / "run")


def text_of(folder):
    return (folder / "report.html").read_text()


def test_training_writes_the_page_and_what_it_is_made_of(report_runs):
    names = {path.name for path in (report_runs.boosted / "rounds_detections").iterdir()}
    assert names == {"round_0.json", "round_1.json"}
    assert (report_runs.boosted / "test_set.json").is_file()
    text = text_of(report_runs.boosted)
    summary = json.loads((report_runs.boosted / "summary.json").read_text())
    assert f"{summary['final']['ap50']:.3f}" in text
    assert summary["versions"]["numpy"] in text
    for heading in ("What was trained", "Round by round", "Curves", "Look at the detections",
                    "Missed objects", "Worst false alarms", "Hardest negatives",
                    "What it looks for", "Time", "Left out, and notes"):  # fmt: skip
        assert heading in text
    assert "False positives per test picture fell from" in text


@pytest.mark.parametrize("name", ["boosted", "linear", "untested"])
def test_pages_are_small_and_load_nothing(name, report_runs):
    folder = getattr(report_runs, name)
    text = text_of(folder)
    assert len(text.encode()) < MAX_BYTES
    assert "default-src 'none'" in html.unescape(text)
    assert not re.findall(r"https?://", text)  # not even a namespace
    assert not re.findall(r"\b(?:src|href)=\"(?!data:|#)", text)
    assert not re.findall(r"url\((?!#)", text)
    assert "eval(" not in text


def test_every_picture_and_plot_says_what_it_shows(report_runs):
    for folder in (report_runs.boosted, report_runs.linear, report_runs.untested):
        text = text_of(folder)
        assert all(re.search(r'\balt="[^"]+"', tag) for tag in re.findall(r"<img[^>]*>", text))
        assert all('aria-label="' in tag for tag in re.findall(r"<svg[^>]*>", text))
        ids = re.findall(r'\bid="([^"]+)"', text)
        assert len(ids) == len(set(ids))


def test_the_same_run_gives_the_same_bytes(report_runs, tmp_path):
    again = write_report(report_runs.boosted, out=tmp_path / "again.html")
    assert again.read_bytes() == (report_runs.boosted / "report.html").read_bytes()
    assert make_page(read_run(report_runs.linear)) == make_page(read_run(report_runs.linear))


def test_totals_at_every_threshold_are_those_of_greedy_matching(report_runs):
    for folder in (report_runs.boosted, report_runs.linear):
        run, data = read_run(folder), page_data(folder / "report.html")
        assert 0.0 in data["thresholds"]
        files = [_file_of(folder, stage) for stage in run.stages]
        for stage, file in zip(data["stages"], files, strict=True):
            for index in range(0, len(data["thresholds"]), 11):
                hits, misses, false = naive_totals(folder, file, data["thresholds"][index])
                assert (stage["hits"][index], stage["false"][index]) == (hits, false)
                assert stage["n_objects"] - stage["hits"][index] == misses


def _file_of(folder, stage):
    if stage.found.round is None:
        return "final.json"
    several = len(list((folder / "rounds_detections").glob("template_*"))) > 0
    prefix = f"template_{stage.found.view}_" if several else ""
    return f"{prefix}round_{stage.found.round}.json"


def test_stages_are_judged_as_the_run_was(report_runs):
    for folder in (report_runs.boosted, report_runs.linear):
        run = read_run(folder)
        rounds = [stage for stage in run.stages if stage.found.round is not None]
        for stage, entry in zip(rounds, run.summary["rounds"], strict=True):
            measured = stage.evaluations.to_dict()
            assert measured["ap"] == entry["ap50"]
            assert measured["false_positives_per_image"] == entry["false_positives_per_image"]
        assert run.stages[-1].evaluations.to_dict()["ap"] == run.summary["final"]["ap50"]
    assert [stage.name for stage in run.stages][-1] == "final detector"


def test_shown_pictures_agree_with_the_totals_where_all_are_shown(report_runs):
    data = page_data(report_runs.linear / "report.html")
    assert len(data["pictures"]) == data["n_pictures"] == 8
    for number, stage in enumerate(data["stages"]):
        for index in range(0, len(data["thresholds"]), 7):
            rows = [row for picture in data["pictures"] for row in picture["stages"][number]
                    if row[0] >= data["thresholds"][index]]  # fmt: skip
            assert sum(row[5] == 0 for row in rows) == stage["hits"][index]
            assert sum(row[5] == 1 for row in rows) == stage["false"][index]


def test_hits_name_the_object_that_they_hit(report_runs):
    data = page_data(report_runs.linear / "report.html")
    run = read_run(report_runs.linear)
    for number, stage in enumerate(run.stages):
        missed = missed_objects(stage, run.test.pictures, 0.0)
        for picture, expected in zip(data["pictures"], missed, strict=True):
            hits = [row for row in picture["stages"][number] if row[5] == 0]
            for row in hits:
                assert picture["objects"][row[6]][4] == row[7]
            found = {row[6] for row in hits if row[0] >= 0}
            labels = data["stages"][number]["labels"]
            left = [i for i, o in enumerate(picture["objects"]) if o[5] and o[4] in labels
                    and i not in found]  # fmt: skip
            assert left == expected


def test_pictures_are_chosen_evenly_and_it_is_said(report_runs):
    data = page_data(report_runs.boosted / "report.html")
    shown = [picture["name"] for picture in data["pictures"]]
    assert len(shown) == SIZES[0].n_shown < N_TEST
    assert (shown[0], shown[-1]) == ("00.png", f"{N_TEST - 1:02d}.png")
    assert f"24 of the {N_TEST} test pictures are shown: evenly spaced" in text_of(
        report_runs.boosted
    )


def test_spread_keeps_the_ends():
    assert spread(5, 9) == [0, 1, 2, 3, 4]
    assert spread(10, 4) == [0, 3, 6, 9]
    assert spread(10, 1) == [0]
    assert spread(0, 3) == []


def test_a_page_that_would_be_too_large_has_smaller_pictures_and_says_so(report_runs):
    run = read_run(report_runs.boosted)
    small = len(make_page(run).encode()) - 1
    page = make_page(run, max_bytes=small)
    assert len(page.encode()) < small
    assert f"pictures are at most {SIZES[1].side} px" in page
    with pytest.raises(DataError, match=r"its page has 0\.\d MB with the smallest pictures"):
        make_page(run, max_bytes=1000)


def test_what_comes_from_data_is_escaped(report_runs):
    text = text_of(report_runs.linear)
    assert NASTY not in text
    assert NASTY_FILE not in text
    assert "<img src=x" not in text
    assert "a &lt;/script&gt;&lt;img src=x" in text
    assert text.count("<script") == text.count("</script>") == 2
    data = page_data(report_runs.linear / "report.html")
    assert NASTY in data["labels"]
    assert NASTY_FILE in [picture["name"] for picture in data["pictures"]]


def test_embedded_json_cannot_end_its_element():
    text = embedded_json({"a": "</script><!--&"})
    assert not re.search("[<>&]", text)
    assert json.loads(text) == {"a": "</script><!--&"}


def test_several_labels_have_tables_and_curves(report_runs):
    text = text_of(report_runs.linear)
    assert "Each label alone; the last row has sums and means." in text
    assert "is \\ found as" in text
    assert "all labels together and each label alone" in text
    assert '<option value="4" selected>final detector</option>' in text


def test_linear_templates_have_glyphs_and_trees_have_maps(report_runs):
    linear, boosted = text_of(report_runs.linear), text_of(report_runs.boosted)
    assert linear.count('class="glyph"') == 4
    assert "what speaks against one" in linear
    assert "% of the say" in boosted
    assert 'class="glyph"' not in boosted


def test_glyph_weights_are_summed_over_blocks():
    weights = np.arange(2 * 2 * 3 * 4 * 5, dtype=np.float32).reshape(12, 4, 5)
    cells = cell_orientations(weights, 2, 3)
    assert cells.shape == (3, 5, 6)
    assert cells.sum() == pytest.approx(weights.sum())
    assert cells[1, 0, 0] == weights[1, 0, 0]  # a corner is part of one block
    assert cells[1, 1, 1] == sum(
        weights.reshape(2, 2, 3, 4, 5)[y, x, 1, 1 - y, 1 - x] for y in (0, 1) for x in (0, 1)
    )


def test_trees_say_what_their_leaves_differ_by():
    model = TreeModel(
        features=[[0, 5, 7], [3, 0, 0]], thresholds=[[9, 9, 9], [9, 0, 0]],
        leaves=[[-1, 1, -1, 1], [-3, -3, 3, 3]], unit=1.0, window_shape=(2, 2, 2),
    )  # fmt: skip
    say = usage(model).ravel()
    # Deviations 1 and 3; nodes below the root count half, and those that only fill up do not.
    np.testing.assert_allclose(say, np.array([1, 0, 0, 3, 0, 0.5, 0, 0.5]) / 5)


def test_channels_have_kinds():
    assert set(channel_kinds(HOG(cell_size=4))) == {"orientations"}


def test_a_run_without_a_test_set_has_a_page_without_curves(report_runs):
    text = text_of(report_runs.untested)
    assert "no test set measured" in text
    assert "Look at the detections" not in text
    assert "Hardest negatives" in text
    assert not (report_runs.untested / "test_set.json").exists()


def test_pictures_that_are_gone_are_left_out_and_it_is_said(run):
    test_set = json.loads((run / "test_set.json").read_text())
    for picture in test_set["pictures"]:
        picture["path"] = str(run / "nowhere" / picture["name"])
    (run / "test_set.json").write_text(json.dumps(test_set))
    shown = invoke("report", run).stdout.strip()
    text = (run / "report.html").read_text()
    assert shown == str(run / "report.html")
    assert "test pictures that this page would show could not be read" in text
    assert str(run) not in text.split("The command")[0]
    assert page_data(run / "report.html")["pictures"] == []
    assert page_data(run / "report.html")["stages"][0]["hits"]


def test_moved_pictures_are_found_by_their_names(run, report_runs):
    test_set = json.loads((run / "test_set.json").read_text())
    for picture in test_set["pictures"]:
        picture["path"] = str(run / "nowhere" / picture["name"])
    (run / "test_set.json").write_text(json.dumps(test_set))
    invoke("report", run, "--images", report_runs.top / "test/images")
    assert len(page_data(run / "report.html")["pictures"]) == SIZES[0].n_shown
    with pytest.raises(DataError, match=r"is no folder\. Give that of the test pictures"):
        read_run(run, run / "summary.json")


def damage(folder, name, content):
    path = folder / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("summary.json", None, "holds no summary.json, so the run has not ended"),
        ("summary.json", b"{", "summary.json: cannot be read as JSON"),
        ("summary.json", b"[]", "is no summary of format 1"),
        ("summary.json", b'{"format": 1}', "lacks or garbles 'version', 'command'"),
        ("model.bdet", b"none", "model.bdet: cannot be read as a model file"),
        ("test_set.json", b"{", "test_set.json: cannot be read"),
        ("test_set.json", b'{"format": 9}', "is of format 9, not 1"),
        ("test_set.json", b'{"format": 1, "name": "x"}', "test_set.json: cannot be read"),
        ("rounds_detections/round_0.json", b"", "round_0.json: cannot be read"),
        ("rounds_detections/round_1.json", b'{"format": 1, "labels": ["x"], "rows": [[99]]}',
         "round_1.json: cannot be read"),
    ],
)  # fmt: skip
def test_a_damaged_folder_is_one_sentence(name, content, message, run):
    damage(run, name, content)
    with pytest.raises(BootstrapDetError, match=message):
        write_report(run)
    assert invoke("report", run, code=1).output.count("\n") == 1


def test_a_summary_that_lacks_something_is_refused(run):
    summary = json.loads((run / "summary.json").read_text())
    first = summary["rounds"][0]
    for name, value in (
        ("rounds", []), ("rounds", [3]), ("final", 3), ("windows", {"x": 3}), ("skipped", ["x"]),
        ("features", {}),
    ):  # fmt: skip
        (run / "summary.json").write_text(json.dumps({**summary, name: value}))
        with pytest.raises(DataError, match=rf"summary\.json: lacks or garbles '{name}'"):
            read_run(run)
    (run / "summary.json").write_text(json.dumps({**summary, "rounds": [{**first, "seconds": 3}]}))
    with pytest.raises(DataError, match="lacks or garbles 'seconds'"):
        read_run(run)
    with pytest.raises(DataError, match=r"is no run folder\. Give the folder that train wrote"):
        read_run(run / "nothing")


def test_a_run_that_keeps_no_detections_says_so(run):
    shutil.rmtree(run / "rounds_detections")
    (run / "test_set.json").unlink()
    invoke("report", run)
    assert "The folder keeps no detections of the test pictures" in text_of(run)


def test_sheets_that_cannot_be_read_are_counted(run):
    (run / "hard_negatives/round_1.png").write_bytes(b"")
    invoke("report", run)
    assert "1 sheet of hard negatives could not be read" in text_of(run)


def test_refinement_is_shown_whatever_it_holds(run):
    summary = json.loads((run / "summary.json").read_text())
    summary["refinement"] = {"loss": "giou", "stages": [{"mean_iou": 0.7512}], "on": True}
    (run / "summary.json").write_text(json.dumps(summary))
    invoke("report", run)
    text = text_of(run)
    assert '<section id="refinement">' in text
    assert "0.7512" in text
    assert "mean iou" in text


def test_classes_inside_groups_have_tables(run):
    summary = json.loads((run / "summary.json").read_text())
    table = {"labels": ["stop", "yield"], "counts": [[3, 1], [0, 2]]}
    groups = {"signs": {"n_found": 6, "accuracy": 0.8333, "confusion": table}}
    summary["final"]["classes"] = {"groups": groups, "n_found": 6, "accuracy": 0.8333,
                                   "mean_ap": 0.5}  # fmt: skip
    (run / "summary.json").write_text(json.dumps(summary))
    invoke("report", run)
    assert "Of objects found, the share of the right class. Mean AP of the classes: 0.500." in (
        text_of(run)
    )
    assert "what an object of signs is" in text_of(run)


def test_a_run_that_goes_on_keeps_the_rounds_of_before(run, report_runs):
    test = ("--test-data", report_runs.top / "test/annotations.json", "--resume")
    train_boosted(report_runs.top, run, *test)  # there is nothing left to do but to measure
    assert [stage.name for stage in read_run(run).stages] == ["round 0", "round 1"]
    train_boosted(report_runs.top, run, *test, rounds=2)
    assert [stage.name for stage in read_run(run).stages] == ["round 0", "round 1", "round 2"]


def test_templates_of_one_label_are_told_apart(report_runs, tmp_path):
    out = tmp_path / "views"
    test = ("--test-data", report_runs.top / "test/annotations.json")
    train_boosted(report_runs.top, out, *test, "--views", "2")
    names = [stage.name for stage in read_run(out).stages]
    assert names[:3] == ["template 1, round 0", "template 1, round 1", "template 2, round 0"]
    assert "cross, template 2: 1" in text_of(out)


def test_detections_beyond_the_limit_are_counted(report_runs, tmp_path):
    from types import SimpleNamespace

    from bootstrap_det.detections import Detections

    n = MAX_PER_PICTURE + 7
    boxes = np.tile([0.0, 0.0, 9.0, 9.0], (n, 1))
    found = Detections(boxes, np.linspace(1, 0, n), np.array(["cross"] * n), 1)
    scan = SimpleNamespace(
        detections=(found,), evaluations=SimpleNamespace(by_label={"cross": None})
    )
    write_detections(tmp_path / "round_0.json", scan, round_index=0)
    kept = json.loads((tmp_path / "round_0.json").read_text())
    assert (len(kept["rows"]), kept["n_left_out"]) == (MAX_PER_PICTURE, 7)
    scan.detections = (found,) * 1000
    write_detections(tmp_path / "round_0.json", scan, round_index=0)
    kept = json.loads((tmp_path / "round_0.json").read_text())
    assert kept["max_per_picture"] == 200
    assert len(kept["rows"]) == 200_000
    assert kept["n_left_out"] == 1000 * (n - 200)


def test_peers_are_judged_by_the_rules_of_the_run(report_runs, tmp_path):
    run = read_run(report_runs.boosted)
    peer = read_peer("same", report_runs.boosted / "detections.json", run)
    assert peer.ap == pytest.approx(run.summary["final"]["ap50"], abs=1e-6)
    points = tmp_path / "points.json"
    points.write_text(json.dumps({"note": "a <paper>", "points": [
        {"recall": 0.5, "false_positives": N_TEST}, {"recall": 0.5, "fppi": 2},
        {"recall": 0.5, "precision": 0.5}]}))  # fmt: skip
    curve = read_peer("published", points, run).curve
    n_objects = run.stages[-1].matches.n_objects
    np.testing.assert_allclose(sorted(curve.fppi), sorted([1, 2, 0.5 * n_objects / N_TEST]))
    out = tmp_path / "peers.html"
    detections = report_runs.boosted / "detections.json"
    invoke("report", report_runs.boosted, "--out", out, "--peer", f"twin $x_1$ <b>={detections}",
           "--peer", f"published={points}")  # fmt: skip
    text = out.read_text()
    assert "twin $x_1$ &lt;b&gt;" in text
    assert "a &lt;paper&gt;" in text
    assert COLORS[2] in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("{}", "is neither COCO results"),
        ('{"points": []}', "is neither COCO results"),
        ('{"points": [{"recall": 2, "fppi": 1}]}', "point 0 must have a recall in"),
        ('{"points": [{"recall": 0.5}]}', "point 0 must have a recall in"),
        ('{"points": [{"recall": 0.5, "precision": 1.5}]}', "point 0 must have a recall in"),
        ('{"points": [3]}', "point 0 must have a recall in"),
        (f'{{"points": [{{"recall": 1{"0" * 400}, "fppi": 1}}]}}', "point 0 must have a recall"),
        ('[{"image_id": 999, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}]', "image_id 999"),
    ],
)
def test_bad_peers_are_one_sentence(content, message, report_runs, tmp_path):
    path = tmp_path / "peer.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_peer("peer", path, read_run(report_runs.boosted))


def test_a_peer_needs_a_test_set(report_runs):
    with pytest.raises(DataError, match="has no test set that a peer could be measured on"):
        read_peer("peer", report_runs.untested, read_run(report_runs.untested))


def test_thresholds_are_round_and_cover_all_scores(report_runs):
    stages = read_run(report_runs.boosted).stages
    grid = threshold_grid(stages)
    scores = np.concatenate([stage.matches.scores for stage in stages])
    assert grid[0] <= scores.min()
    assert grid[-1] >= scores.max()
    assert np.allclose(np.diff(grid), grid[1] - grid[0])
    assert totals_at(stages[0].matches, grid[-1] + 1) == (0, 0)


def test_runs_side_by_side(report_runs, tmp_path):
    out = tmp_path / "both.html"
    result = invoke("report", "--compare", report_runs.boosted, report_runs.linear, "--out", out)
    assert result.stdout.strip() == str(out)
    text = out.read_text()
    assert "boosted, linear" in text
    assert "linear was measured on other pictures or annotations than boosted" in text
    assert "features: name" in text
    assert "script-src 'none'" in html.unescape(text)
    twice = write_runs_page([report_runs.boosted] * 2, tmp_path / "same.html").read_text()
    assert "No parameter and no version differs" in twice
    beside = invoke("report", "--compare", report_runs.boosted, report_runs.untested)
    assert beside.stdout.strip() == str(report_runs.boosted.resolve().parent / "compared.html")
    with pytest.raises(ParameterError, match=r"give at least two runs\. Got 1"):
        write_runs_page([report_runs.boosted], out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "RUN"),
        (["a", "b"], "Give one run, or --compare for several. Got 2"),
        (["a", "--peer", "name"], "'name' is not NAME=FILE"),
        (["a", "--peer", "x=1", "--peer", "x=2"], "the name 'x' is given twice"),
        (["a", "b", "--compare", "--peer", "x=1"], "--peer cannot be used with --compare"),
        (["a", "b", "--compare", "--images", "x"], "--images cannot be used with --compare"),
    ],
)
def test_what_report_refuses(arguments, message):
    assert message in invoke("report", *arguments, code=2).output


def test_other_verbs_have_pages_that_escape_and_load_nothing(tmp_path):
    nasty = "<script>alert(1)</script>"
    table = Table("Read it so.", ["strategy", "AP"], [[nasty, "0.5"]])
    page = write_strategies_page(
        tmp_path / "page.html", table, title=nasty, command=f"run {nasty}", plot=b"picture"
    )
    text = page.read_text()
    assert nasty not in text
    assert text.count(html.escape(nasty)) == 4  # title, heading, table, command
    assert "<script" not in text
    assert not re.findall(r"https?://", text)


def test_values_are_written_as_people_write_them():
    assert [plain(v) for v in (True, None, 0.1 + 0.2, [1, 2], [], 12345, "x")] == [
        "yes", "none", "0.3", "1, 2", "none", "12,345", "x",
    ]  # fmt: skip
