"""Regressors of boxes, stages, and how they are fitted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap_det.exceptions import ParameterError
from bootstrap_det.refinement import available_losses, make_loss
from bootstrap_det.refinement.files import pack_refinement, unpack_refinement
from bootstrap_det.refinement.fitting import (
    DEFAULT_STRENGTH,
    fit_linear,
    mean_iou,
    target_scales,
)
from bootstrap_det.refinement.quality import fit_quality
from bootstrap_det.refinement.regressors import LinearRegressor, TreeRegressor
from bootstrap_det.refinement.samples import BoxSamples, carl_weights, uniform_over_iou
from bootstrap_det.refinement.stages import QualityModel, Refinement, Stage
from bootstrap_det.refinement.tree_fitting import fit_trees

N_INPUTS = 12


def samples_of(inputs, targets, n_pictures=8, scores=None):
    """Return windows with objects, dealt out to pictures."""
    n = len(inputs)
    still = np.zeros_like(targets)
    ious = 1.0 - make_loss("iou").evaluate(still, targets)[0]
    return BoxSamples(
        inputs.astype(np.float32),
        targets,
        ious,
        np.zeros(n) if scores is None else scores,
        np.arange(n) % n_pictures,
        np.arange(n),
    )


def linear_samples(rng, n=400):
    """Return windows whose offsets are a linear function of their inputs."""
    inputs = rng.uniform(0, 255, (n, N_INPUTS))
    slopes = rng.normal(0, 1, (4, N_INPUTS)) * [[1.0], [1.0], [1.5], [1.5]] * 3e-4
    return samples_of(inputs, (inputs - 128.0) @ slopes.T)


def random_trees(rng, n_trees=5, depth=3, n_outputs=4, n_inputs=N_INPUTS):
    """Return a regressor of random trees."""
    n_nodes = 2**depth - 1
    return TreeRegressor(
        rng.integers(0, n_inputs, (n_trees, n_nodes)),
        rng.uniform(0, 255, (n_trees, n_nodes)),
        rng.normal(0, 0.1, (n_trees, n_nodes + 1, n_outputs)),
        rng.normal(0, 0.1, n_outputs),
        n_inputs,
    )


@pytest.mark.nojit
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_trees_are_those_of_plain_python(rng, depth):
    trees = random_trees(rng, depth=depth)
    inputs = rng.uniform(0, 255, (20, N_INPUTS)).astype(np.float32)
    for row, got in zip(inputs, trees.outputs(inputs), strict=True):
        ref = trees.bias.copy()
        for tree in range(len(trees.features)):
            node = 0
            while node < trees.features.shape[1]:
                right = row[trees.features[tree, node]] > trees.thresholds[tree, node]
                node = 2 * node + (2 if right else 1)
            ref += trees.leaves[tree, node - trees.features.shape[1]]
        np.testing.assert_allclose(got, ref, rtol=1e-6)


def test_linear_outputs_by_hand():
    regressor = LinearRegressor([[1.0, 2.0], [0.0, -1.0]], [0.5, 0.0])
    assert (regressor.n_inputs, regressor.n_outputs) == (2, 2)
    np.testing.assert_array_equal(
        regressor.outputs(np.array([[3.0, 4.0]], np.float32)), [[11.5, -4.0]]
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearRegressor(np.zeros((4, 3)), np.zeros(3)), "a bias for each output"),
        (lambda: LinearRegressor(np.full((4, 3), np.nan), np.zeros(4)), "'weights' .* be finite"),
        (
            lambda: TreeRegressor(np.zeros((1, 2)), np.zeros((1, 2)), np.zeros((1, 3, 4)),
                                  np.zeros(4), 3),
            "needs complete trees",
        ),
        (
            lambda: TreeRegressor([[3]], [[0.0]], np.zeros((1, 2, 4)), np.zeros(4), 3),
            "one of 3 inputs, from 0. Got 3 to 3",
        ),
        (lambda: QualityModel(np.array([np.inf]), 0.0), "finite weights"),
        (lambda: Refinement(()), "at least one stage"),
        (
            lambda: Stage(LinearRegressor(np.zeros((4, 3)), np.zeros(4)), make_loss("kl")),
            "'kl' needs a regressor of 8 outputs. Got 4",
        ),
        (
            lambda: Stage(LinearRegressor(np.zeros((4, 3)), np.zeros(4)), make_loss("l2"),
                          QualityModel(np.zeros(2), 0.0)),
            "need the same inputs. Got 3 and 2",
        ),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


@pytest.mark.parametrize("name", available_losses())
def test_every_loss_learns_linear_offsets(rng, name):
    samples = linear_samples(rng)
    loss = make_loss(name)
    regressor, fit = fit_linear(samples, loss, np.ones(len(samples)))
    offsets = loss.offsets(regressor.outputs(samples.inputs))
    before = mean_iou(np.zeros_like(samples.targets), samples.targets)
    assert before < 0.75
    assert mean_iou(offsets, samples.targets) > (0.85 if name == "dfl" else 0.9)
    assert fit.iou_after > 0.85
    assert (fit.n_windows, fit.n_objects) == (400, 400)


def test_l2_is_ridge_regression(rng):
    samples = linear_samples(rng, 60)
    samples = samples.rows(samples.pictures == 0)  # one picture: nothing is held out
    scales = target_scales(samples.targets)
    regressor, fit = fit_linear(samples, make_loss("l2", scales=scales), np.ones(len(samples)))
    assert (fit.strength, fit.iou_before, fit.iou_after) == (DEFAULT_STRENGTH, None, None)
    inputs = samples.inputs.astype(float)
    centred = inputs - inputs.mean(axis=0)
    spread = np.sqrt((centred**2).mean())
    x, y = centred / spread, samples.targets / scales
    left = x.T @ x / len(x) + fit.strength * np.eye(N_INPUTS)
    ref = np.linalg.solve(left, x.T @ (y - y.mean(axis=0)) / len(x))
    ref = x @ ref + y.mean(axis=0)
    np.testing.assert_allclose(regressor.outputs(samples.inputs) / scales, ref, atol=2e-3)


def test_windows_of_larger_weight_count_more(rng):
    inputs = np.zeros((40, N_INPUTS))
    targets = np.zeros((40, 4))
    targets[20:] = 0.2
    weights = np.where(np.arange(40) < 20, 3.0, 1.0)
    regressor, _ = fit_linear(samples_of(inputs, targets), make_loss("l2"), weights)
    np.testing.assert_allclose(regressor.outputs(inputs.astype(np.float32)), 0.05, atol=1e-4)


@pytest.mark.parametrize("name", ["l2", "l1", "giou", "kl"])
def test_trees_learn_steps(rng, name):
    inputs = rng.uniform(0, 255, (600, N_INPUTS))
    targets = np.where(inputs[:, :4] > 128, 0.25, -0.1)
    samples, loss = samples_of(inputs, targets), make_loss(name)
    regressor, fit = fit_trees(samples, loss, np.ones(600), n_trees=60)
    offsets = loss.offsets(regressor.outputs(samples.inputs))
    assert mean_iou(np.zeros_like(targets), targets) < 0.7
    assert fit.iou_after > 0.8
    assert mean_iou(offsets, targets) > 0.8


@pytest.mark.parametrize("fit", [fit_linear, fit_trees])
def test_fits_depend_on_the_seed_alone(rng, fit):
    samples = linear_samples(rng, 120)
    one, other = (fit(samples, make_loss("l1"), np.ones(120), seed=3)[0] for _ in range(2))
    np.testing.assert_array_equal(one.outputs(samples.inputs), other.outputs(samples.inputs))


def test_whole_pictures_are_held_out(rng):
    samples = linear_samples(rng, 80)
    out = samples.held_out(0)
    assert 0 < out.sum() < 80
    assert not set(samples.pictures[out]) & set(samples.pictures[~out])
    assert samples.held_out(1).tolist() != out.tolist()


def test_carl_weights_by_hand():
    weights = carl_weights(np.array([0.0, 1000.0]), scale=1.0, power=1.0, bias=0.2)
    np.testing.assert_allclose(weights, np.array([0.6, 1.0]) / 0.8)
    assert carl_weights(np.zeros(0), scale=1.0).shape == (0,)
    with pytest.raises(ParameterError, match="'bias' parameter of carl_weights"):
        carl_weights(np.zeros(2), scale=1.0, bias=2.0)


@given(st.integers(0, 10_000), st.integers(1, 40))
def test_overlaps_are_drawn_evenly(seed, n_wanted):
    rng = np.random.default_rng(seed)
    ious = rng.beta(2, 5, 500)
    objects = rng.integers(0, 3, 500)
    chosen = uniform_over_iou(ious, objects, n_wanted, 0.5, rng)
    assert (ious[chosen] >= 0.5).all()
    assert len(set(chosen.tolist())) == len(chosen)
    for name in range(3):
        steps = np.minimum(((ious - 0.5) * 20).astype(int), 9)
        there = np.bincount(steps[(objects == name) & (ious >= 0.5)], minlength=10)
        own = chosen[objects[chosen] == name]
        drawn = np.bincount(steps[own], minlength=10)
        np.testing.assert_array_equal(drawn, np.minimum(there, max(n_wanted // 10, 1)))


def quality_samples(rng, n=600):
    inputs = rng.uniform(0, 255, (n, N_INPUTS))
    good = inputs[:, 0] + rng.normal(0, 20, n) > 128
    samples = samples_of(inputs, np.zeros((n, 4)), scores=good * 2.0 + rng.normal(0, 3, n))
    return samples, good


def test_quality_raises_what_lies_well(rng):
    samples, good = quality_samples(rng)
    quality = fit_quality(samples, good)
    gains = quality.gains(samples.inputs)
    assert gains[good].mean() > gains[~good].mean() + 1.0
    better = samples.scores + gains
    # A score and its gain tell good from bad better than the score alone.
    assert auc(better, good) > auc(samples.scores, good) + 0.1


def auc(scores, good):
    return (scores[good][:, None] > scores[~good][None]).mean()


def test_a_guided_quality_has_the_size_of_the_boxes_loss(rng):
    samples, good = quality_samples(rng)
    weak, strong = (fit_quality(samples, good, box_loss=size) for size in (1e-6, 10.0))
    assert np.abs(weak.weights).max() < np.abs(strong.weights).max()


def test_there_is_no_quality_without_examples(rng):
    samples, _ = quality_samples(rng, 50)
    assert fit_quality(samples, np.ones(50, bool)) is None
    assert fit_quality(samples, np.zeros(50, bool)) is None


@pytest.mark.parametrize("name", available_losses())
@pytest.mark.parametrize("trees", [False, True])
def test_refinements_are_packed_and_unpacked(rng, name, trees):
    loss = make_loss(name)
    if trees:
        regressor = random_trees(rng, n_outputs=loss.n_outputs)
    else:
        regressor = LinearRegressor(
            rng.normal(size=(loss.n_outputs, N_INPUTS)), rng.normal(size=loss.n_outputs)
        )
    quality = QualityModel(rng.normal(size=N_INPUTS), 0.3)
    refinement = Refinement((Stage(regressor, loss, quality, True), Stage(regressor, loss)))
    entries, arrays = pack_refinement(refinement, 7)
    again = unpack_refinement(entries, arrays, 7)
    inputs = rng.uniform(0, 255, (9, N_INPUTS)).astype(np.float32)
    for ours, theirs in zip(refinement.stages, again.stages, strict=True):
        assert (theirs.loss, theirs.classify_after) == (ours.loss, ours.classify_after)
        np.testing.assert_array_equal(
            theirs.regressor.outputs(inputs), ours.regressor.outputs(inputs)
        )
    np.testing.assert_array_equal(again.stages[0].quality.gains(inputs), quality.gains(inputs))
    assert again.stages[1].quality is None


def test_damaged_refinements_are_refused(rng):
    stage = Stage(LinearRegressor(np.zeros((4, 3)), np.zeros(4)), make_loss("l2"))
    entries, arrays = pack_refinement(Refinement((stage,)), 0)
    with pytest.raises(KeyError, match="unknown kind of regressor 'forest'"):
        unpack_refinement([{**entries[0], "kind": "forest"}], arrays, 0)
    entries, arrays = pack_refinement(Refinement((Stage(random_trees(rng), make_loss("l2")),)), 0)
    arrays["box_features_0_0"] = arrays["box_features_0_0"].astype(float)
    with pytest.raises(ValueError, match="not whole numbers"):
        unpack_refinement(entries, arrays, 0)
