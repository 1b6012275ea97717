import numpy as np
import pytest
from conftest import noise

from bootstrap_det.boxes import overlap
from bootstrap_det.classifiers import LinearLearner
from bootstrap_det.data import Crops, Dataset, Picture
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.mining import BootstrapParams
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.samples import Jitter
from bootstrap_det.training import default_channels, train
from bootstrap_det.views import split_views


def two_kinds(rng, n=60, n_features=40):
    """Return features of two kinds, a third of them of the second, and the kinds."""
    kinds = np.arange(n) % 3 == 0
    centres = np.where(kinds[:, None], 200, 60) * (np.arange(n_features) % 2)
    return (centres + rng.integers(0, 20, (n, n_features))).astype(np.uint8), kinds


def test_split_views_groups_what_looks_alike_largest_first(rng):
    features, kinds = two_kinds(rng)
    np.testing.assert_array_equal(split_views(features, 2), kinds.astype(int))


def test_split_views_is_seeded(rng):
    features = rng.integers(0, 256, (200, 30)).astype(np.uint8)
    first, second = (split_views(features, 3, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_split_views_of_one_view_is_all(rng):
    assert (split_views(two_kinds(rng)[0], 1) == 0).all()


def test_split_views_refuses_views_of_a_few(rng):
    features, _ = two_kinds(rng, n=40)
    with pytest.raises(DataError, match="Ask for fewer views"):
        split_views(features, 3)
    with pytest.raises(ParameterError, match="'n_views' parameter of split_views"):
        split_views(features, 0)


def test_train_gives_a_template_to_each_view(rng):
    crops = rng.normal(100, 6, (60, 24, 24))
    crops[:30, 9:15, 2:22] += 120  # lying bars, and standing ones
    crops[30:, 2:22, 9:15] += 120
    dataset = Dataset("bars", crops=Crops(crops.clip(0, 255).astype(np.uint8), label="bar"))
    negatives = Dataset("noise", tuple(Picture(i, f"{i}", pixels=noise(rng)) for i in range(4)))
    result = train(
        dataset,
        negatives=negatives,
        channels=default_channels("hog"),
        pyramid=Pyramid(scales_per_octave=3),
        jitter=Jitter(n_copies=0),
        learner=LinearLearner(C=0.1),
        n_views=2,
        params=BootstrapParams(n_rounds=1, n_random_negatives=80, n_negatives_per_round=50),
    )
    assert [record.view for record in result.records] == [0, 0, 1, 1]
    assert len(result.detector.templates) == 2
    for standing in (False, True):
        picture = rng.normal(100, 6, (80, 96))
        bar = picture[30:54, 40:64].T if standing else picture[30:54, 40:64]
        bar[9:15, 2:22] += 120
        found = result.detector.detect(picture.clip(0, 255).astype(np.uint8))
        assert overlap(found.boxes[:1], [[40, 30, 64, 54]])[0, 0] > 0.5
