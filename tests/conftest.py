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


@pytest.fixture(scope="session")
def toy():
    """Return a detector of crosses with all that it was trained on.

    ``train(**parameters)`` trains it anew, with other parameters of the loop.
    """
    from bootstrap_det.channels import HOG
    from bootstrap_det.data import Dataset, Picture
    from bootstrap_det.mining import BootstrapParams, Recipe
    from bootstrap_det.pyramid import Pyramid
    from bootstrap_det.samples import Jitter
    from bootstrap_det.training import positive_features, train
    from bootstrap_det.windows import Window

    rng = np.random.default_rng(441)
    scenes = []
    for index in range(10):
        image = noise(rng)
        x, y = rng.integers(0, 96 - SIDE), rng.integers(0, 80 - SIDE)
        draw_cross(image, x, y)
        box = [[x, y, x + SIDE, y + SIDE]]
        scenes.append(
            Picture(index, f"{index}.png", box, ["cross"], [False], [False], pixels=image)
        )
    dataset = Dataset("crosses", tuple(scenes))
    negatives = Dataset(
        "noise", tuple(Picture(100 + i, f"n{i}.png", pixels=noise(rng)) for i in range(6))
    )
    channels = HOG(cell_size=4, n_orientations=8, epsilon=2.0)
    recipe = Recipe(Window((SIDE, SIDE)), channels, Pyramid(scales_per_octave=4), "cross")
    jitter = Jitter(n_copies=2)
    small = {
        "n_rounds": 2,
        "n_random_negatives": 120,
        "n_negatives_per_image": 40,
        "n_negatives_per_round": 150,
        "min_new_negatives": 0,
        "C": 3.0,
        "seed": 5,
    }

    def train_again(**parameters):
        return train(
            dataset,
            negatives=negatives,
            window=recipe.window,
            channels=channels,
            pyramid=recipe.pyramid,
            jitter=jitter,
            params=BootstrapParams(**{**small, **parameters}),
        )

    result = train_again()
    positives = positive_features(dataset, recipe, jitter=jitter, seed=5).features
    return SimpleNamespace(
        dataset=dataset,
        negatives=negatives,
        recipe=recipe,
        positives=positives,
        small=small,
        train=train_again,
        result=result,
        detector=result.detector,
    )
