"""The documentation: its code runs, its commands exist, its links lead somewhere."""

import ast
import html
import importlib.util
import re
import shlex
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import click
import conftest
import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import bootstrap_det
from bootstrap_det.cli import main

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
PROGRAM = "bootstrap-det"
SCRIPT = "run_bootstrap.py"  # train by another name

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_REASON = re.compile(r"<!-- not run: ([^>]+?) -->\s*(?:<!-- [\w-]+ -->\s*)?\Z")
_OPTION = re.compile(r"(?<![\w-])--[A-Za-z][\w-]*")
# Of programs that are not ours.
_FOREIGN = {"--copies", "--nthreads", "--nworkers", "--port"}  # of other programs


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    reason: str  # why it is not run; empty when it is

    @property
    def where(self):
        return f"{self.page.name}:{self.line}"


def blocks_of(page):
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(text):
        mark = _REASON.search(text[: fence.start()])
        reason = " ".join(mark[1].split()) if mark else ""
        if fence[1] == "bash" and fence[2].startswith("python benchmarks/"):
            reason = "a benchmark, whose page is written by itself"
        line = text.count("\n", 0, fence.start()) + 1
        found.append(Block(page, line, fence[1], fence[2], reason))
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def commands_of(text):
    """Return the arguments of each call of the program in lines of a shell, and in a pipe."""
    lines = text.replace("\\\n", "").splitlines()
    commands = []
    for line in lines:
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&")
        lexer.whitespace_split = True
        words, part = [], []
        for token in [*lexer, ";"]:
            if set(token) <= set("|;&"):
                words.append(part)
                part = []
            else:
                part.append(token)
        for part in words:
            if PROGRAM in part[:1]:
                commands.append(part[1:])
            elif SCRIPT in part[:2]:
                commands.append(["train", *part[part.index(SCRIPT) + 1 :]])
    return commands


def parse(arguments):
    """Raise a usage error unless the program would take the arguments."""
    context = click.Context(main, info_name=PROGRAM)
    group, rest = main, list(arguments)
    while isinstance(group, click.Group):
        if not rest or rest[0].startswith("-"):
            return
        command = group.get_command(context, rest[0])
        if command is None:
            raise click.UsageError(f"no verb {rest[0]!r}")
        group, rest = command, rest[1:]
    group.make_context(group.name, rest, parent=context)


def leaves(group, before=()):
    """Yield name and command of every verb."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*before, name))
        else:
            yield " ".join((*before, name)), command


VERBS = dict(leaves(main))


# What the pages are about: files by the names that they use.


def scenes(folder, names, rng, n_objects=3):
    """Write pictures of crosses; return their data set."""
    from bootstrap_det.data import Dataset, Picture
    from bootstrap_det.images import write_image

    folder.mkdir()
    pictures = []
    for index, name in enumerate(names):
        image, corners = conftest.noise(rng, (100, 130)), []
        for x in [6, 50, 94][:n_objects]:
            x, y = x + int(rng.integers(0, 8)), int(rng.integers(0, 70))
            conftest.draw_cross(image, x, y)
            corners.append([x, y, x + conftest.SIDE, y + conftest.SIDE])
        write_image(folder / name, np.stack([image] * 3, axis=-1))
        flags = [False] * len(corners)
        labels = ["cross"] * len(corners)
        pictures.append(Picture(index, name, corners, labels, flags, flags, path=folder / name))
    return Dataset("crosses", tuple(pictures))


def write_clip(path, n_frames=6):
    rng = np.random.default_rng(3)
    frames = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10.0, (96, 80))
    for _ in range(n_frames):
        image = conftest.noise(rng)
        conftest.draw_cross(image, 30, 30)
        frames.write(np.stack([image] * 3, axis=-1))
    frames.release()


@pytest.fixture(scope="session")
def workshop(tmp_path_factory, toy):
    """Return a folder with the files that the pages speak of."""
    from bootstrap_det.data import write_annotations, write_coco
    from bootstrap_det.images import write_image

    folder, rng = tmp_path_factory.mktemp("docs"), np.random.default_rng(8)
    names = [f"{index:02}.jpg" for index in range(20)]
    train = scenes(folder / "photos", names, rng)
    test = scenes(folder / "test", names[:4], rng)
    scenes(folder / "background", names[:4], rng, n_objects=0)
    write_coco(train, folder / "train.json")
    write_coco(test, folder / "test.json")
    for name in ("annotations.json", "images"):  # the same, by the names of the README
        source = folder / {"annotations.json": "train.json", "images": "photos"}[name]
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    write_annotations(test, folder / "VOC2007", format="voc", copy_images=True)
    shutil.copytree(folder / "VOC2007", folder / "mine")
    for xml in (folder / "mine/Annotations").glob("*.xml"):
        xml.write_text(xml.read_text("utf-8").replace("cross<", "prohibitory<"), "utf-8")
    (folder / "cars").mkdir()
    write_annotations(test, folder / "cars/annotations.json", format="coco", copy_images=True)
    toy.detector.save(folder / "model.bdet")
    of_signs = [replace(template, label="prohibitory") for template in toy.detector.templates]
    for run, detector in (
        ("faces", toy.detector),
        ("signs", toy.detector.with_templates(of_signs)),
        ("mine", toy.detector.with_templates(of_signs)),
    ):
        (folder / "runs" / run).mkdir(parents=True)
        detector.save(folder / "runs" / run / "model.bdet")
    shutil.copy(folder / "photos/00.jpg", folder / "photo.jpg")
    large = np.tile(bootstrap_det.read_image(folder / "photo.jpg"), (6, 5))
    for name in ("large.jpg", "aerial.jpg"):
        write_image(folder / name, large)
    write_clip(folder / "clip.mp4")
    signs = bootstrap_det.synth_signs(8, seed=0, labels="class")
    write_annotations(signs, folder / "signs/annotations.json", format="coco", copy_images=True)
    return folder


@pytest.fixture
def at_work(workshop, tmp_path, monkeypatch):
    """Work in a copy of the folder."""
    folder = tmp_path / "work"
    shutil.copytree(workshop, folder)
    monkeypatch.chdir(folder)
    return folder


by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@by_page
def test_code_runs(page, at_work, capsys):
    """Blocks of Python and of the shell, in their order; those of Python share their names."""
    names = {"__name__": "__main__"}
    for block in blocks_of(page):
        if block.reason or block.language not in ("python", "bash"):
            continue
        if block.language == "python":
            exec(compile(block.text, block.where, "exec"), names)
            continue
        commands = commands_of(block.text)
        lines = block.text.replace("\\\n", "").strip().splitlines()
        assert len(commands) == len(lines), f"{block.where}: more than our program; say 'not run'"
        for arguments in commands:
            outcome = CliRunner().invoke(main, arguments)
            assert outcome.exit_code == 0, f"{block.where}: {arguments}\n{outcome.output}"


@by_page
def test_commands_are_understood(page):
    text = page.read_text(encoding="utf-8")
    shell = [block for block in blocks_of(page) if block.language == "bash"]
    # Some pages have indented blocks, too.
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = outside.replace("\\\n", "").splitlines()
    indented = [line for line in lines if line.startswith("    ") and PROGRAM in line]
    for source, where in [(b.text, b.where) for b in shell] + [(t, page.name) for t in indented]:
        for arguments in commands_of(source):
            try:
                parse(arguments)
            except click.exceptions.Exit:
                pass
            except click.ClickException as error:
                pytest.fail(f"{where}: {arguments}: {error.format_message()}")


def test_what_is_not_run_has_a_reason():
    """List the blocks that are parsed only; ``pytest -rP`` shows the list."""
    skipped = [block for block in BLOCKS if block.reason]
    ran = [b for b in BLOCKS if not b.reason and b.language in ("python", "bash")]
    listed = [f"{block.where} is not run: {block.reason}" for block in skipped]
    listed.append(f"{len(ran)} blocks run, {len(skipped)} are not")
    sys.stdout.write("\n".join(listed) + "\n")
    assert all(len(block.reason) > 10 for block in skipped)
    assert not [b.where for b in skipped if b.language == "python"]
    assert len(ran) >= 40


@by_page
def test_python_blocks_are_complete(page):
    for block in blocks_of(page):
        if block.language == "python":
            ast.parse(block.text)


@by_page
def test_options_in_the_text_exist(page):
    known = {flag for command in VERBS.values() for p in command.params
             for flag in (*p.opts, *p.secondary_opts)}  # fmt: skip
    folders = (ROOT / "benchmarks", ROOT / "examples")
    programs = [*(p for f in folders for p in f.glob("*.py")), ROOT / ".ci/run"]
    for program in programs:
        known |= set(_OPTION.findall(program.read_text(encoding="utf-8")))
    text = page.read_text(encoding="utf-8")
    code = re.findall(r"`+[^`]+`+", re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL))
    used = {flag for piece in code for flag in _OPTION.findall(piece)}
    assert used - known - {"--help", "--version"} - _FOREIGN == set()


@by_page
def test_verbs_in_the_text_exist(page):
    text = page.read_text(encoding="utf-8")
    for named in re.findall(rf"`{PROGRAM} ((?:dataset )?[a-z]+)", text):
        assert named == "dataset" or named in VERBS, f"{page.name}: {named}"


def slug(title):
    """Return the anchor of a heading, as the site makes it."""
    plain = html.unescape(re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", title))
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


def anchors(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {slug(title) for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


@by_page
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = page.parent / name if name else page
        assert there.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(there), f"{page.name}: {target}"


def test_every_page_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = re.findall(r": ([\w-]+\.md)$", text, re.MULTILINE)
    assert sorted(named) == sorted(page.name for page in DOCS.glob("*.md"))


def test_every_public_name_has_its_entry():
    entries = set(re.findall(r"^::: (\S+)$", (DOCS / "api.md").read_text("utf-8"), re.MULTILINE))
    assert {f"bootstrap_det.{name}" for name in bootstrap_det.__all__} <= entries


def test_every_strategy_is_listed():
    from bootstrap_det.imbalance import available

    text = (DOCS / "strategies.md").read_text(encoding="utf-8")
    listed = {re.match(r"[\w-]+", name)[0] for name in re.findall(r"^\| `([^`]+)`", text, re.M)}
    assert listed == set(available())


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.replace(" ", "-"))
def test_help_has_an_example_that_works(verb):
    outcome = CliRunner().invoke(main, [*verb.split(), "--help"])
    assert outcome.exit_code == 0
    assert "Example" in outcome.output
    examples = commands_of(VERBS[verb].epilog.partition("\b\n")[2])
    assert examples
    for arguments in examples:
        assert arguments[: len(verb.split())] == verb.split()
        parse(arguments)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.replace(" ", "-"))
def test_every_option_says_what_it_does(verb):
    options = [each for each in VERBS[verb].params if isinstance(each, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_the_page_of_the_command_line_is_current():
    spec = importlib.util.spec_from_file_location("write_cli", DOCS / "write_cli.py")
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    same = writer.PAGE.read_text(encoding="utf-8") == writer.page() + "\n"
    assert same, "docs/cli.md is not current: run python docs/write_cli.py"
