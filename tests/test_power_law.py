"""The approximated pyramid: octaves are exact, what lies between follows the power law."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from skimage import data

from bootstrap_det import ACF, HOG, Detector, Pyramid, Window
from bootstrap_det.classifiers import TreeModel
from bootstrap_det.cli import main
from bootstrap_det.detector import Template
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.pyramid import estimate_exponents
from bootstrap_det.resample import Octaves

WINDOW = Window((24, 24))
PLAIN = ACF(normalise="none")
MOON = data.moon()
PICTURES = [data.coins(), MOON[:300], data.page()]


def levels(image, channels, **parameters):
    pyramid = Pyramid(scales_per_octave=4, **parameters)
    plans = pyramid.plan(image.shape, channels, [WINDOW])
    return list(pyramid.iter_levels(image, plans, channels))


def random_detector(rng, channels, **parameters):
    """Return a detector of arbitrary trees that let everything pass."""
    shape = (channels.n_window_channels, *channels.grid_shape(WINDOW.size))
    trees = (
        rng.integers(0, np.prod(shape), (8, 3)),
        rng.integers(0, 256, (8, 3)),
        rng.normal(size=(8, 4)),
    )
    pyramid = Pyramid(scales_per_octave=4, **parameters)
    model = TreeModel.from_floats(*trees, shape)
    return Detector([Template(WINDOW, model)], channels, pyramid=pyramid, threshold=-1.0)


@pytest.mark.parametrize("channels", [PLAIN, ACF(), HOG(cell_size=4)], ids=["plain", "seen", "hog"])
def test_exponents_predict_the_means_of_other_scales(channels):
    exponents = np.array(estimate_exponents(PICTURES, channels))
    assert exponents.shape == (channels.n_channels,)
    ratios = []
    for image in PICTURES:
        half = tuple(round(n * 0.6) for n in image.shape)
        small, large = (
            channels.compute(Octaves(image).resized(size)).mean(axis=(1, 2))
            for size in (half, image.shape)
        )
        ratios.append(np.log(small / large))
    predicted = -exponents * np.log(0.6)
    np.testing.assert_allclose(np.mean(ratios, axis=0), predicted, atol=0.06)


def test_grey_values_do_not_change_with_scale_but_gradients_do():
    grey, magnitude = estimate_exponents([MOON], PLAIN)[:2]
    assert abs(grey) < 0.02
    assert 0.1 < magnitude < 0.5  # per pixel, edges of smaller pictures are steeper


@pytest.mark.parametrize("channels", [PLAIN, ACF()], ids=["plain", "seen"])
def test_octaves_are_exact_and_the_others_close(channels):
    image = PICTURES[0]
    exponents = estimate_exponents([image], channels)
    for (plan, exact), (like, got) in zip(
        levels(image, channels), levels(image, channels, exponents=exponents), strict=True
    ):
        assert (plan.size, got.shape, got.dtype) == (like.size, exact.shape, exact.dtype)
        if plan.index % 4 == 0:
            np.testing.assert_array_equal(got, exact)
        elif plan.index < 8:
            for channel, (one, other) in enumerate(zip(got, exact, strict=True)):
                alike = np.corrcoef(one.ravel(), other.ravel())[0, 1]
                assert alike > (0.98, 0.8, 0.4)[min(channel, 2)]
                assert one.mean() == pytest.approx(other.mean(), rel=0.25)


def test_channels_between_octaves_are_scaled_by_the_power_law():
    channels = HOG(cell_size=4)  # of floats: nothing is rounded
    exponents = np.linspace(-0.5, 0.5, channels.n_channels)
    flat = levels(MOON, channels, exponents=[0.0] * channels.n_channels)
    for (plan, one), (_, other) in zip(
        flat, levels(MOON, channels, exponents=exponents), strict=True
    ):
        factors = (2.0 ** (-(plan.index % 4) / 4)) ** -exponents
        np.testing.assert_allclose(other, one * factors[:, None, None], rtol=1e-5, atol=1e-7)


def test_detector_with_exponents_detects_saves_and_shares_threads(rng, tmp_path):
    exponents = estimate_exponents(PICTURES, PLAIN)
    detector = random_detector(rng, PLAIN, exponents=exponents)
    one = detector.detect(PICTURES[0])
    assert len(one) > 0
    two = detector.detect(PICTURES[0], n_threads=2)
    detector.save(tmp_path / "m.bdet")
    loaded = Detector.load(tmp_path / "m.bdet")
    assert loaded.pyramid.exponents == exponents
    for other in (two, loaded.detect(PICTURES[0])):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.scores, other.scores)
    exact = detector.replace(exponents=None).detect(PICTURES[0])
    assert not np.array_equal(one.scores, exact.scores)


def test_one_exponent_a_channel(rng):
    with pytest.raises(ParameterError, match=r"for each of the 8 channels\. Got 2 instead"):
        random_detector(rng, PLAIN, exponents=[0.1, 0.2]).detect(PICTURES[0])


def test_pictures_too_small_to_estimate_from():
    with pytest.raises(ParameterError, match=r"at least one picture of 16 px and more\. Got none"):
        estimate_exponents([np.zeros((12, 40), np.uint8)], PLAIN)


def test_train_with_the_power_law(tmp_path):
    arguments = ["train", "--dataset", "faces", "--rounds", "0", "--n-trees", "8", "--power-law"]
    run = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path / "run"), "--json"])
    assert run.exit_code == 0, run.output
    detector = Detector.load(tmp_path / "run" / "model.bdet")
    assert len(detector.pyramid.exponents) == detector.channels.n_channels
    assert json.loads(run.stdout)["final"]["ap50"] > 0
