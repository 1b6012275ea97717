"""What all test files share: a seeded generator, quick hypothesis settings, a small detector."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],  # the first call of a kernel compiles it
)
settings.load_profile("ci")

SIDE = 24  # of a cross, pixels
N_SCENES = 12


@pytest.fixture
def rng():
    return np.random.default_rng(440)


def noise(rng, size=(80, 96)):
    """Return a grey picture of blotches and fine noise."""
    coarse = rng.integers(60, 180, (size[0] // 8 + 1, size[1] // 8 + 1))
    blotches = np.kron(coarse, np.ones((8, 8)))[: size[0], : size[1]]
    return np.clip(blotches + rng.normal(0, 8, size), 0, 255).astype(np.uint8)


def draw_cross(image, x, y, side=SIDE):
    """Draw a bright cross into the square of ``side`` pixels at (x, y)."""
    third = side // 3
    image[y + third : y + 2 * third, x : x + side] = 250
    image[y : y + side, x + third : x + 2 * third] = 250


def draw_bar(image, x, y):
    """Draw half of a cross."""
    image[y + SIDE // 3 : y + 2 * SIDE // 3, x : x + SIDE] = 250


def make_toy(channels, learner):
    """Train a detector of crosses; return it with all that it was trained on.

    ``train(learner=..., **parameters)`` trains it anew, with other parameters of the loop.
    """
    from bootstrap_det.data import Dataset, Picture
    from bootstrap_det.mining import BootstrapParams, Recipe
    from bootstrap_det.positives import positive_features
    from bootstrap_det.pyramid import Pyramid
    from bootstrap_det.samples import Jitter
    from bootstrap_det.training import train
    from bootstrap_det.windows import Window

    rng = np.random.default_rng(441)
    scenes = []
    for index in range(N_SCENES):
        image = noise(rng)
        x, y = rng.integers(0, 96 - SIDE), rng.integers(0, 80 - SIDE)
        draw_cross(image, x, y)
        box = [[x, y, x + SIDE, y + SIDE]]
        scenes.append(
            Picture(index, f"{index}.png", box, ["cross"], [False], [False], pixels=image)
        )
    dataset = Dataset("crosses", tuple(scenes))
    others = [noise(rng) for _ in range(6)]
    for image in others:  # parts of crosses, to be mistaken for crosses
        for _ in range(3):
            draw_bar(image, rng.integers(0, 96 - SIDE), rng.integers(0, 80 - SIDE))
            draw_bar(image.T, rng.integers(0, 80 - SIDE), rng.integers(0, 96 - SIDE))
    negatives = Dataset(
        "bars", tuple(Picture(100 + i, f"n{i}.png", pixels=other) for i, other in enumerate(others))
    )
    window, pyramid = Window((SIDE, SIDE)), Pyramid(scales_per_octave=4)
    jitter = Jitter(n_copies=2, shift=0.1)
    recipe = Recipe(window, channels, pyramid, "cross", learner)
    small = {
        "n_rounds": 2,
        "n_random_negatives": 120,
        "n_negatives_per_image": 40,
        "n_negatives_per_round": 150,
        "min_new_negatives": 0,
        "seed": 5,
    }

    def train_again(strategy=None, **parameters):
        return train(
            dataset,
            negatives=negatives,
            window=window,
            channels=channels,
            pyramid=pyramid,
            jitter=jitter,
            learner=learner,
            strategy=strategy,
            params=BootstrapParams(**{**small, **parameters}),
        )

    result = train_again()
    found = positive_features(dataset, recipe, jitter=jitter, seed=5)
    return SimpleNamespace(
        dataset=dataset,
        negatives=negatives,
        recipe=recipe,
        positives=found.rows,
        small=small,
        train=train_again,
        result=result,
        detector=result.detector,
    )


@pytest.fixture(scope="session")
def toy():
    """Return a detector of boosted trees over aggregated channels."""
    from bootstrap_det.channels import ACF
    from bootstrap_det.classifiers import BoostedLearner

    # So weak that there is something to mine.
    weak = {"n_trees": 48, "n_trees_first": 3, "depth": 1, "feature_share": 0.005}
    return make_toy(ACF(), BoostedLearner(shrinkage=0.3, holdout=0.4, **weak))


@pytest.fixture(scope="session")
def linear_toy():
    """Return a linear detector over histograms: no cascade, so every window has its score."""
    from bootstrap_det.channels import HOG
    from bootstrap_det.classifiers import LinearLearner

    return make_toy(HOG(cell_size=4, n_orientations=8, epsilon=2.0), LinearLearner(C=3.0))


@pytest.fixture(params=["boosted", "linear"])
def any_toy(request):
    """Return one after the other."""
    return request.getfixturevalue("toy" if request.param == "boosted" else "linear_toy")


def parts_of(model):
    """Return a model's numbers and arrays, to be compared."""
    from bootstrap_det.classifiers.files import pack_model

    entry, arrays = pack_model(model, 0)
    return {**entry, **{name: array.tolist() for name, array in arrays.items()}}


@pytest.fixture(scope="session")
def report_runs(tmp_path_factory):
    """Return the folders of small runs, trained through the command line; not to be changed."""
    from report_runs import make_runs

    return make_runs(tmp_path_factory.mktemp("report"))
