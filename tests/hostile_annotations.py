"""Small annotation files of every format, in their folder, and hostile changes of them."""

import csv
import io
import json
import os
import re
import zipfile

import numpy as np
from format_files import CSV_ROWS, IMGLAB, LABEL_IMG, SIZE, add_picture, write
from hostile_models import npy_bytes, with_zeros
from mutations import ESCAPE, SCRIPT, blind, mutated_json

from bootstrap_det.data import Dataset, Picture, read_annotations, read_crops
from bootstrap_det.evaluation.results import read_results
from bootstrap_det.false_alarms import read_suspects

COCO = {
    "images": [
        {"id": 1, "file_name": "a.jpg", "width": 64, "height": 48},
        {"id": 2, "file_name": "inner/b.jpg"},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 20], "iscrowd": 0},
        {"id": 2, "image_id": 2, "category_id": 2, "bbox": [5.5, 5, 9, 9.25], "ignore": 1},
    ],
    "categories": [{"id": 1, "name": "cat", "supercategory": "animal"}, {"id": 2, "name": "dog"}],
}
RESULTS = [
    {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4.5], "score": 0.5},
    {"image_id": 2, "category_id": 2, "bbox": [0, 0, 9, 9], "score": -1.0},
]
SUSPECTS = (
    "number,image_id,file,x1,y1,x2,y2,score,label\n"
    "1,1,a.jpg,1,2,3,4,0.5,cat\n2,2,b.jpg,0,0,9,9,1,dog\n"
)
YAML = "path: .\ntrain: images\nval: part.txt\nnames:\n  0: car\n  1: 'no'\n"
SEEDS = {
    "coco": ("coco.json", json.dumps(COCO)),
    "voc": ("voc/Annotations/a.xml", LABEL_IMG),
    "yolo": ("labels/a.txt", "1 0.3 0.5 0.2 0.5\n0 0.25 0.5 0.5 0.25 0.75 0.5\n"),
    "yolo-yaml": ("data.yaml", YAML),
    "yolo-list": ("part.txt", "./images/a.jpg\nimages/inner/b.jpg\n"),
    "csv": ("table.csv", f"file,x1,y1,x2,y2,label,ignore\n{CSV_ROWS}"),
    "imglab": ("faces.xml", IMGLAB),
    "opencv": ("cv/info.dat", "images/a.jpg 2 1 2 10 20 5 5 9 9\nimages/b.jpg 1 1 2 3 4\n"),
    "opencv-background": ("bg.txt", "images/a.jpg\nimages/b.jpg\n"),
    "results": ("results.json", json.dumps(RESULTS)),
    "suspects": ("suspects.csv", SUSPECTS),
    "crops": ("crops.npz", b""),
}
TOKENS = [
    b"nan", b"inf", b"-1", b"1e999", b"1e308", b"9" * 400, b"9" * 5000, b"", b"\xff\xfe", b"\x00",
    b"\xc3", b"1_0", b"../", b"../../etc/passwd", b"/etc/passwd", b"images/link/../../x", b"&x;",
    b"<!DOCTYPE a>", b"&a [*a]", b'"', b"\n", b"\xed\xa0\x80", b"x" * 300, b"x" * 300_000,
    b"\xd9\xa3", b"{", b"'", b":", b"\r", b"C:\\", b"..\\..\\x", b"-0", b"1 " * 3000,
    b"!!python/object:os.system", b"<box " + b"a='' " * 9, b"<a>" * 3000, b"[" * 3000, b"&#0;",
    b"&#x110000;", b"<![CDATA[", ESCAPE.encode(), SCRIPT.encode(), b"images/pipe", b"images",
    b"link/../secret.jpg", b"link/secret.jpg",
]  # fmt: skip
DOCTYPES = (
    b'<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa">%s]><dataset>&z;</dataset>'
    % b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(25)),
    b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><dataset>&x;</dataset>',
)
ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "latin-1", "cp037", "utf-7", "utf-8-sig")


def make_folder(folder):
    """Write the pictures and a good file of every format; return their bytes by name.

    Beside the folder, and where a link in it leads to, are pictures that no name may reach.
    """
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", "inner/b.jpg"):
        add_picture(folder / "images" / name)
    for name in ("outside/secret.jpg", "secret.jpg"):
        add_picture(folder.parent / name)
    os.symlink(folder.parent / "outside", folder / "images" / "link")
    os.mkfifo(folder / "images" / "pipe")
    for inner in ("voc", "cv"):
        (folder / inner).mkdir()
        os.symlink(folder / "images", folder / inner / "images")
    stream = io.BytesIO()
    np.savez_compressed(stream, crops=np.zeros((3, 8, 8), np.uint8))
    found = {name: text.encode() if isinstance(text, str) else stream.getvalue()
             for name, (_, text) in SEEDS.items()}  # fmt: skip
    for name, content in found.items():
        write(folder / SEEDS[name][0], content)
    write(folder / "labels/inner/b.txt", "")
    write(folder / "classes.txt", "car\nno\n")
    return found


def read(folder, name, skip_bad):
    """Read the file of a name as its format; return what was read."""
    path = folder / SEEDS[name][0]
    if name == "results":
        return read_results(path, _dataset())
    if name == "suspects":
        return read_suspects(path)
    if name == "crops":
        return read_crops(path)
    form = name.split("-")[0]
    source = {"voc": folder / "voc", "yolo": folder / "data.yaml"}.get(form, path)
    source = path if name == "yolo-list" else source
    images = folder / "images" if form in ("voc", "coco") else None
    return read_annotations(source, images, format=form, skip_bad=skip_bad)


def _dataset():
    pixels = np.zeros(SIZE, np.uint8)
    pictures = tuple(Picture(i, f"{i}.jpg", pixels=pixels) for i in (1, 2))
    return Dataset("two", pictures, categories=("cat", "dog"))


def check(found, folder):
    """Assert what must hold of whatever was read: usable, and no file outside the folder."""
    if not isinstance(found, Dataset):
        return
    found.digest()
    for picture in found.pictures:
        if picture.path is not None:
            assert picture.path.is_relative_to(folder), picture.path
            assert ".." not in picture.path.parts, picture.path


def mutate_annotation(seeds, rng, *, large=True):
    """Return the name of a format, how it was changed, and the hostile bytes.

    What is ``large`` takes its time.
    """
    name = rng.choice(sorted(seeds))
    if name == "crops":
        return name, *_crops(seeds[name], rng, 4 if large else 3)
    kind = rng.choice(_KINDS if large else _KINDS[: -len(_LARGE)])
    return name, kind.__name__[1:], kind(seeds[name], name, rng, seeds)


def _blind(content, name, rng, seeds):
    return blind(content, rng, seeds[rng.choice(sorted(seeds))])


def _tokens(content, name, rng, seeds):
    """Return bytes with one to three of their words made other ones."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        words = list(re.finditer(rb"[\w./-]+", content))
        if words:
            word = rng.choice(words)
            content = content[: word.start()] + rng.choice(TOKENS) + content[word.end() :]
    return content


def _values(content, name, rng, seeds):
    """Return the file with odd values where its format has values."""
    if name in ("coco", "results"):
        return json.dumps(mutated_json(json.loads(content), rng)).encode()
    if name in ("csv", "suspects"):
        return _cells(content, rng)
    return _tokens(content, name, rng, seeds)


def _cells(content, rng):
    rows = list(csv.reader(io.StringIO(content.decode())))
    row = rng.choice(rows)
    row[rng.randrange(len(row))] = rng.choice(TOKENS).decode("latin-1")
    stream = io.StringIO()
    csv.writer(stream).writerows(rows)
    return stream.getvalue().encode()


def _repeated(content, name, rng, seeds):
    """Return the file with one line, or one piece, a thousand times."""
    lines = content.split(b"\n")
    at = rng.randrange(len(lines))
    return b"\n".join([*lines[:at], *[lines[at]] * rng.choice((2, 1000)), *lines[at:]])


def _encoded(content, name, rng, seeds):
    encoding = rng.choice(ENCODINGS)
    stated = content.replace(b"ISO-8859-1", encoding.encode())
    return rng.choice((content, stated)).decode("latin-1").encode(encoding, "replace")


def _giant(content, name, rng, seeds):
    """Return a file of megabytes that is dense in whatever costs its reader most."""
    size = rng.choice((1 << 14, 1 << 18, 1 << 20))
    dense = {
        "coco": (b'{"images":[' + b"[]," * 9, b"[", b'{"a":', b'{"images":' + b"9"),
        "voc": (b"<annotation>" + b"<a/>" * 9, b"<a>", b"<annotation a0=''"),
        "imglab": (b"<dataset><images>" + b"<a/>" * 9, b"<a>", b"<dataset><images><image file='"),
        "yolo-yaml": (b"names: [", b"- ", b"{a: ", b"names: {0: car}\n", b"? ", b"!!int ", b"'"),
        "opencv": (b"9 " * 9, b"a.jpg 1 1 2 3 4\n", b"images/a.jpg "),
    }.get(name, (b"a,", b'"', b"\n", b"1 ", b"images/a.jpg\n"))
    piece = rng.choice(dense)
    if name not in ("coco", "voc", "imglab", "yolo-yaml"):  # each line looks for its picture
        size = min(size, 1 << 17)
    if name == "opencv" and rng.random() < 0.5:  # every word may be the number of what follows
        n_words = size // 8
        return b"a " + b" ".join(b"%d" % ((n_words - i) // 4) for i in range(n_words))
    return piece * (size // len(piece))


def _doctype(content, name, rng, seeds):
    return rng.choice(DOCTYPES).decode().encode(rng.choice(("utf-8", "utf-16", "latin-1")))


def _long_label(content, name, rng, seeds):
    """Return a file of many boxes, one of which has a label of a megabyte."""
    label = "a" * (1 << 20)
    if name == "coco":
        document = json.loads(content)
        document["categories"][0]["name"] = label
        one = document["annotations"][0]
        document["annotations"] = [{**one, "id": index} for index in range(1, 3000)]
        return json.dumps(document).encode()
    row = b"images/a.jpg,1,2,11,22,cat,0\n"
    if name == "csv":
        return content.split(b"\n")[0] + b"\n" + row * 3000 + row.replace(b"cat", label.encode())
    return content.replace(b"dog", label.encode()).replace(b"car", label.encode())


def _crops(content, rng, n_kinds):
    """Return how an archive of crops was changed, and its bytes."""
    kind = rng.randrange(n_kinds)
    if kind == 0:
        return "blind", blind(content, rng, content)
    stream = io.BytesIO()
    if kind == 1:
        with zipfile.ZipFile(stream, "w", rng.choice((0, 8, 12, 14))) as archive:
            array = rng.choice((np.zeros((2, 8, 8), np.uint8), np.zeros((2, 8, 8, 3), np.uint8),
                                np.zeros((0, 8, 8), np.uint8), np.zeros(3),
                                np.zeros((1, 1, 1), "i8")))  # fmt: skip
            archive.writestr(rng.choice(("crops.npy", "../crops.npy", "x")), npy_bytes(array))
        return "members", stream.getvalue()
    shape = rng.choice(
        ((10**6, 8, 8), (2**40, 2**40, 4), (-1, 8, 8), (3, 8, 8, 4), (1 << 30, 1, 1))
    )
    head = npy_bytes(np.zeros((3, 8, 8), np.uint8)).replace(b"(3, 8, 8), ", f"{shape}, ".encode())
    if kind == 2:
        with zipfile.ZipFile(stream, "w", 8) as archive:
            archive.writestr("crops.npy", head)
        return "shape", stream.getvalue()
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    return "bomb", with_zeros(empty.getvalue(), "crops.npy", 1 << 30, shape=(1024, 1024, 1024))


_LARGE = (_repeated, _repeated, _giant, _long_label)
_KINDS = (
    *[_blind] * 5, *[_tokens] * 6, *[_values] * 6, _encoded, _doctype, *_LARGE,
)  # fmt: skip
