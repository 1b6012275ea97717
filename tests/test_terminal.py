"""What data say is printed as text: no escape sequence of theirs, and no markup."""

import io
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from format_files import add_picture
from mutations import ESCAPE
from rich.table import Table

from bootstrap_det import _cli_common, _console, _terminal
from bootstrap_det._terminal import make_console, printable
from bootstrap_det.cli import main
from bootstrap_det.exceptions import DataError

HOSTILE = f"a{ESCAPE}[/red][bold]:smile:"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ordinary text\n\twith ä", "ordinary text\n\twith ä"),
        ("\x1b[31m", r"\u001b[31m"),
        ("a\rb\x07\x7f\x9b", r"a\u000db\u0007\u007f\u009b"),
        ("gpj\u202eexe", r"gpj\u202eexe"),
        ("file\udcff", r"file\udcff"),
    ],
)
def test_what_steers_a_terminal_is_escaped(text, shown):
    assert printable(text) == shown


def test_json_stays_json():
    facts = {"a\x7f\x1b\u202e": "\r\x9b"}
    assert json.loads(printable(json.dumps(facts))) == facts


def test_echo_escapes(capsys):
    _terminal.echo(HOSTILE)
    _terminal.echo(HOSTILE, err=True)
    for stream in capsys.readouterr():
        assert "\x1b" not in stream
        assert "\\u001b]0;evil" in stream


def test_a_console_prints_texts_as_they_are():
    console = make_console(stderr=False)
    console.file = io.StringIO()
    table = Table(title=None, box=None)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    for each in (HOSTILE, table):
        console.print(each)
    shown = console.file.getvalue()
    assert "\x1b" not in shown
    assert shown.count("[/red][bold]:smile:") == 3


def test_progress_shows_names_as_they_are():
    display = _console.DetectionDisplay()
    with display.progress:
        display.on_progress(HOSTILE, 1, 2)
        assert "\x1b" not in display.progress.tasks[0].description


def test_errors_are_escaped():
    with pytest.raises(_cli_common.Failure) as caught, _cli_common.one_sentence():
        raise DataError(f"{HOSTILE}: no such file.")
    assert "\x1b" not in caught.value.format_message()


def hostile_set(folder):
    """Write a COCO set whose labels and file names steer a terminal."""
    name = f"x{ESCAPE}.jpg"
    add_picture(folder / "images" / name)
    document = {
        "images": [{"id": 1, "file_name": name, "width": 64, "height": 48}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 20]},
            {"id": 2, "image_id": 1, "category_id": 1, "bbox": [1, 2, 1000, 20]},
            {"id": 3, "image_id": 1, "category_id": 1, "bbox": [1, 2, -5, 20]},
        ],
        "categories": [{"id": 1, "name": HOSTILE}],
    }
    (folder / "a.json").write_text(json.dumps(document))
    return folder / "a.json"


@pytest.mark.parametrize("verb", ["info", "check", "merge", "split", "convert"])
def test_verbs_on_hostile_annotations_print_no_escape(verb, tmp_path):
    path = hostile_set(tmp_path)
    more = {"convert": ["out", "--to", "voc"]}.get(verb, [])
    for skip in ([], ["--skip-bad"]):
        result = CliRunner().invoke(main, ["dataset", verb, str(path), *more, *skip])
        assert isinstance(result.exception, SystemExit | None), result.exception
        assert not re.search("[\x00-\x08\x0b-\x1f]", result.output)


def test_no_command_prints_past_the_one_place():
    """What is printed elsewhere would not be escaped; lists of results are, line by line."""
    folder = Path(_terminal.__file__).parent
    for path in [*folder.glob("cli*.py"), *folder.glob("_c*.py")]:
        text = path.read_text(encoding="utf-8")
        allowed = {"cli_completion.py": 1}.get(path.name, 0)  # prints a script of its own
        assert len(re.findall(r"(?<!Not )\bclick\.echo\(", text)) == allowed, path.name
        assert path.name == "_console.py" or "rich.console" not in text, path.name
