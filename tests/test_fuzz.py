"""Hostile files and arguments, some hundred of each: every one is used or refused in a sentence.

``benchmarks/fuzz.py`` runs ten thousand of each kind with the same changes, under limits of
memory and time.
"""

import warnings

import hostile_annotations
import hostile_models
import hostile_pictures
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import ESCAPE, SCRIPT

from bootstrap_det.cli import main
from bootstrap_det.detector import Detector
from bootstrap_det.exceptions import BootstrapDetError, DataError, ModelFormatError
from bootstrap_det.images import image_size, read_image

N_CASES = 300
MOST_OF_A_MESSAGE = 2000  # characters


def outcome(use, documented):
    """Return whether a hostile file was of use; only the documented errors may come out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of overflow in hostile numbers, for example
        try:
            use()
            return True
        except documented as error:
            said = str(error)
    assert 0 < len(said) < MOST_OF_A_MESSAGE
    assert "\n" not in said
    return False


@pytest.mark.filterwarnings("ignore")
def test_hostile_models_are_refused_or_scan_a_picture(tmp_path):
    seeds, picture = hostile_models.make_models(tmp_path), hostile_models.scene()
    path, outcomes = tmp_path / "case.bdet", []

    def scan():
        detector = Detector.load(path)
        if hostile_models.is_quick(detector, picture):
            hostile_models.check(detector.detect(picture))

    for index in range(N_CASES):
        rng = hostile_models.seeded("test", index)
        _, content = hostile_models.mutate_model(seeds, rng, tmp_path / "scratch", bombs=False)
        path.write_bytes(content)
        outcomes.append(outcome(scan, BootstrapDetError))
    assert min(outcomes.count(True), outcomes.count(False)) > N_CASES // 20


def test_good_models_load(tmp_path):
    seeds = hostile_models.make_models(tmp_path)
    for content in seeds.values():
        (tmp_path / "case").write_bytes(content)
        assert outcome(lambda: Detector.load(tmp_path / "case"), ModelFormatError)


@pytest.mark.filterwarnings("ignore")
def test_hostile_annotations_are_refused_or_stay_inside_their_folder(tmp_path):
    folder = tmp_path / "set"
    seeds, outcomes = hostile_annotations.make_folder(folder), []
    for index in range(2 * N_CASES):
        rng = hostile_models.seeded("test", index)
        name, _, content = hostile_annotations.mutate_annotation(seeds, rng, large=False)
        path = folder / hostile_annotations.SEEDS[name][0]
        path.write_bytes(content)

        def read(name=name, skip_bad=bool(index % 2)):
            found = hostile_annotations.read(folder, name, skip_bad)
            hostile_annotations.check(found, folder)

        outcomes.append(outcome(read, DataError))
        path.write_bytes(seeds[name])
    assert min(outcomes.count(True), outcomes.count(False)) > N_CASES // 10


@pytest.mark.filterwarnings("ignore")
def test_hostile_pictures_are_refused_or_have_the_size_that_they_state(tmp_path):
    seeds, path, outcomes = hostile_pictures.make_pictures(), tmp_path / "case", []

    def read():
        size = image_size(path)
        assert read_image(path, max_pixels=hostile_pictures.MAX_PIXELS).shape[:2] == size

    for index in range(N_CASES):
        rng = hostile_models.seeded("test", index)
        path.write_bytes(hostile_pictures.mutate_picture(seeds, rng)[2])
        outcomes.append(outcome(read, DataError))
    assert min(outcomes.count(True), outcomes.count(False)) > N_CASES // 10


def test_good_pictures_of_every_format_have_the_size_that_they_state(tmp_path):
    for name, content in hostile_pictures.make_pictures().items():
        (tmp_path / "case").write_bytes(content)
        height, width = hostile_pictures.SIZE
        sideways = name in hostile_pictures.SIDEWAYS
        wanted = (width, height) if sideways else (height, width)
        assert image_size(tmp_path / "case") == wanted, name
        assert read_image(tmp_path / "case").shape[:2] == wanted, name


COMMANDS = sorted(main.commands)
NEVER = ("compare", "download", "synth")  # right arguments keep them busy for minutes


def flags_of(command):
    """Return the options of a command and of those below it."""
    below = getattr(command, "commands", {})
    return [name for each in (command, *below.values()) for p in each.params for name in p.opts]


FLAGS = {name: flags_of(main.commands[name]) for name in COMMANDS}
WORDS = st.sampled_from([
    "", "-", "--", "0", "-1", "1e999", "nan", "9" * 99, "24x24", "0x0", "x", "missing", ".", "..",
    "/etc/passwd", "/dev/null", "a.json", "data.yaml:val", "model.bdet", "\udcff", "ä",
    ESCAPE, SCRIPT, "[/red]", "coco", "http://127.0.0.1:1/x", "box=1", "a=b=c", "1,2,3,4", "{}",
    "info", "check",
])  # fmt: skip

# No system passes a null character in an argument.
TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=6)


@st.composite
def arguments(draw):
    """Return a command with options of its own and values from anywhere."""
    name = draw(st.sampled_from([each for each in COMMANDS if each not in NEVER]))
    flags = st.sampled_from([*FLAGS[name], "--no-such-option"])
    own = draw(st.lists(st.one_of(flags, WORDS, TEXTS), max_size=6))
    below = sorted(getattr(main.commands[name], "commands", {}))
    first = [draw(st.sampled_from([*below, "none"]))] if below else []
    return [name, *first, *own]


@settings(
    max_examples=120,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(arguments())
def test_any_arguments_end_in_an_exit_code_and_no_traceback(tmp_path, monkeypatch, given_arguments):
    monkeypatch.chdir(tmp_path)
    for name in ("a.json", "model.bdet", "data.yaml"):
        (tmp_path / name).write_text("{}")
    result = CliRunner().invoke(main, given_arguments)
    unexpected = result.exception if not isinstance(result.exception, SystemExit) else None
    assert unexpected is None, f"{given_arguments}: {unexpected!r}"
    assert result.exit_code in (0, 1, 2), given_arguments
