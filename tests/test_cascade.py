"""The soft cascade: the share of objects that it keeps, and what a detector makes of it."""

import dataclasses
import json
import warnings

import conftest
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap_det.channels import ACF, HOG
from bootstrap_det.classifiers import (
    BoostedLearner,
    BoostedTrees,
    LinearLearner,
    LinearModel,
    TreeModel,
    calibrate_cascade,
)
from bootstrap_det.classifiers.training_samples import Samples
from bootstrap_det.classifiers.trees import NEVER
from bootstrap_det.detector import Detector, Template
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.persistence import read_arrays, write_arrays
from bootstrap_det.pyramid import Pyramid, make_level
from bootstrap_det.windows import Window

SHAPE = (4, 3, 2)


def random_trees(rng, window_shape=SHAPE, n_trees=150, depth=2, largest=200):
    n_nodes = 2**depth - 1
    features = rng.integers(0, np.prod(window_shape), (n_trees, n_nodes))
    thresholds = rng.integers(1, 256, (n_trees, n_nodes))
    leaves = rng.integers(-largest, largest + 1, (n_trees, n_nodes + 1))
    return TreeModel(features, thresholds, leaves, 2**-8, window_shape)


def far_below_zero(model):
    """Return the model with scores that are all negative, of which any may be rejected."""
    leaves = model.leaves.copy()
    leaves[0] -= 20_000
    return dataclasses.replace(model, leaves=leaves)


def random_bytes(rng, n, window_shape=SHAPE):
    return rng.integers(0, 256, (n, int(np.prod(window_shape)))).astype(np.uint8)


@settings(max_examples=30)
@given(
    st.integers(0, 2**32 - 1), st.integers(20, 200), st.integers(1, 200),
    st.sampled_from([0.5, 0.75, 0.9, 0.975, 0.99, 1.0]), st.booleans(),
)  # fmt: skip
def test_cascade_keeps_the_stated_share(seed, n, n_trees, keep, alike):
    rng = np.random.default_rng(seed)
    model, positives = random_trees(rng, n_trees=n_trees), random_bytes(rng, n)
    if alike:  # many equal scores
        positives = positives[rng.integers(0, 5, n)]
    cascade = calibrate_cascade(model, positives, keep=keep)
    assert cascade.accepts(positives).sum() >= keep * n - 1e-9


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.8, 0.9, 0.95]))
def test_cascade_loses_what_it_may_and_no_more(seed, keep):
    # Many features and trees: hardly two scores are equal, and every loss is felt.
    rng = np.random.default_rng(seed)
    n, n_trees = 200, 300
    model = far_below_zero(random_trees(rng, (60, 1, 1), n_trees=n_trees, largest=90))
    positives = random_bytes(rng, n, (60, 1, 1))
    lost = (~calibrate_cascade(model, positives, keep=keep).accepts(positives)).sum()
    allowed = round((1 - keep) * n)
    assert allowed - 1 <= lost <= allowed


@pytest.mark.parametrize("n_trees", [1, 3, 4, 30, 64, 67, 150])
def test_cascade_looks_after_every_fourth_of_the_first_trees(rng, n_trees):
    model = random_trees(rng, n_trees=n_trees)
    rejection = calibrate_cascade(model, random_bytes(rng, 60)).rejection
    looks = rejection > NEVER
    n_grouped = min(n_trees, 64) // 4 * 4
    assert list(np.flatnonzero(looks[:n_grouped])) == list(range(3, n_grouped, 4))
    assert looks[n_grouped:].all()
    assert looks[-1]


def test_cascade_rejects_most_windows_early(rng):
    model = random_trees(rng, n_trees=150)
    positives = random_bytes(rng, 2000)
    best = np.argsort(model.decision_function(positives))[-300:]
    cascade = calibrate_cascade(model, positives[best], keep=0.9)
    staged = cascade.staged_scores(random_bytes(rng, 3000))
    alive = np.cumprod(staged >= cascade.rejection, axis=1).mean(axis=0)
    lax = calibrate_cascade(model, positives[best], keep=1.0)
    late = np.cumprod(staged >= lax.rejection, axis=1).mean(axis=0)
    assert alive[63] < 0.8 * late[63]
    assert alive[-1] > 0


def test_cascade_leaves_scores_and_the_model_alone(rng):
    model, positives = random_trees(rng), random_bytes(rng, 60)
    cascade = calibrate_cascade(model, positives)
    np.testing.assert_array_equal(
        cascade.decision_function(positives), model.decision_function(positives)
    )
    assert model.accepts(positives).all()
    assert model.lowest_score == -np.inf
    kept = cascade.decision_function(positives)[cascade.accepts(positives)]
    assert cascade.lowest_score <= kept.min()


def test_cascade_does_not_depend_on_earlier_thresholds(rng):
    model, positives = random_trees(rng), random_bytes(rng, 60)
    once = calibrate_cascade(model, positives, keep=0.9)
    twice = calibrate_cascade(once, positives, keep=0.9)
    np.testing.assert_array_equal(once.rejection, twice.rejection)


def test_cascade_that_keeps_more_rejects_less(rng):
    model, positives, windows = random_trees(rng), random_bytes(rng, 100), random_bytes(rng, 3000)
    shares = [
        calibrate_cascade(model, positives, keep=keep).accepts(windows).mean()
        for keep in (0.6, 0.9, 1.0)
    ]
    assert shares[0] < shares[1] < shares[2] < 1


def test_cascade_takes_features_that_are_not_bytes(rng):
    trees = random_trees(rng)
    parts = trees.features, trees.thresholds, trees.leaves, trees.unit, SHAPE
    model, positives = TreeModel(*parts, value_scale=64.0), random_bytes(rng, 50)
    of_floats = calibrate_cascade(model, (positives / 64).astype(np.float32), keep=0.9)
    np.testing.assert_array_equal(
        of_floats.rejection, calibrate_cascade(trees, positives, keep=0.9).rejection
    )


def test_cascade_needs_enough_objects(rng):
    model = random_trees(rng)
    assert calibrate_cascade(model, random_bytes(rng, 20)).lowest_score > -np.inf
    with pytest.raises(DataError, match=r"at least 20 held-out objects .* Got 19; give more"):
        calibrate_cascade(model, random_bytes(rng, 19))


@pytest.mark.parametrize("keep", [0.0, -1, 1.1, np.nan, "all"])
def test_cascade_bad_share(rng, keep):
    with pytest.raises(ParameterError, match="'keep' parameter of calibrate_cascade"):
        calibrate_cascade(random_trees(rng), random_bytes(rng, 30), keep=keep)


def samples_of(rng, n_objects=40, n_copies=3, dtype=np.uint8):
    """Return separable samples, several a object; the copies lie far from one another."""
    positives = random_bytes(rng, n_objects * n_copies)
    positives[:, 0] |= 128
    negatives = random_bytes(rng, 150)
    negatives[:, 0] &= 127
    objects = np.repeat(np.arange(n_objects), n_copies)
    scale = 1 if dtype == np.uint8 else 100
    return Samples((positives / scale).astype(dtype), objects, (negatives / scale).astype(dtype),
                   SHAPE, 12)  # fmt: skip


LEARNER = BoostedLearner(n_trees=64, n_trees_first=4, feature_share=0.5, holdout=0.25)


def fit(learner, samples, round_index=2, seed=1, n_threads=1):
    return learner.fit(samples, round_index, {}, seed=seed, n_threads=n_threads)


def test_learner_holds_out_whole_objects(rng, monkeypatch):
    samples, fitted, calibrated = samples_of(rng), [], []
    fit_trees = BoostedTrees.fit

    def spy_fit(self, features, labels, *rest):
        fitted.append(features[labels])
        return fit_trees(self, features, labels, *rest)

    def spy_calibrate(model, positives, **parameters):
        calibrated.append(positives)
        return calibrate_cascade(model, positives, **parameters)

    monkeypatch.setattr(BoostedTrees, "fit", spy_fit)
    monkeypatch.setattr("bootstrap_det.classifiers.learners.calibrate_cascade", spy_calibrate)
    for round_index in (0, 1):
        fit(LEARNER, samples, round_index)
    np.testing.assert_array_equal(calibrated[0], calibrated[1])  # the same ones in every round
    of_row = {row.tobytes(): n for row, n in zip(samples.positives, samples.objects, strict=True)}
    seen, held_out = ({of_row[row.tobytes()] for row in rows[0]} for rows in (fitted, calibrated))
    assert seen.isdisjoint(held_out)
    assert (len(seen), len(held_out)) == (30, 10)
    assert (len(fitted[0]), len(calibrated[0])) == (90, 30)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_learner_finds_what_tells_the_classes_apart(rng, dtype):
    samples = samples_of(rng, dtype=dtype)
    model, memory = fit(LEARNER, samples)
    assert memory == {"n_trees": 64}
    assert (model.decision_function(samples.positives) > 0).mean() > 0.98
    assert (model.decision_function(samples.negatives) < 0).mean() > 0.98
    assert model.accepts(samples.positives).mean() > 0.9
    assert LEARNER.mining_threshold(model) == model.lowest_score > -np.inf


def test_learner_grows_by_four_until_all_trees_are_there(rng):
    samples = samples_of(rng)
    counts = [fit(LEARNER, samples, index)[0].n_trees for index in range(4)]
    assert counts == [4, 16, 64, 64]
    assert [LEARNER.is_grown(index) for index in range(4)] == [False, False, True, True]
    assert BoostedLearner().is_grown(1000)


def test_learner_is_deterministic(rng):
    samples = samples_of(rng)
    one, again, other = (fit(LEARNER, samples, seed=seed)[0] for seed in (1, 1, 2))
    threads = fit(LEARNER, samples, seed=1, n_threads=3)[0]
    assert conftest.parts_of(one) == conftest.parts_of(again) == conftest.parts_of(threads)
    assert conftest.parts_of(one) != conftest.parts_of(other)


def test_learner_first_trees_look_at_plain_features(rng):
    model, _ = fit(BoostedLearner(n_trees=130, n_trees_first=130, holdout=0.5), samples_of(rng), 0)
    assert model.features[:64].max() < 12
    assert model.features.max() >= 12


def test_learner_first_trees_are_shallow_and_add_up_in_bytes(rng):
    learner = BoostedLearner(n_trees=80, n_trees_first=80, depth=4, holdout=0.5)
    model, _ = fit(learner, samples_of(rng), 0)
    leaves = model.leaves.reshape(80, 4, 4)
    assert (leaves[:64] == leaves[:64, :, :1]).all()  # of depth 2, whatever is below
    assert not (leaves[64:] == leaves[64:, :, :1]).all()
    small, units = model._groups(64)
    assert small.shape == (64, 4)
    assert (units > 0).all()


def test_learner_says_what_is_missing(rng):
    few = samples_of(rng, n_objects=10, n_copies=1)
    with pytest.raises(DataError, match=r"Got 5; give more objects, or raise the share held out"):
        fit(LEARNER, few)
    samples = samples_of(rng, dtype=np.float32)
    samples.negatives[3, 1] = np.nan
    with pytest.raises(DataError, match=r"NaN or infinite values\. Check the pictures"):
        fit(LEARNER, samples)
    nothing = Samples(samples.positives, samples.objects, samples.negatives[:0], SHAPE, 12)
    with pytest.raises(DataError, match="Got 1 class; check the annotations and the negatives"):
        fit(LEARNER, nothing)


def test_learner_weighs_objects_that_were_missed(rng, monkeypatch):
    weights = []
    fit_trees = BoostedTrees.fit

    def spy(self, features, labels, sample_weight):
        weights.append(sample_weight)
        return fit_trees(self, features, labels, sample_weight)

    monkeypatch.setattr(BoostedTrees, "fit", spy)
    samples = samples_of(rng)
    scores = np.where(samples.objects % 2 == 0, -20.0, 20.0)
    learner = dataclasses.replace(LEARNER, hard_positives=3.0)
    for each in (samples, dataclasses.replace(samples, positive_scores=scores)):
        fit(learner, each)
        fit(LEARNER, each)
    assert weights[0] is weights[1] is weights[3] is None
    np.testing.assert_allclose(np.unique(weights[2][:90].round(6)), [1, 4])
    assert (weights[2][90:] == 1).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hard_positives": -1}, "'hard_positives' parameter"),
        ({"n_trees": 0}, r"'n_trees' parameter of BoostedLearner .* \[1, 100000\]. Got 0"),
        ({"n_trees_first": 1.5}, "'n_trees_first' parameter"),
        ({"depth": 6}, r"'depth' parameter .* \[1, 5\]. Got 6"),
        ({"shrinkage": 0}, "'shrinkage' parameter"),
        ({"feature_share": 2}, "'feature_share' parameter"),
        ({"keep": 0.4}, r"'keep' parameter .* \[0.5, 1\]"),
        ({"holdout": 0.0}, "'holdout' parameter"),
        ({"holdout": 0.6}, "'holdout' parameter"),
    ],
)
def test_boosted_learner_bad_parameters(parameters, message):
    with pytest.raises(ParameterError, match=message):
        BoostedLearner(**parameters)


@pytest.mark.parametrize("c", [0, -1, float("nan"), "1", True])
def test_linear_learner_bad_c(c):
    with pytest.raises(ParameterError, match="'C' parameter of LinearLearner"):
        LinearLearner(C=c)


def test_linear_learner_of_bytes_scores_bytes(rng):
    samples = samples_of(rng)
    model, memory = fit(LinearLearner(C=0.5), samples)
    assert memory == {"C": 0.5}
    assert (model.decision_function(samples.positives) > 0).mean() > 0.9
    assert (model.decision_function(samples.negatives) < 0).mean() > 0.9


@pytest.mark.parametrize("learner", [LEARNER, LinearLearner(C=2.0)], ids=["boosted", "linear"])
def test_learners_are_made_again_from_their_parameters(learner):
    parameters = json.loads(json.dumps(learner.get_params()))
    assert type(learner)(**parameters) == learner


def cascade_detector(rng, channels=None, sizes=((24, 24), (20, 28)), n_trees=160, keep=0.8):
    """Return a detector of random trees, some of them over what windows see of themselves."""
    channels = channels or ACF(n_orientations=3)
    picture = rng.integers(0, 256, (80, 90, 3)).astype(np.uint8)
    level = channels.compute(picture if channels.color == "rgb" else picture[:, :, 0])
    templates = []
    for index, size in enumerate(sizes):
        extent = channels.grid_shape(size)
        model = random_trees(rng, (channels.n_window_channels, *extent), n_trees)
        if channels.dtype != np.uint8:
            model = dataclasses.replace(model, value_scale=600.0)
        rows, columns = rng.integers(0, 15, (2, 60))
        objects = channels.window_features(level, extent, rows, columns)
        model = calibrate_cascade(model, objects, keep=keep)
        templates.append(Template(Window(size), model, f"label {index}"))
    return Detector(templates, channels, pyramid=Pyramid(scales_per_octave=2), threshold=-60.0)


@pytest.mark.parametrize(
    "channels",
    [
        ACF(n_orientations=3),
        ACF(n_orientations=2, color="rgb"),
        ACF(normalise="local", cell_size=4),
        ACF(normalise="none"),
        ACF(n_orientations=2, coarser=True),
        HOG(cell_size=4),
    ],
    ids=["window", "rgb", "local", "none", "coarser", "hog"],
)
def test_accepted_windows_have_the_full_score_and_no_other_is_found(rng, channels):
    detector = cascade_detector(rng, channels)
    image = rng.integers(0, 256, (61, 70, 3)).astype(np.uint8)
    found = detector.scan(image, threshold=-np.inf)
    pixels = detector.prepare(image)
    n_accepted = 0
    for plan in detector.plan(image.shape[:2]):
        values = channels.compute(make_level(pixels, plan))
        for index, template in enumerate(detector.templates):
            shape = template.model.shape
            extent = [n - side + 1 for n, side in zip(values.shape[1:], shape, strict=True)]
            if min(extent) < 1:
                continue
            rows, columns = np.indices(extent).reshape(2, -1)
            features = channels.window_features(values, shape, rows, columns)
            passes = template.model.accepts(features)
            here = (found.windows[:, 0] == plan.index) & (found.windows[:, 3] == index)
            np.testing.assert_array_equal(found.windows[here, 1], rows[passes])
            np.testing.assert_array_equal(found.windows[here, 2], columns[passes])
            scores = template.model.decision_function(features[passes])
            np.testing.assert_array_equal(found.scores[here], scores)
            n_accepted += passes.sum()
    assert 0 < n_accepted < found.n_windows


@pytest.mark.parametrize("n_threads", [2, 5])
def test_detect_same_bits_for_any_number_of_threads(rng, n_threads):
    detector = cascade_detector(rng)
    image = rng.integers(0, 256, (70, 60)).astype(np.uint8)
    one, more = (detector.scan(image, n_threads=n) for n in (1, n_threads))
    assert len(one.scores) > 0
    np.testing.assert_array_equal(one.windows, more.windows)
    np.testing.assert_array_equal(one.scores, more.scores)


def test_threshold_below_the_cascade_warns(rng):
    detector = cascade_detector(rng, sizes=[(24, 24)])
    image = rng.integers(0, 256, (40, 50)).astype(np.uint8)
    floor = detector.lowest_score
    assert floor == detector.templates[0].model.lowest_score
    with pytest.warns(UserWarning, match=r"is below .* the least score that the cascade .* 'keep'"):
        detector.detect(image, threshold=floor - 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (detector.detect(image, threshold=floor).scores >= floor).all()
        detector.detect(image)
        without = [
            Template(t.window, t.model.with_rejection(np.full(160, -(1 << 30))), t.label)
            for t in detector.templates
        ]
        assert Detector(without, detector.channels).detect(image, threshold=-1e6).scores.size


def test_lowest_score_of_a_linear_template_is_the_margin(rng):
    template = Template(Window((8, 8)), LinearModel(rng.normal(size=(9, 4, 4)), 0.0))
    detector = Detector([template], HOG(cell_size=2, block_size=1))
    assert detector.lowest_score == -1


def test_detector_of_trees_saves_and_loads_bit_for_bit(rng, tmp_path):
    detector = cascade_detector(rng)
    detector.save(tmp_path / "a")
    loaded = Detector.load(tmp_path / "a")
    loaded.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert loaded.channels.get_params() == detector.channels.get_params()
    image = rng.integers(0, 256, (60, 70)).astype(np.uint8)
    one, other = detector.detect(image), loaded.detect(image)
    assert len(one) > 0
    for name in ("boxes", "scores", "labels"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for ours, theirs in zip(detector.templates, loaded.templates, strict=True):
        assert conftest.parts_of(ours.model) == conftest.parts_of(theirs.model)


def test_files_of_version_1_still_load(rng, tmp_path):
    shape = (36, 2, 2)
    template = Template(Window((12, 12)), LinearModel(rng.normal(size=shape), 0.1), "one")
    detector = Detector([template], HOG(cell_size=4), pyramid=Pyramid(scales_per_octave=2))
    detector.save(tmp_path / "new")
    header, arrays = read_arrays(tmp_path / "new")
    assert header["format_version"] == 4
    header["format_version"] = 1
    del header["templates"][0]["kind"]
    del header["pyramid"]["exponents"]
    write_arrays(tmp_path / "old", header, arrays)
    image = rng.integers(0, 256, (40, 50)).astype(np.uint8)
    ref, got = detector.detect(image), Detector.load(tmp_path / "old").detect(image)
    assert len(got) > 0
    np.testing.assert_array_equal(got.scores, ref.scores)
    np.testing.assert_array_equal(got.boxes, ref.boxes)


def test_trees_of_other_channels_are_refused(rng):
    template = Template(Window((24, 24)), random_trees(rng, (5, 12, 12)))
    with pytest.raises(ParameterError, match=r"Template 0 has trees of shape \(5, 12, 12\), but"):
        Detector([template], ACF())


def test_windows_above_the_decision_surface_are_never_rejected(rng):
    """Objects that score far higher than anything else do not raise the thresholds above 0."""
    model = random_trees(rng)
    samples = random_bytes(rng, 3000)
    scores = model.staged_scores(samples)
    best = np.argsort(-scores.min(axis=1))
    cascade = calibrate_cascade(model, samples[best[:100]], keep=0.9)
    positive = (scores >= 0).all(axis=1)
    assert positive.sum() > 10
    assert cascade.accepts(samples[positive]).all()
    assert cascade.lowest_score <= 0


def told_apart_with_ease(rng):
    """Return trees, 20 objects, darker ones like none of them, and random windows."""
    objects = rng.normal(190, 20, (2000, 24)).clip(0, 255).astype(np.uint8)
    background = rng.normal(70, 25, (4000, 24)).clip(0, 255).astype(np.uint8)
    features = np.concatenate([objects[20:], background])
    labels = np.arange(len(features)) < len(objects) - 20
    estimator = BoostedTrees(n_trees=128, depth=2, random_state=0).fit(features, labels)
    trees = estimator.model_
    model = TreeModel(trees.features, trees.thresholds, trees.leaves, trees.unit, SHAPE)
    darker = (objects * 0.72).astype(np.uint8)
    return model, objects[:20], darker, background


def test_keeping_all_leaves_the_room_that_costs_nothing(rng):
    model, objects, darker, background = told_apart_with_ease(rng)
    tight = calibrate_cascade(model, objects, keep=1.0)
    lax = calibrate_cascade(model, objects, keep=1.0, background=background)
    assert lax.accepts(objects).all()
    assert (lax.rejection <= tight.rejection).all()
    assert lax.accepts(darker).mean() > tight.accepts(darker).mean() + 0.2
    left = np.cumprod(lax.staged_scores(background) >= lax.rejection, axis=1).mean(axis=0)
    assert left[63] <= 0.005
    assert left[127] <= 0.00125
    # A share to keep is a share to keep, whatever there is room for.
    assert np.array_equal(
        calibrate_cascade(model, objects, keep=0.95, background=background).rejection,
        calibrate_cascade(model, objects, keep=0.95).rejection,
    )


def test_hard_objects_get_no_room(rng):
    """Where random windows score like objects, the cascade follows the objects alone."""
    model = far_below_zero(random_trees(rng))
    objects, background = random_bytes(rng, 100), random_bytes(rng, 3000)
    alone = calibrate_cascade(model, objects, keep=1.0)
    beside = calibrate_cascade(model, objects, keep=1.0, background=background)
    assert np.array_equal(alone.rejection[7:], beside.rejection[7:])


@pytest.mark.parametrize(
    ("n_objects", "copies", "n_held_out"), [(400, 4, 40), (18, 4, 5), (8, 4, 4)]
)
def test_of_few_objects_a_larger_share_is_held_out(n_objects, copies, n_held_out):
    """A tenth, but five at least; never more than half."""
    objects = np.repeat(np.arange(n_objects), copies)
    held_out = BoostedLearner()._held_out(objects, seed=0)
    assert len(np.unique(objects[held_out])) == n_held_out
    assert held_out.sum() == n_held_out * copies
