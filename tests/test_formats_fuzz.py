"""A thousand damaged files of each format: they load, or end in a DataError."""

import random
import re

import pytest
from format_files import CSV_ROWS, IMGLAB, LABEL_IMG, with_pictures, write

from bootstrap_det.data import read_annotations
from bootstrap_det.exceptions import DataError


@pytest.fixture
def folder(tmp_path):
    return with_pictures(tmp_path)


VALID = {
    "voc": ("Annotations/a.xml", LABEL_IMG),
    "yolo": ("labels/a.txt", "1 0.3 0.5 0.2 0.5\n0 0.25 0.5 0.5 0.25 0.75 0.5\n"),
    "yolo-yaml": ("data.yaml", "path: .\ntrain: images\nnames:\n  0: car\n  1: 'no'\n"),
    "csv": ("table.csv", f"file,x1,y1,x2,y2,label,ignore\n{CSV_ROWS}"),
    "imglab": ("faces.xml", IMGLAB),
    "opencv": ("info.dat", "images/a.jpg 2 1 2 10 20 5 5 9 9\nimages/b.jpg 1 1 2 3 4\n"),
    "opencv-background": ("bg.txt", "images/a.jpg\nimages/b.jpg\n"),
}
TOKENS = [
    b"nan", b"inf", b"-1", b"1e999", b"9" * 400, b"", b"\xff\xfe", b"\x00", b"\xc3", b"1_0", b"../",
    b"/etc/passwd", b"&x;", b"<!DOCTYPE a>", b"&a [*a]", b'"', b"\n", b"\xed\xa0\x80", b"x" * 300,
    b"\xd9\xa3", b"{", b"'", b":", b"\r", b"C:\\", b"-0", b"!!python/object:os.system",
]  # fmt: skip


def mutated(content, rng):
    """Return the bytes with one to three changes: a byte, a cut, a token, a piece repeated."""
    for _ in range(rng.randint(1, 3)):
        kind = rng.randrange(5)
        at = rng.randrange(len(content) + 1)
        if kind == 0 and at < len(content):
            content = content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :]
        elif kind == 1:
            content = content[:at] if rng.random() < 0.3 else content[:at] + content[at + 5 :]
        elif kind == 2:
            content = content[:at] + content[at - 9 : at] * 3 + content[at:]
        else:
            tokens = list(re.finditer(rb"[\w./-]+", content))
            if tokens:
                token = rng.choice(tokens)
                new = rng.choice(TOKENS)
                content = content[: token.start()] + new + content[token.end() :]
    return content


@pytest.mark.parametrize("case", VALID)
def test_mutated_files_load_or_raise_data_error(folder, case):
    where, text = VALID[case]
    form = case.split("-")[0]
    if form == "yolo":
        write(folder / "data.yaml", "train: images\nnames: [car, bus]")
        write(folder / "labels/b.txt", "")
    path = write(folder / where, text)
    source = {"voc": folder, "yolo": folder / "data.yaml"}.get(form, path)
    rng = random.Random(case)
    outcomes = {True: 0, False: 0}
    for index in range(1000):
        path.write_bytes(mutated(text.encode(), rng))
        try:
            dataset = read_annotations(source, format=form, skip_bad=bool(index % 2))
        except DataError:
            outcomes[False] += 1
            continue
        dataset.digest()
        assert index % 2 or not dataset.skipped
        outcomes[True] += 1
    assert min(outcomes.values()) > 20
