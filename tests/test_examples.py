"""The lessons: they run, write their figures, warn of nothing, and are notebooks."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bootstrap_det import read_image

EXAMPLES = Path(__file__).parents[1] / "examples"
LESSONS = {
    "bootstrapping_by_rounds": 5,
    "faces_on_mit_cmu": 4,
    "features_seen": 6,
    "imbalance_remedies": 3,
    "traffic_signs": 4,
}  # and how many figures each writes without further data
CITATION = re.compile(r"docs/[\w.]+\.md|\b(19|20)\d\d\b")

every_lesson = pytest.mark.parametrize("name", LESSONS)


def cells_of(name):
    """Return (kind, text) of each cell of a lesson, the header left out."""
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    header, *parts = re.split(r"^# %%(.*)\n", text, flags=re.MULTILINE)
    assert all(line.startswith("#") for line in header.strip().splitlines())
    cells = []
    for mark, body in zip(parts[::2], parts[1::2], strict=True):
        assert mark in ("", " [markdown]"), f"no such cell: {mark}"
        if mark:
            lines = body.strip().splitlines()
            assert all(re.match("#( |$)", line) for line in lines), lines
            cells.append(("markdown", "\n".join(line[2:] for line in lines)))
        else:
            cells.append(("code", body.strip("\n")))
    return cells


def notebook_of(cells):
    """Return the cells as a Jupyter notebook, format 4.5."""
    code = {"outputs": [], "execution_count": None}
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "cells": [
            {"id": f"cell-{i}", "cell_type": kind, "metadata": {}, "source": text.splitlines(True)}
            | (code if kind == "code" else {})
            for i, (kind, text) in enumerate(cells)
        ],
    }


def test_all_lessons_are_listed():
    found = {path.stem for path in EXAMPLES.glob("[!_]*.py")}
    assert found == set(LESSONS)
    told = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}.py`" in told for name in LESSONS)


@every_lesson
def test_lessons_are_notebooks(name):
    cells = cells_of(name)
    kinds = [kind for kind, _ in cells]
    assert kinds[:2] == ["markdown", "code"]
    assert kinds.count("markdown") >= 6
    for kind, text in cells:
        assert len(text.strip()) > 20, "a cell without content"
        if kind == "code":
            compile(text, name, "exec")
    notebook = json.loads(json.dumps(notebook_of(cells)))
    again = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    assert again == cells


@every_lesson
def test_lessons_begin_with_a_question_and_end_with_exercises(name):
    texts = [text for kind, text in cells_of(name) if kind == "markdown"]
    assert texts[0].startswith("# ")
    assert re.search(r"\*\*The question: [^*]+\?\*\*", texts[0].replace("\n", " "))
    assert "You will see" in texts[0]
    assert texts[-1].startswith("## Exercises")
    assert len(re.findall(r"^\d\. ", texts[-1], flags=re.MULTILINE)) >= 3


@every_lesson
def test_published_figures_are_cited(name):
    for kind, text in cells_of(name):
        for paragraph in text.split("\n\n"):
            tells = re.search(r"\d %|\b0\.\d{3}\b|published", paragraph, flags=re.IGNORECASE)
            if kind == "markdown" and tells and re.search(r"\d", paragraph):
                assert CITATION.search(paragraph), f"{name}: no source given:\n{paragraph}"


def test_the_published_curves_are_those_of_the_results():
    code = "\n".join(text for kind, text in cells_of("faces_on_mit_cmu") if kind == "code")
    told = (EXAMPLES.parent / "docs/results.md").read_text(encoding="utf-8")
    for table in ("VIOLA_JONES_2001", "ROWLEY_1998"):
        points = re.search(rf"^{table} = \{{(.*)\}}$", code, flags=re.MULTILINE)[1]
        recalls = re.findall(r": (\d+\.\d)", points)
        assert len(recalls) >= 2
        text = " / ".join(f"{float(recall) / 100:.3f}" for recall in recalls)
        assert text in told


@pytest.mark.lessons
@every_lesson
def test_lessons_run_and_write_their_figures(name, tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "BOOTSTRAP_DET_DATA"}
    for variable in ("DISPLAY", "MPLBACKEND", "WAYLAND_DISPLAY"):
        environment.pop(variable, None)
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), "--quick"]
    done = subprocess.run(
        [*command, "--jobs", "1", "--out", str(tmp_path)],
        capture_output=True, text=True, env=environment, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "warning" not in done.stdout.lower()
    figures = sorted(tmp_path.glob("*.png"))
    assert len(figures) == LESSONS[name], done.stdout
    for path in figures:
        pixels = read_image(path, color="grey")
        assert 150 <= pixels.shape[0] <= 1200, path.name
        assert 400 <= pixels.shape[1] <= 1600, path.name
        assert np.std(pixels) > 5, f"{path.name} is empty"
