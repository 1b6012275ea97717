"""Model files of every format that was ever written load, and find what they found then."""

import json
from pathlib import Path

import numpy as np
import pytest
from model_scenes import test_picture

from bootstrap_det import Detector
from bootstrap_det.persistence import MODEL_FORMAT_VERSION, read_arrays

MODELS = sorted((Path(__file__).parent / "models").glob("*.bdet"))
# Format 3 told the class from the window of the scan; now it is told from the box, see README.md.
PROBABILITIES = {3: 0.15}
# OpenCV 4 and 5 differ by a grey level where the cut of a box is brought to its size.
GREY_LEVEL = 0.01


def version_of(path):
    return read_arrays(path)[0]["format_version"]


def test_there_are_models_of_every_format():
    by_version = {}
    for path in MODELS:
        by_version.setdefault(version_of(path), []).append(path.stem.partition("_")[2])
    assert sorted(by_version) == list(range(1, MODEL_FORMAT_VERSION + 1))
    assert "boosted" in by_version[2]
    assert "boosted_classes" in by_version[3]
    assert {"refined", "refined_by_trees"} <= set(by_version[4])
    assert all(path.stat().st_size < 70_000 for path in MODELS)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_model_finds_what_it_found_then(path):
    then = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    found = Detector.load(path).detect(test_picture())
    assert len(found.scores) == len(then["scores"]) > 0
    assert found.labels.tolist() == then["labels"]
    np.testing.assert_allclose(found.boxes, then["boxes"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.scores, then["scores"], rtol=0, atol=1e-6)
    if "classes" in then:
        assert found.classes.tolist() == then["classes"]
        atol = PROBABILITIES.get(version_of(path), GREY_LEVEL)
        probabilities = then["class_probabilities"]
        np.testing.assert_allclose(found.class_probabilities, probabilities, rtol=0, atol=atol)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_model_is_written_in_the_newest_format_and_stays_the_same(path, tmp_path):
    model = Detector.load(path)
    model.save(tmp_path / "new.bdet")
    assert version_of(tmp_path / "new.bdet") == MODEL_FORMAT_VERSION
    one, other = (m.detect(test_picture()) for m in (model, Detector.load(tmp_path / "new.bdet")))
    np.testing.assert_array_equal(one.boxes, other.boxes)
    np.testing.assert_array_equal(one.scores, other.scores)
