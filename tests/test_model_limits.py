"""Parameters of model files that are wrong on purpose: bounded where they are read or planned."""

import math
import sys

import numpy as np
import pytest
from hostile_models import make_models, packed, scene, with_zeros

from bootstrap_det import persistence, scanning, suppression
from bootstrap_det.channels import ACF, HOG
from bootstrap_det.classifiers import LinearModel, TreeModel
from bootstrap_det.classifiers.class_model import ClassModel, ClassView
from bootstrap_det.detector import Detector, Template
from bootstrap_det.diagnostics import as_text, model_facts
from bootstrap_det.exceptions import ModelFormatError, ParameterError
from bootstrap_det.location import LocationPrior
from bootstrap_det.persistence import read_arrays
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.refinement import make_loss
from bootstrap_det.refinement.regressors import LinearRegressor, TreeRegressor
from bootstrap_det.refinement.stages import Refinement, Stage
from bootstrap_det.windows import Window


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return make_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def parts(models, tmp_path):
    """Return how to take a model file apart."""

    def read(name):
        (tmp_path / "m").write_bytes(models[name])
        return read_arrays(tmp_path / "m")

    return read


def refusal(tmp_path, content):
    """Return what is said of a file that is refused."""
    (tmp_path / "m.bdet").write_bytes(content)
    with pytest.raises(ModelFormatError) as caught:
        Detector.load(tmp_path / "m.bdet")
    return str(caught.value)


def test_a_model_file_unpacks_to_a_bounded_size(models, tmp_path):
    content = with_zeros(models["linear"], "other.npy", 129 << 20)
    assert "exceed 134217728 bytes" in refusal(tmp_path, content)


def test_a_member_that_is_longer_than_it_says_is_not_read_whole(models, tmp_path):
    content = with_zeros(models["linear"], "other.npy", 129 << 20, stated=1000)
    assert "cannot be read as a model file" in refusal(tmp_path, content)


def test_the_header_is_bounded(parts, tmp_path, monkeypatch):
    header, arrays = parts("linear")
    monkeypatch.setattr(persistence, "MAX_HEADER_BYTES", 100)
    assert "its header exceeds 100 bytes" in refusal(tmp_path, packed(header, arrays))


def test_the_header_is_not_nested_deeply(parts, tmp_path):
    header, arrays = parts("linear")
    value = []
    for _ in range(70):
        value = [value]
    said = refusal(tmp_path, packed({**header, "provenance": {"a": value}}, arrays))
    assert "its header is nested more than 64 levels deep" in said


def test_what_is_said_of_a_file_is_short(parts, tmp_path):
    header, arrays = parts("refined-linear-l2")
    for entry in ({"format": "a" * 9999}, {"package_version": "a" * 9999, "format_version": 99}):
        assert len(refusal(tmp_path, packed({**header, **entry}, arrays))) < 600
    header["templates"][0]["refinement"][0]["loss"]["name"] = "a\n" * 9999
    said = refusal(tmp_path, packed(header, arrays))
    assert len(said) < 900
    assert "\n" not in said


def test_a_label_is_bounded(parts, tmp_path):
    """An array of the labels of all windows takes the room of the longest for each."""
    header, arrays = parts("linear")
    header["templates"][0]["label"] = "a" * 129
    assert "a str of 1 to 128 characters" in refusal(tmp_path, packed(header, arrays))


@pytest.mark.parametrize("empty", ["", 0, [], {}])
def test_a_location_that_is_empty_is_refused(empty, parts, tmp_path):
    header, arrays = parts("location")
    assert "cannot be read" in refusal(tmp_path, packed({**header, "location": empty}, arrays))


def test_a_model_too_large_to_be_loaded_is_not_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["bootstrap_det.detector"], "MAX_MODEL_BYTES", 100)
    with pytest.raises(ParameterError, match="more than the 50 that a file may hold"):
        linear().save(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_facts_of_odd_headers_are_printed(parts, tmp_path):
    header, arrays = parts("linear")
    header["provenance"] = {"a": [{"b": 1}, 2], "c": {}, "d": [{}]}
    (tmp_path / "m").write_bytes(packed(header, arrays))
    assert "[{'b': 1}, 2]" in as_text(model_facts(tmp_path / "m"))


def linear(bias=0.0, window=None, channels=None, **options):
    window, channels = window or Window((16, 16)), channels or HOG(cell_size=8, n_orientations=4)
    shape = (channels.n_window_channels, *channels.grid_shape(window.size))
    template = Template(window, LinearModel(np.zeros(shape), bias))
    return Detector([template], channels, **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Window((16, 16), (-1e308, 0, 1e308, 9)), r"within \+-65,536 px"),
        (lambda: Window((16, 16), (0, 0, 0.01, 0.01)), "sides of at least 0.5 px"),
        (lambda: LinearModel(np.full((2, 2, 2), 1e30), 0.0), r"sum to at most 1e\+30"),
        (lambda: LinearModel(np.zeros((1, 1, 1)), -1e31), r"sum to at most 1e\+30"),
        (lambda: LinearRegressor(np.full((4, 2), 1e31), np.zeros(4)), r"within \+-1e\+30"),
        (lambda: trees(unit=2.0**65), r"2\*\*-64 to 2\*\*64"),
        (lambda: trees(unit=2.0**-1000), r"2\*\*-64 to 2\*\*64"),
        (lambda: trees(value_scale=1e10), r"'value_scale' in \[1e-09, 1e\+09\]"),
        (lambda: prior(log_odds=np.zeros((2, 2000))), "n_sizes, n_rows.*, 2 to 1024"),
        (lambda: prior(log_odds=np.full((2, 2), 1e7)), r"within \+-1e\+06"),
        (lambda: prior(sizes=(1e300, math.nextafter(1e300, 2e300))), "two shares"),
        (lambda: prior(sizes=(0.5, math.nextafter(0.5, 1))), "two shares"),
        (lambda: ClassView(Window((16, 513)), HOG()), r"pair of ints in \[1, 512\]"),
        (lambda: ClassModel(("a" * 200,), np.zeros((1, 1)), np.zeros(1)), "1 to 128 characters"),
    ],
)
def test_parameters_are_bounded(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


def trees(**changes):
    parts = {"unit": 1.0, "window_shape": (1, 2, 2), **changes}
    return TreeModel(np.zeros((1, 1)), np.zeros((1, 1)), np.zeros((1, 2)), **parts)


def prior(log_odds=None, sizes=(0.1, 0.9)):
    return LocationPrior(np.zeros((2, 2)) if log_odds is None else log_odds, sizes, 0.0, 0.0, 1.0)


def test_stages_that_ask_for_other_inputs_are_refused():
    """A later stage of trees would read beyond the row of inputs: compiled code does not look."""
    nodes, leaves = np.zeros((1, 1)), np.zeros((1, 2, 4))
    first, second = (
        Stage(TreeRegressor(nodes + n - 1, nodes, leaves, np.zeros(4), n), make_loss("l2"))
        for n in (20, 1_000_000)
    )
    with pytest.raises(ParameterError, match=r"need the same inputs.*Got 20, 1000000"):
        Refinement((first, second))


def test_a_small_picture_has_no_level_of_gigabytes():
    detector = linear(
        channels=HOG(cell_size=2, block_size=8, n_orientations=64),
        pyramid=Pyramid(padding=1024, scales_per_octave=64),
    )
    with pytest.raises(ParameterError, match=r"would take [\d,]+ bytes with its 4096 channels"):
        detector.detect(scene())


@pytest.mark.parametrize(
    "options",
    [
        {"pyramid": Pyramid(padding=1024, scales_per_octave=64)},
        {"window": Window((512, 512)), "pyramid": Pyramid(min_object_size=20.0)},
        {"window": Window((16, 16), (0, 0, 900, 900)), "pyramid": Pyramid(min_object_size=16.0)},
    ],
)
def test_a_scan_of_a_small_picture_does_not_take_minutes(options):
    detector = linear(channels=HOG(cell_size=2, n_orientations=8), **options)
    with pytest.raises(ParameterError, match=r"would take [\d.,e+]+ (operations|bytes)"):
        detector.detect(scene())


@pytest.mark.parametrize("size", [(48, 64), (480, 640), (6000, 8000)])
def test_ordinary_scans_are_far_within_the_limit(size, monkeypatch):
    monkeypatch.setattr(scanning, "MAX_WORK", 0)
    monkeypatch.setattr(scanning, "MAX_WORK_PER_PIXEL", scanning.MAX_WORK_PER_PIXEL / 4)
    for channels in (HOG(cell_size=4), ACF()):
        window = Window((32, 32))
        shape = (channels.n_window_channels, *channels.grid_shape(window.size))
        model = LinearModel(np.zeros(shape), 0.0)
        if isinstance(channels, ACF):
            leaves = np.zeros((2048, 4))
            model = TreeModel(np.zeros((2048, 3)), np.zeros((2048, 3)), leaves, 1.0, shape)
        assert Detector([Template(window, model)] * 2, channels).plan(size)


@pytest.mark.parametrize("kind", suppression.SUPPRESSIONS)
def test_windows_that_all_count_are_too_many(kind, monkeypatch):
    detector = linear(bias=1.0, suppression=kind)
    n_windows = len(detector.scan(scene()).scores)
    monkeypatch.setattr(suppression, "MAX_WINDOWS", 100)
    monkeypatch.setattr(suppression, "MAX_COMPARISONS", 5 * n_windows)
    said = f"{n_windows if kind == 'nms' else 100} windows|{n_windows:,} windows of one label score"
    with pytest.warns(UserWarning, match=said):
        found = detector.detect(scene())
    assert 0 < len(found) <= 100


def test_windows_are_refined_in_parts(models, tmp_path, monkeypatch):
    (tmp_path / "m").write_bytes(models["refined-trees-kl"])
    detector = Detector.load(tmp_path / "m")
    whole = detector.scan(scene(), threshold=-1e9)
    assert whole.deviations is not None
    assert len(whole.scores) > 100
    monkeypatch.setattr(scanning, "_MAX_GATHERED", 7 * detector.templates[0].refinement.n_inputs)
    parts = detector.scan(scene(), threshold=-1e9)
    for name in ("boxes", "scores", "windows", "deviations"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-5)
