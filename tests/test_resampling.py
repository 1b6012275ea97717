"""Samplers and ensembles of imbalanced-learn: each against what it should do, done naively."""

from __future__ import annotations

import ast
import pickle
import random
import tempfile
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from imblearn.ensemble import (
    BalancedBaggingClassifier,
    BalancedRandomForestClassifier,
    EasyEnsembleClassifier,
    RUSBoostClassifier,
)
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from bootstrap_det import imbalance
from bootstrap_det.classifiers import BoostedLearner, EnsembleLearner, LinearLearner, LinearModel
from bootstrap_det.classifiers.ensembles import model_of_classifiers
from bootstrap_det.classifiers.training_samples import Samples
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.imbalance import Round, make_strategy, resampling
from bootstrap_det.imbalance.resampling import Resample
from bootstrap_det.samples import COPY, NEAR, Jitter

SHAPE = (2, 3, 2)
N_FEATURES = int(np.prod(SHAPE))
NOW = Round(1, 3, LinearModel(np.ones(SHAPE, np.float32), 0.5))
FIRST = Round(0, 3, None)


@pytest.fixture(autouse=True)
def one_thread():
    """Fit on one thread: others spin for longer than these fits take."""
    with threadpool_limits(1):
        yield


def samples_of(rng, n_positives=12, n_negatives=60, *, n_copies=2, dtype=np.float32, apart=1.0):
    """Return classes that overlap, every object with so many copies."""
    positives = rng.normal(apart, 1, (n_positives, N_FEATURES)).astype(np.float32)
    negatives = rng.normal(0, 1, (n_negatives, N_FEATURES)).astype(np.float32)
    if dtype == np.uint8:
        positives, negatives = (
            np.clip(128 + 60 * part, 0, 255).astype(dtype) for part in (positives, negatives)
        )
    return Samples(
        positives, np.arange(n_positives) // n_copies, negatives, SHAPE, N_FEATURES,
        positive_scores=rng.normal(1, 1, n_positives),
        negative_scores=rng.normal(-1, 1, n_negatives),
        positive_weights=rng.uniform(1, 2, n_positives),
        negative_weights=rng.uniform(0, 1, n_negatives),
        ious=rng.uniform(0.5, 1, n_positives),
        kinds=np.full(n_positives, COPY, np.uint8),
        n_random=20,
    )  # fmt: skip


def resampled(name, samples, now=NOW):
    return make_strategy(name).samples(samples, now)


def distances(first, second):
    return np.linalg.norm(first[:, None].astype(float) - second[None].astype(float), axis=2)


def rows_in(rows, among):
    """Return where each row is among others, -1 for nowhere."""
    equal = (rows[:, None] == among[None]).all(axis=2)
    return np.where(equal.any(axis=1), equal.argmax(axis=1), -1)


def neighbours(samples, n):
    """Return labels, and the n nearest neighbours of every sample."""
    features, labels = samples.stacked()
    apart = distances(features, features)
    np.fill_diagonal(apart, np.inf)
    return labels, np.argsort(apart, axis=1, kind="stable")[:, :n]


def tomek_links(samples):
    """Return which samples are nearest neighbours of one of the other class, mutually."""
    labels, nearest = neighbours(samples, 1)
    nearest = nearest[:, 0]
    return np.array([nearest[j] == i and labels[i] != labels[j] for i, j in enumerate(nearest)])


def edited(samples):
    """Return which samples have a neighbour of the other class among their three."""
    labels, nearest = neighbours(samples, 3)
    return (labels[nearest] != labels[:, None]).any(axis=1)


def assert_on_segments(new, ends):
    """Assert that every row lies between two of the others."""
    for row in new.astype(float):
        off = []
        for a, b in combinations(ends.astype(float), 2):
            t = np.clip((row - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
            off.append(np.abs(a + t * (b - a) - row).max())
        assert min(off) < 1e-5


# Each sampler by its name


def test_random_undersampling_equalises_the_classes(rng):
    samples = samples_of(rng)
    drawn = resampled("under-random", samples)
    assert len(drawn.positives) == len(drawn.negatives) == 12
    np.testing.assert_array_equal(drawn.positives, samples.positives)
    kept = rows_in(drawn.negatives, samples.negatives)
    assert (np.diff(kept) > 0).all()  # in the same order
    np.testing.assert_array_equal(drawn.negative_scores, samples.negative_scores[kept])
    np.testing.assert_array_equal(drawn.negative_weights, samples.negative_weights[kept])
    assert drawn.n_random == (kept < 20).sum()
    assert drawn.notes["under-random"]["n_removed_negatives"] == 48


def test_random_oversampling_repeats_positives(rng):
    samples = samples_of(rng)
    drawn = resampled("over-random", samples)
    assert len(drawn.positives) == len(drawn.negatives) == 60
    kept = rows_in(drawn.positives, samples.positives)
    assert set(kept) == set(range(12))
    np.testing.assert_array_equal(drawn.objects, samples.objects[kept])
    np.testing.assert_array_equal(drawn.ious, samples.ious[kept])
    assert drawn.notes["over-random"]["n_repeated_positives"] == 48


def test_oversampling_with_noise_knows_what_each_row_is_of(rng):
    samples = replace(samples_of(rng), objects=np.arange(12))
    drawn = resampled("over-random:shrinkage=0.01", samples)
    of = distances(drawn.positives[12:], samples.positives).argmin(axis=1)
    assert (rows_in(drawn.positives[12:], samples.positives) == -1).all()
    np.testing.assert_array_equal(drawn.objects[12:], of)
    assert drawn.notes["over-random:shrinkage=0.01"]["n_new_positives"] == 48


@pytest.mark.parametrize("name", ["smote:k_neighbors=3", "adasyn:n_neighbors=3", "BorderlineSMOTE"])
def test_new_positives_lie_between_positives(rng, name):
    samples = samples_of(rng)
    drawn = resampled(name, samples)
    n_new = len(drawn.positives) - 12
    assert abs(n_new - 48) <= (5 if "adasyn" in name else 0)  # adasyn rounds
    np.testing.assert_array_equal(drawn.positives[:12], samples.positives)
    np.testing.assert_array_equal(drawn.negatives, samples.negatives)
    assert_on_segments(drawn.positives[12:], samples.positives)
    nearest = distances(drawn.positives[12:], samples.positives).argmin(axis=1)
    np.testing.assert_array_equal(drawn.objects[12:], samples.objects[nearest])
    np.testing.assert_array_equal(drawn.positive_weights[12:], samples.positive_weights[nearest])
    assert (drawn.ious[12:] == 1).all()
    assert (drawn.kinds == COPY).all()
    scores = NOW.model.decision_function(drawn.positives[12:])
    np.testing.assert_array_equal(drawn.positive_scores[12:], scores)
    assert drawn.n_random == 20


def test_tomek_removes_the_negatives_of_all_links(rng):
    samples = samples_of(rng, 30, 60, apart=0.3)
    links = tomek_links(samples)
    drawn = resampled("tomek", samples)
    np.testing.assert_array_equal(drawn.positives, samples.positives)
    np.testing.assert_array_equal(drawn.negatives, samples.negatives[~links[30:]])
    assert drawn.notes["tomek"]["n_removed_negatives"] == links[30:].sum() > 2


def test_enn_removes_negatives_with_other_neighbours(rng):
    samples = samples_of(rng, 30, 60)
    bad = edited(samples)
    drawn = resampled("enn", samples)
    np.testing.assert_array_equal(drawn.negatives, samples.negatives[~bad[30:]])
    assert len(drawn.positives) == 30
    assert 2 < bad[30:].sum() < 60


def test_nearmiss_keeps_the_negatives_nearest_to_positives(rng):
    samples = samples_of(rng)
    means = np.sort(distances(samples.negatives, samples.positives), axis=1)[:, :3].mean(axis=1)
    nearest = np.sort(np.argsort(means)[:12])
    drawn = resampled("nearmiss", samples)
    np.testing.assert_array_equal(drawn.negatives, samples.negatives[nearest])
    assert len(drawn.positives) == 12


@pytest.mark.parametrize(("name", "bad_of"), [("smote-tomek", tomek_links), ("smote-enn", edited)])
def test_combinations_clean_what_smote_made(rng, name, bad_of):
    samples = samples_of(rng, 20, 50, apart=1.5)
    samples.negatives[7] = samples.positives[3] + np.float32(1e-3)  # a link
    grown = resampled("smote", samples)
    bad = bad_of(grown)
    drawn = resampled(name, samples)
    np.testing.assert_array_equal(drawn.positives, grown.positives[~bad[:50]])
    np.testing.assert_array_equal(drawn.objects, grown.objects[~bad[:50]])
    np.testing.assert_array_equal(drawn.negatives, grown.negatives[~bad[50:]])
    np.testing.assert_array_equal(drawn.negative_scores, grown.negative_scores[~bad[50:]])
    assert bad.any()


@pytest.mark.parametrize(
    "name",
    ["ClusterCentroids", "ClusterCentroids:voting=hard", "OneSidedSelection", "AllKNN",
     "RepeatedEditedNearestNeighbours", "NeighbourhoodCleaningRule", "CondensedNearestNeighbour",
     "SVMSMOTE:m_neighbors=4", "KMeansSMOTE:cluster_balance_threshold=0.1"],
)  # fmt: skip
def test_other_samplers_go_by_their_class(rng, name):
    samples = samples_of(rng, 20, 60, apart=0.8)
    drawn = resampled(name, samples)
    assert (len(drawn.positives), len(drawn.negatives)) != (20, 60)
    notes = drawn.notes[name]
    for side, n, rows in (("positives", 20, drawn.positives), ("negatives", 60, drawn.negatives)):
        known = n - notes[f"n_removed_{side}"] + notes[f"n_repeated_{side}"]
        assert len(rows) == known + notes[f"n_new_{side}"]
        assert (rows_in(rows[:known], getattr(samples, side)) >= 0).all()
    if name == "ClusterCentroids":
        assert notes["n_new_negatives"] > 10
        assert drawn.n_random <= len(drawn.negatives) - notes["n_new_negatives"]


# What holds for all


def test_where_negatives_are_fewer_they_are_the_ones_added_and_positives_removed(rng):
    samples = samples_of(rng, 40, 12)
    grown = resampled("smote", samples)
    assert (len(grown.positives), len(grown.negatives)) == (40, 40)
    assert_on_segments(grown.negatives[12:], samples.negatives)
    assert grown.n_random == 12
    scores = NOW.model.decision_function(grown.negatives[12:])
    np.testing.assert_array_equal(grown.negative_scores[12:], scores)
    fewer = resampled("under-random", samples)
    assert (len(fewer.positives), len(fewer.negatives)) == (12, 12)
    assert fewer.objects.tolist() == sorted(fewer.objects)


@pytest.mark.parametrize(
    "name", ["under-random", "over-random", "smote", "adasyn", "nearmiss", "smote-tomek"]
)
def test_equal_classes_are_nothing_to_do(rng, name):
    samples = samples_of(rng, 20, 20, apart=3.0)
    drawn = resampled(name, samples)
    np.testing.assert_array_equal(drawn.positives, samples.positives)
    np.testing.assert_array_equal(drawn.negatives, samples.negatives)


@pytest.mark.parametrize("name", ["under-random", "smote", "adasyn", "nearmiss"])
def test_a_ratio_is_kept_or_was_there_already(rng, name):
    samples = samples_of(rng, 12, 60)
    half = resampled(f"{name}:sampling_strategy=0.5", samples)
    assert len(half.positives) / len(half.negatives) == pytest.approx(0.5, abs=0.05)
    same = resampled(f"{name}:sampling_strategy=0.1", samples)
    assert (len(same.positives), len(same.negatives)) == (12, 60)


@pytest.mark.parametrize(
    ("n", "apart", "said"), [(58, 0.2, "No samples will"), (12, 30.0, "Not any neigbours")]
)
def test_nearly_equal_classes_and_those_far_apart_need_no_adasyn(rng, n, apart, said):
    drawn = resampled("adasyn", samples_of(rng, n, 60, apart=apart))
    assert (len(drawn.positives), len(drawn.negatives)) == (n, 60)
    assert drawn.notes["adasyn"]["said"][0].startswith(said)


@pytest.mark.parametrize("name", ["smote", "smote-tomek", "ClusterCentroids"])
def test_bytes_stay_bytes(rng, name):
    samples = samples_of(rng, dtype=np.uint8)
    drawn = resampled(name, samples)
    assert drawn.positives.dtype == drawn.negatives.dtype == np.uint8
    if name == "smote":
        plain = replace(samples, positives=samples.positives.astype(np.float32),
                        negatives=samples.negatives.astype(np.float32))  # fmt: skip
        exact = resampled("smote", plain).positives
        np.testing.assert_array_equal(drawn.positives, np.rint(exact))


def test_windows_beside_objects_take_no_part(rng):
    samples = samples_of(rng, 16)
    kinds = np.where(np.arange(16) % 4 == 3, NEAR, COPY).astype(np.uint8)
    samples = replace(samples, kinds=kinds)
    drawn = resampled("smote", samples)
    assert len(drawn.positives) == 60 + 4
    assert (drawn.kinds[-4:] == NEAR).all()
    np.testing.assert_array_equal(drawn.positives[-4:], samples.positives[kinds == NEAR])
    np.testing.assert_array_equal(drawn.ious[-4:], samples.ious[kinds == NEAR])
    assert_on_segments(drawn.positives[12:-4], samples.positives[kinds == COPY])
    both = make_strategy("smote+iou-balanced")
    assert both.jitter(Jitter()).n_near > 0
    assert not (both.samples(samples, NOW).kinds == NEAR).any()


def test_of_many_negatives_the_hardest_take_part(rng):
    samples = samples_of(rng)
    hard = np.sort(np.argsort(-samples.negative_scores)[:30])
    drawn = resampled("smote:max_negatives=30", samples)
    np.testing.assert_array_equal(drawn.negatives, samples.negatives[hard])
    assert len(drawn.positives) == 30
    assert drawn.notes["smote:max_negatives=30"]["n_left_out"] == 30
    fresh = replace(samples, positive_scores=None, negative_scores=None)
    drawn = resampled("smote:max_negatives=30", fresh, FIRST)
    assert len(drawn.negatives) == 30
    assert drawn.positive_scores is None
    assert Resample("tomek").defaults("tomek")["max_negatives"] == 20_000
    assert Resample("over-random").defaults("over-random")["max_negatives"] == 0


def test_draws_follow_from_the_round_and_touch_nothing_global(rng):
    samples = samples_of(rng)
    before = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    first, again = (resampled("smote", samples).positives for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other = resampled("smote", samples, replace(NOW, index=2)).positives
    assert (first != other).any()
    assert (np.random.get_state()[1] == before[0]).all()  # noqa: NPY002
    assert random.getstate() == before[1]


def test_features_are_mapped_and_the_file_is_removed(rng, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen = []

    class Spy(resampling.class_called("SMOTE")):
        def fit_resample(self, X, y):  # noqa: N803
            seen.append((isinstance(X.base, np.memmap), X.dtype, len(list(tmp_path.rglob("*")))))
            if self.k_neighbors == 7:
                raise OSError("disk full")
            return super().fit_resample(X, y)

    monkeypatch.setattr(resampling, "class_called", lambda name: Spy)
    resampled("smote", samples_of(rng))
    with pytest.raises(OSError, match="disk full"):
        resampled("smote:k_neighbors=7", samples_of(rng))
    assert seen == [(True, np.float32, 2)] * 2
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_sentence(rng, monkeypatch):
    def full(path, part):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(resampling, "_write", full)
    with pytest.raises(DataError, match=r"72 windows cannot be written .* space left .* TMPDIR"):
        resampled("smote", samples_of(rng))


def test_warnings_are_noted(rng):
    drawn = resampled("nearmiss:version=3,n_neighbors_ver3=1", samples_of(rng, 30, 60))
    said = drawn.notes["nearmiss:version=3,n_neighbors_ver3=1"]["said"]
    assert "number of the samples to be selected is larger" in said[0]


def test_new_positives_of_held_out_objects_are_held_out(rng):
    samples = samples_of(rng, 40, 150, dtype=np.uint8)
    drawn = resampled("smote", samples)
    learner = BoostedLearner(n_trees=2, holdout=0.4)
    before = learner.split(samples, 5)[0]
    after, features, labels, _ = learner.split(drawn, 5)
    # The same objects as without, and nothing closest to them is fitted.
    assert set(samples.objects[before]) == set(drawn.objects[after])
    nearest = distances(features[labels], samples.positives.astype(float)).argmin(axis=1)
    assert not before[nearest].any()
    assert learner.fit(drawn, 0, {}, seed=5, n_threads=1)[0].n_trees == 2


# By name and text


def test_samplers_and_ensembles_are_listed():
    assert {"SMOTE", "KMeansSMOTE", "ClusterCentroids", "SMOTEENN"} <= set(imbalance.samplers())
    assert not {"SMOTEN", "SMOTENC", "FunctionSampler"} & set(imbalance.samplers())
    assert len(imbalance.balanced_ensembles()) == 4
    assert {"smote", "under-random", "rusboost"} <= set(imbalance.available())


@pytest.mark.parametrize(
    "text",
    ["smote", "smote:k_neighbors=3", "SMOTE:sampling_strategy=0.5", "tomek:max_negatives=100",
     "under-random:replacement=True", "nearmiss:version=2,n_neighbors=4", "rusboost",
     "enn:sampling_strategy=not majority", "balanced-forest:max_depth=3,max_features=0.25",
     "OneSidedSelection:n_neighbors=2", "EasyEnsembleClassifier:n_estimators=3"],
)  # fmt: skip
def test_text_is_what_it_was_made_of(text):
    strategy = make_strategy(text)
    assert strategy.spec == text
    assert make_strategy(strategy.spec) == strategy
    assert pickle.loads(pickle.dumps(strategy)) == strategy
    assert type(strategy) is imbalance.strategy_class(text.partition(":")[0])


def test_a_default_is_left_out_of_the_text():
    assert make_strategy("smote:k_neighbors=5").spec == "smote"
    assert (
        make_strategy("smote:k_neighbors=4+under-random").spec == "smote:k_neighbors=4+under-random"
    )
    assert Resample("smote", {"k_neighbors": 4}) == make_strategy("smote:k_neighbors=4")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("smot", r"must be one of .*or a sampler or ensemble.*Did you mean 'smote'\?"),
        ("KMeanSMOTE", r"'SVMSMOTE'.* Got 'KMeanSMOTE' instead\. Did you mean 'KMeansSMOTE'\?"),
        ("SMOTENC", r"Got 'SMOTENC' instead"),
        ("smote:k=3", r"The strategy 'smote' takes k_neighbors, .*max_negatives\. Got 'k=3'"),
        ("smote:k_neighbors=2.5", r"'k_neighbors' parameter of smote must be an int\. Got '2\.5'"),
        ("smote:random_state=1", r"takes .*\. Got 'random_state=1' instead"),
        ("smote:k_neighbors=0", r"'smote:k_neighbors=0' cannot be used: The 'k_neighbors' .* 0"),
        ("nearmiss:version=4", r"'nearmiss:version=4' cannot be used: "),
        ("tomek:sampling_strategy=0.5", r"cannot be used: "),
        ("smote:max_negatives=-1", r"'max_negatives' parameter of smote must be .* Got -1"),
        ("under-random:replacement=maybe", r"must be true or false\. Got 'maybe' instead"),
        ("rusboost:n_estimators=-1", r"'n_estimators' parameter of rusboost must be .* Got -1"),
        ("balanced-forest:max_depth=6", r"'max_depth' parameter of balanced-forest .* Got 6"),
        ("balanced-forest:criterion=x", r"cannot be used: The 'criterion' parameter of"),
        ("balanced-bagging:max_features=0.5", r"takes .*\. Got 'max_features=0.5' instead"),
        ("balanced-bagging+focal", r"'balanced-bagging' .* Got 'focal' behind it; swap them"),
        ("rusboost+easy-ensemble", r"The members of 'rusboost' .* Got 'easy-ensemble' behind it"),
    ],
)
def test_wrong_text_is_one_sentence(text, message):
    with pytest.raises(ParameterError, match=message):
        make_strategy(text)


def test_an_object_is_no_parameter():
    with pytest.raises(ParameterError, match=r"'k_neighbors' .* must be a number.* Got LinearSVC"):
        Resample("smote", {"k_neighbors": LinearSVC()})


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("smote", (4, 60, 1.0), r"'smote' cannot resample 4 positives and 60 .*lower k_neighbors"),
        ("enn", (200, 201, 0.0), r"'enn' left 200 positives and 0 negatives of 200 and 201"),
    ],
)
def test_what_cannot_be_resampled_says_the_way_out(rng, name, sizes, message):
    samples = samples_of(rng, sizes[0], sizes[1], apart=sizes[2])
    if name == "enn":  # every negative among positives
        twins = samples.positives[np.arange(201) % 200] + np.float32(1e-3)
        samples = replace(samples, negatives=twins)
    with pytest.raises(DataError, match=message):
        resampled(name, samples)


def test_imbalanced_learn_is_imported_when_it_is_needed():
    for path in Path(imbalance.__file__).parents[1].rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not [node for node in nodes if "imblearn" in ast.unparse(node)], path


# Ensembles


def bytes_of(rng, **sizes):
    samples = samples_of(rng, 60, 200, dtype=np.uint8, **sizes)
    return replace(samples, positive_weights=None, negative_weights=None)


@pytest.mark.parametrize("kind", [BalancedBaggingClassifier, EasyEnsembleClassifier])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_linear_ensemble_scores_the_mean_of_its_members(rng, kind, dtype):
    samples = bytes_of(rng)
    if dtype == np.float32:
        samples = replace(samples, positives=samples.positives / np.float32(99),
                          negatives=samples.negatives / np.float32(99))  # fmt: skip
    features, labels = samples.stacked()
    learner = make_strategy(kind.__name__ + ":n_estimators=4").learner(LinearLearner(C=0.3))
    model, told = learner.fit(samples, 1, {}, seed=6, n_threads=1)
    assert told == {"C": 0.3, "n_members": 4}
    scaled = features / np.float32(64) if dtype == np.uint8 else features
    svm = LinearSVC(C=0.3, dual=False, tol=1e-3)
    ref = kind(estimator=svm, n_estimators=4, random_state=7).fit(scaled, labels.astype(int))
    members = [pipeline.decision_function(scaled) for pipeline in ref.estimators_]
    scores = model.decision_function(features)
    np.testing.assert_allclose(scores, np.mean(members, axis=0), atol=2e-5)
    np.testing.assert_allclose(scores, ref.decision_function(scaled), atol=2e-5)
    chosen = EnsembleLearner(LinearLearner(), kind.__name__).fit(
        samples, 0, {}, seed=6, n_threads=1
    )
    assert chosen[1]["C"] == LinearLearner().fit(samples, 0, {}, seed=6, n_threads=1)[1]["C"]


def rounding(model):
    """Return how far leaves that add up in bytes may be off, and the others."""
    largest = np.abs(model.leaves * model.unit).max(axis=1)
    coarse = np.add.reduceat(largest, np.arange(0, len(largest), 4)).sum() * 4 / 100
    return coarse + model.n_trees * model.unit


@pytest.mark.parametrize("kind", [BalancedBaggingClassifier, EasyEnsembleClassifier])
def test_bagged_trees_score_the_mean_of_their_members(rng, kind):
    samples = bytes_of(rng)
    base = BoostedLearner(n_trees=40, depth=2, first_trees=8, feature_share=0.5, holdout=0.4)
    learner = EnsembleLearner(base, kind.__name__, {"n_estimators": 4})
    model, told = learner.fit(samples, 3, {}, seed=6, n_threads=1)
    assert told == {"n_trees": 40, "n_trees_wanted": 40}
    _, features, labels, _ = base.split(samples, 6)
    member = base.estimator(samples.n_plain, 10, 1, 0).set_params(n_first_trees=2)
    ref = kind(estimator=member, n_estimators=4, random_state=9).fit(features, labels.astype(int))
    scores = ref.decision_function(features)
    assert np.abs(model.decision_function(features) - scores).max() <= rounding(model)
    assert rounding(model) < np.ptp(scores) / 4
    # In turns: the first trees are the first ones of all members.
    firsts = [pipeline[-1].model_.features[0] for pipeline in ref.estimators_]
    np.testing.assert_array_equal(model.features[:4], firsts)
    assert model.lowest_score > -np.inf


def test_trees_of_rusboost_vote_with_their_weights(rng):
    features, labels = bytes_of(rng).stacked()
    member = DecisionTreeClassifier(max_depth=3)
    ref = RUSBoostClassifier(member, n_estimators=12, learning_rate=0.5, random_state=0)
    ref.fit(features.astype(np.float32), labels.astype(int))
    model = model_of_classifiers(ref, SHAPE)
    assert model.n_trees == len(ref.estimators_) > 2
    wanted = ref.decision_function(features.astype(np.float32)) * ref.estimator_weights_.sum() / 4
    assert np.abs(model.decision_function(features) - wanted).max() <= rounding(model)
    assert rounding(model) < np.ptp(wanted) / 4


def test_a_forest_scores_the_difference_of_its_probabilities(rng):
    features, labels = bytes_of(rng).stacked()
    ref = BalancedRandomForestClassifier(n_estimators=80, max_depth=5, random_state=0)
    ref.fit(features.astype(np.float32), labels.astype(int))
    model = model_of_classifiers(ref, SHAPE)
    p = ref.predict_proba(features.astype(np.float32))
    wanted = p[:, 1] - p[:, 0]
    assert np.abs(model.decision_function(features) - wanted).max() <= rounding(model)
    assert np.ptp(wanted) > 0.8


def test_ensembles_say_what_they_are():
    base = BoostedLearner(n_trees=64, n_trees_first=8)
    learner = make_strategy("rusboost:n_estimators=32,learning_rate=0.5").learner(base)
    assert learner == EnsembleLearner(
        replace(base, n_trees=32), "RUSBoostClassifier", {"learning_rate": 0.5}
    )
    assert (learner.name, learner.margin, learner.is_grown(0), learner.is_grown(1)) == (
        "boosted", np.inf, False, True,
    )  # fmt: skip
    params = learner.get_params()
    assert params["n_trees"] == 32
    assert params["ensemble"] == "RUSBoostClassifier"
    assert params["ensemble_params"] == {"learning_rate": 0.5}
    assert pickle.loads(pickle.dumps(learner)) == learner


@pytest.mark.parametrize("name", ["rusboost", "balanced-forest"])
def test_ensembles_of_trees_need_trees(name):
    message = f"'{name}' is made of trees, .*'boosted'. Got 'svm'; choose 'balanced-bagging' or"
    with pytest.raises(ParameterError, match=message):
        make_strategy(name).learner(LinearLearner())


def test_ensembles_of_other_losses_and_of_weighted_samples_are_refused(rng):
    twice = EnsembleLearner(LinearLearner(), "EasyEnsembleClassifier")
    with pytest.raises(
        ParameterError, match=r"members of 'balanced-bagging' are .* Got 'svm' that"
    ):
        make_strategy("balanced-bagging").learner(twice)
    with pytest.raises(DataError, match="EasyEnsembleClassifier draw samples and cannot weigh"):
        twice.fit(samples_of(rng), 0, {}, seed=0, n_threads=1)
    forest = make_strategy("balanced-forest").learner(BoostedLearner(n_trees=4, holdout=0.4))
    weighted = samples_of(rng, 60, 80)
    first, second = (forest.fit(weighted, 0, {}, seed=0, n_threads=n) for n in (1, 2))
    assert first[1] == {"n_trees": 4, "n_trees_wanted": 4}
    np.testing.assert_array_equal(first[0].leaves, second[0].leaves)
    none = replace(bytes_of(rng), positives=np.empty((0, N_FEATURES), np.uint8))
    given = EnsembleLearner(LinearLearner(C=1.0), "EasyEnsembleClassifier")
    with pytest.raises(DataError, match=r"cannot be fitted on 0 positives .* more than 1 class\);"):
        given.fit(none, 0, {}, seed=0, n_threads=1)


@pytest.mark.parametrize(
    ("kind", "strategy"),
    [
        ("linear_toy", "balanced-bagging:n_estimators=3"),
        ("linear_toy", "smote-tomek:max_negatives=100"),
        ("toy", "easy-ensemble:n_estimators=4"),
        ("toy", "rusboost:n_estimators=12"),
        ("toy", "balanced-forest:n_estimators=16"),
        ("toy", "under-random"),
    ],
)
def test_detectors_of_strategies_are_saved_and_detect(request, tmp_path, kind, strategy):
    from bootstrap_det.mining import BootstrapParams
    from bootstrap_det.training import train

    toy = request.getfixturevalue(kind)
    result = train(
        toy.dataset, negatives=toy.negatives, window=toy.recipe.window,
        channels=toy.recipe.channels, pyramid=toy.recipe.pyramid,
        jitter=Jitter(n_copies=2, shift=0.1), learner=toy.recipe.learner, strategy=strategy,
        params=BootstrapParams(**{**toy.small, "n_rounds": 1}),
    )  # fmt: skip
    path = tmp_path / "model.bdet"
    result.detector.save(path)
    loaded = type(result.detector).load(path)
    n_found = 0
    for picture in toy.dataset.pictures:
        found, again = (each.detect(picture.load()) for each in (result.detector, loaded))
        np.testing.assert_array_equal(found.boxes, again.boxes)
        np.testing.assert_array_equal(found.scores, again.scores)
        n_found += len(found)
    assert n_found >= 6
