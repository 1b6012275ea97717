"""Named data sets and their cards; the ones on disk are skipped where they are absent."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bootstrap_det.data import embedded, named
from bootstrap_det.exceptions import DataError, ParameterError

DATA_ROOT = Path(os.environ.get("BOOTSTRAP_DET_DATA", "."))


def needs(file):
    return pytest.mark.skipif(
        not (DATA_ROOT / file).exists(), reason=f"{file} is not below BOOTSTRAP_DET_DATA"
    )


@pytest.mark.parametrize("name", named.available())
def test_card_is_complete(name):
    about = named.card(name)
    assert about.name == name
    texts = (about.title, about.task, about.source, about.licence, about.split, about.citation)
    assert all(len(text) > 10 for text in texts)
    assert set(about.use) <= {"train", "negatives", "test"}
    assert bool(about.files) == about.needs_data_root


def test_card_defaults_are_options_of_train():
    from bootstrap_det.cli import train

    options = {parameter.name for parameter in train.params}
    for name in named.available():
        assert set(named.card(name).defaults) <= options


def test_load_unknown_name_lists_the_choices():
    with pytest.raises(ParameterError, match=r"one of 'caltech-crops', .*'mit-cmu'"):
        named.load("imagenet")
    with pytest.raises(ParameterError, match="Did you mean 'mit-cmu'"):
        named.load("mit_cmu")


def test_load_without_data_says_where_it_comes_from(tmp_path):
    with pytest.raises(DataError, match=r"'mit-cmu' needs --data-root.*Licence: provided by CMU"):
        named.load("mit-cmu")
    with pytest.raises(DataError, match=r"lacks faces/caltech_crops36.npz.*Caltech Web Faces"):
        named.load("caltech-crops", data_root=tmp_path)
    with pytest.raises(ParameterError, match=r"must be one of 'bbox_square', 'bbox'"):
        named.load("mit-cmu", data_root=tmp_path, boxes="bbox_tight")


def test_faces_needs_no_network(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("the embedded set asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for part in (embedded.train_faces, embedded.negatives, embedded.held_out_scenes):
        part.cache_clear()
        part()


def test_faces_is_the_same_every_time():
    first = embedded.held_out_scenes().digest()
    embedded.held_out_scenes.cache_clear()
    assert embedded.held_out_scenes().digest() == first


def test_faces_counts_and_boxes():
    splits = named.load("faces")
    assert len(splits.train.crops) == 80
    assert len(splits.test) == 17
    assert splits.test.n_objects == 33
    for picture in splits.test.pictures:
        height, width = picture.size
        assert (picture.boxes >= 0).all()
        assert (picture.boxes <= [width, height, width, height]).all()


def test_faces_test_is_held_out():
    splits = named.load("faces")
    train, test = embedded._split()
    assert not set(train) & set(test)
    mined = {picture.name.removeprefix("turned_") for picture in splits.negatives.pictures}
    assert not mined & {*embedded.SCENERY, "motorcycle_right.png", "astronaut.png", "camera.png"}
    assert not any(len(picture.boxes) for picture in splits.negatives.pictures)


@needs("faces/mit_cmu")
def test_mit_cmu_has_two_conventions():
    square = named.load("mit-cmu", data_root=DATA_ROOT)
    other = named.load("mit-cmu", data_root=DATA_ROOT, boxes="bbox")
    assert len(square.test) == 130
    assert square.test.n_objects == other.test.n_objects == 511
    assert square.train is None
    sides = np.concatenate([picture.boxes for picture in square.test.pictures])
    np.testing.assert_allclose(sides[:, 2] - sides[:, 0], sides[:, 3] - sides[:, 1])
    assert square.detection_map == (0, 0, 1, 1)
    assert other.detection_map == (0.06, 0, 0.94, 1)


@needs("faces/caltech_crops36.npz")
def test_caltech_crops_brings_its_negatives():
    splits = named.load("caltech-crops", data_root=DATA_ROOT)
    assert splits.train.crops.pixels.shape == (6713, 36, 36)
    assert len(splits.negatives) == 274
    assert splits.test is None


def test_load_notes_a_file_that_is_not_the_cards(tmp_path):
    (tmp_path / "faces/negatives_scenes/images").mkdir(parents=True)
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(
        tmp_path / "faces/negatives_scenes/images/a.png"
    )
    np.savez(tmp_path / "faces/caltech_crops36.npz", crops=np.zeros((3, 36, 36), np.uint8))
    splits = named.load("caltech-crops", data_root=tmp_path)
    assert "differs from the file of the card" in splits.train.notes[0]
