import numpy as np
import pytest
from conftest import noise

from bootstrap_det import Detector
from bootstrap_det.boxes import overlap
from bootstrap_det.channels import ACF, HOG, default_channels
from bootstrap_det.classifiers import LinearLearner, LinearModel, TreeModel
from bootstrap_det.data import Crops, Dataset, Picture
from bootstrap_det.detector import Template
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.mining import BootstrapParams, Callback, Recipe
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.runs import Job, run_training
from bootstrap_det.samples import Jitter
from bootstrap_det.training import train
from bootstrap_det.views import facing, split_views
from bootstrap_det.windows import Window

SMALL = BootstrapParams(n_rounds=1, n_random_negatives=80, n_negatives_per_round=50)


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


def bars(rng, n=30):
    """Return lying bars, and standing ones."""
    crops = rng.normal(100, 6, (2 * n, 24, 24))
    crops[:n, 9:15, 2:22] += 120
    crops[n:, 2:22, 9:15] += 120
    return Dataset("bars", crops=Crops(crops.clip(0, 255).astype(np.uint8), label="bar"))


def arrow(image, x, y, left):
    """Draw a bright bar with a block at its left or right end into a square of 24 pixels."""
    image[y + 10 : y + 14, x + 2 : x + 22] += 110
    end = x + 2 if left else x + 16
    image[y + 4 : y + 20, end : end + 6] += 110


def arrows(rng, n=60):
    """Return arrows, every second one turned to the left."""
    crops = rng.normal(100, 6, (n, 24, 24))
    for index, crop in enumerate(crops):
        arrow(crop, 0, 0, left=index % 2 == 0)
    return Dataset("arrows", crops=Crops(crops.clip(0, 255).astype(np.uint8), label="arrow"))


def noises(rng):
    return Dataset("noise", tuple(Picture(i, f"{i}", pixels=noise(rng)) for i in range(4)))


def small_parts():
    """Return what the training of small linear detectors needs."""
    return {
        "channels": default_channels("hog"),
        "pyramid": Pyramid(scales_per_octave=3),
        "learner": LinearLearner(C=0.1),
    }


def test_train_gives_a_template_to_each_view(rng):
    result = train(
        bars(rng), negatives=noises(rng), jitter=Jitter(n_copies=0), n_views=2, params=SMALL,
        **small_parts(),
    )  # fmt: skip
    assert [record.view for record in result.records] == [0, 0, 1, 1]
    assert len(result.detector.templates) == 2
    for standing in (False, True):
        picture = rng.normal(100, 6, (80, 96))
        bar = picture[30:54, 40:64].T if standing else picture[30:54, 40:64]
        bar[9:15, 2:22] += 120
        found = result.detector.detect(picture.clip(0, 255).astype(np.uint8))
        assert overlap(found.boxes[:1], [[40, 30, 64, 54]])[0, 0] > 0.5


@pytest.mark.parametrize(
    "channels",
    [
        ACF(),
        ACF(n_orientations=5, cell_size=4, color="rgb"),
        ACF(normalise="none"),
        HOG(cell_size=4),
        HOG(cell_size=4, n_orientations=12, signed=True, interpolate=True),
    ],
    ids=lambda channels: f"{type(channels).__name__}-{channels.color}-{channels.n_orientations}",
)
def test_mirrored_templates_score_mirrored_pictures_alike(channels, rng):
    picture = rng.uniform(0, 255, (48, 64, 3) if channels.color == "rgb" else (48, 64))
    # A gradient on the boundary of two bins of HOG has its mirror image on a boundary, too, where
    # either bin may get it: so no whole numbers, and no windows at the border.
    picture = picture.astype(np.float32 if isinstance(channels, HOG) else np.uint8)
    window = Window((24, 32), (3.0, 0.0, 30.0, 24.0))
    shape = (channels.n_window_channels, *channels.grid_shape(window.size))
    if isinstance(channels, HOG):
        model = LinearModel(rng.normal(0, 1, shape), 0.25)
    else:
        model = TreeModel(
            rng.integers(0, np.prod(shape), (40, 3)), rng.integers(0, 256, (40, 3)),
            rng.integers(-99, 100, (40, 4)), 0.125, shape,
        )  # fmt: skip
    template = Template(window, model)
    pyramid = Pyramid(scales_per_octave=1, padding=0)
    one = Detector([template], channels, pyramid=pyramid)
    other = Detector([template.mirrored(channels)], channels, pyramid=pyramid)
    scores, mirrored = (
        next(detector.iter_scored_levels(each)).scores
        for detector, each in ((one, picture), (other, picture[:, ::-1]))
    )
    assert min(scores.shape) > 4
    np.testing.assert_allclose(scores[2:-2, 2:-2], mirrored[2:-2, -3:1:-1], atol=1e-4)
    twice = template.mirrored(channels).mirrored(channels)
    assert twice.window == window
    for one, other in zip(vars(twice.model).values(), vars(model).values(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_facing_tells_objects_from_their_mirror_images(rng):
    shape, order = (2, 3, 4), np.array([1, 0])
    left = np.zeros(shape)
    left[0, :, 0] = 120
    objects = [left if index % 3 else left[order, :, ::-1] for index in range(60)]
    windows = np.array(objects) + rng.integers(0, 60, (60, *shape))
    is_left = np.arange(60) % 3 > 0
    sides = facing(windows.astype(np.uint8).reshape(60, -1), shape, order)
    assert (sides[is_left] > 0).all() == (sides[~is_left] < 0).all()
    assert (sides[is_left] < 0).all() == (sides[~is_left] > 0).all()
    assert (sides[is_left] > 0).all() or (sides[is_left] < 0).all()
    mirrored = windows[:, order, :, ::-1].astype(np.uint8).reshape(60, -1)
    np.testing.assert_allclose(
        facing(mirrored, shape, order) * np.sign(sides), -abs(sides), rtol=1e-4
    )


def test_mirror_pairs_find_both_sides_with_templates_of_one(rng):
    result = train(
        arrows(rng), negatives=noises(rng), jitter=Jitter(n_copies=0), mirror_pairs=True,
        params=SMALL, **small_parts(),
    )  # fmt: skip
    one, other = result.detector.templates
    assert (one.model.weights != other.model.weights).any()
    assert len(result.positives["arrow"].rows) == 60  # of 60 arrows and 60 mirror images
    best = {}
    for left in (True, False):
        picture = rng.normal(100, 6, (80, 96))
        arrow(picture, 40, 30, left)
        found = result.detector.scan(picture.clip(0, 255).astype(np.uint8), threshold=-9)
        top = found.scores.argmax()
        assert overlap(found.boxes[top : top + 1], [[40, 30, 64, 54]])[0, 0] > 0.5
        best[left] = found.windows[top, 3]
    assert best[True] != best[False]


def test_mirror_pairs_need_mirror_images(rng):
    with pytest.raises(ParameterError, match="so the jitter must have mirror=True"):
        train(arrows(rng), negatives=noises(rng), jitter=Jitter(mirror=False), mirror_pairs=True)


class Interruption(Callback):
    """Stops the process in the second view, as a user would."""

    def on_round_end(self, record, state):
        if record.view == 1:
            raise KeyboardInterrupt


def test_views_are_resumed_where_they_were_interrupted(rng, tmp_path):
    train_set, negatives = bars(rng), noises(rng)

    def job(name, **changes):
        parts = small_parts()
        recipe = Recipe(
            Window((24, 24)), parts["channels"], parts["pyramid"], "bar", parts["learner"]
        )
        return Job(
            name="bars", train=train_set, negatives=negatives, recipes=(recipe,),
            out=tmp_path / name,
            jitter=Jitter(n_copies=0), params=SMALL, n_views=2, mirror_pairs=True, **changes,
        )  # fmt: skip

    run_training(job("straight"))
    with pytest.raises(KeyboardInterrupt):
        run_training(job("broken"), callbacks=[Interruption()])
    assert len(Detector.load(tmp_path / "broken/model.bdet").templates) == 4
    run_training(job("broken", resume=True))
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    assert (broken / "model.bdet").read_bytes() == (straight / "model.bdet").read_bytes()
    assert len((broken / "rounds.jsonl").read_text().splitlines()) == 4
