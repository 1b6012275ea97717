"""Tar shards: what is read and when, and what is refused."""

import io
import os
import pickle
import random
import tarfile
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from shard_files import BOX, HEIGHT, PNG, WIDTH, encoded, info, pixels, sample, write_tar
from test_formats_fuzz import mutated

from bootstrap_det.data import Picture, read_annotations, read_negatives
from bootstrap_det.data.check import check_dataset
from bootstrap_det.data.formats import recognise
from bootstrap_det.data.tars import MAX_EXTENDED, Archive, OddMember
from bootstrap_det.exceptions import DataError, ParameterError

QUICK = settings(derandomize=True, deadline=None, max_examples=15)


def sole(path, **options):
    (picture,) = read_annotations(path, **options).pictures
    return picture


# What is read.


def test_samples_are_pictures_with_their_boxes(tmp_path):
    more = {"bbox": [3, 4, 20.5, 6], "category_name": "dog", "ignore": 1, "iscrowd": 1}
    path = write_tar(
        tmp_path / "train-000000.tar",
        [*sample("x/000017", BOX, more), ("x/000018.JPG", encoded(pixels(1), "JPEG"))],
    )
    data = read_annotations(path)
    first, second = data.pictures
    assert data.name == "train-000000"
    assert (first.name, second.name) == (
        "train-000000/x/000017.png",
        "train-000000/x/000018.JPG",
    )
    assert first.boxes.tolist() == [[1, 2, 11, 14], [3, 4, 23.5, 10]]
    assert first.labels.tolist() == ["cat", "dog"]
    assert first.ignore.tolist() == first.crowd.tolist() == [False, True]
    assert (first.size, second.size) == ((HEIGHT, WIDTH), None)
    assert second.measure() == (HEIGHT, WIDTH)
    assert len(second.boxes) == 0
    np.testing.assert_array_equal(first.load(), pixels())
    assert str(first.member) == f"{path}!x/000017.png"


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_of_all_kinds_of_tar(tmp_path, form):
    long = "f" * 90 + "/" + "g" * 120
    keys = ["plain", "./dotted", "\u00e4"] if form == tarfile.USTAR_FORMAT else [long, "\u00e4"]
    path = write_tar(tmp_path / "s.tar", [m for key in keys for m in sample(key, BOX)], form)
    data = read_annotations(path)
    wanted = [f"s/{key.removeprefix('./')}.png" for key in keys]
    assert [p.name for p in data.pictures] == wanted
    assert [p.load().tobytes() for p in data.pictures] == [pixels().tobytes()] * len(keys)


def test_the_size_comes_from_the_header_where_json_has_none(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    turned = encoded(pixels(), "JPEG", exif=exif)
    path = write_tar(tmp_path / "s.tar", [("a.jpg", turned), ("a.json", {"annotations": [BOX]})])
    assert sole(path).size == (WIDTH, HEIGHT)
    assert sole(path).load().shape == (WIDTH, HEIGHT)


def test_names_go_by_file_name_else_by_shard(tmp_path):
    members = [*sample("a", file_name="sub/b.png"), ("c.png", PNG)]
    data = read_annotations(write_tar(tmp_path / "s.tar", members))
    assert [p.name for p in data.pictures] == ["sub/b.png", "s/c.png"]


def test_groups_come_from_supercategories(tmp_path):
    stop = {**BOX, "category": "stop", "supercategory": "prohibitory"}
    path = write_tar(tmp_path / "s.tar", sample("a", stop, {**BOX, "supercategory": "cat"}))
    data = read_annotations(path)
    assert data.groups == {"stop": "prohibitory"}
    other = {**stop, "supercategory": "danger"}
    path = write_tar(tmp_path / "t.tar", sample("a", stop, other))
    with pytest.raises(DataError, match=r"'stop' in the supercategory 'danger', which was 'prohi"):
        read_annotations(path)


def test_other_members_are_counted_and_foreign_json_means_no_objects(tmp_path):
    members = [
        ("a.jpg", encoded(pixels(), "JPEG")), ("a.json", {"caption": "a cat", "width": 1}),
        ("a.txt", b"a cat"), ("a.seg.png", PNG), ("._a.jpg", b"mac"), ("b.cls", b"1"),
    ]  # fmt: skip
    data = read_annotations(write_tar(tmp_path / "s.tar", members))
    assert [p.size for p in data.pictures] == [None]
    foreign, others = data.notes
    assert "1 sample has JSON without 'annotations': their pictures count as" in foreign
    assert "4 members were passed over, being neither pictures nor JSON" in others
    assert all(ending in others for ending in ("'.txt'", "'.seg.png'", "'.cls'"))


@pytest.mark.parametrize("color", ["grey", "rgb"])
@pytest.mark.parametrize("kind", ["grey", "rgb", "rgba", "16 bits", "palette", "jpeg", "tiff"])
def test_pixels_are_those_of_the_file_in_a_folder(tmp_path, kind, color):
    form = {"jpeg": "JPEG", "tiff": "TIFF"}.get(kind, "PNG")
    channels = {"grey": (), "rgba": (4,), "16 bits": ()}.get(kind, (3,))
    array = pixels(3, channels)
    if kind == "16 bits":
        array = array.astype(np.uint16) * 201
    content = encoded(array, form)
    if kind == "palette":
        stream = io.BytesIO()
        Image.fromarray(array).quantize(31).save(stream, "PNG")
        content = stream.getvalue()
    ending = {"JPEG": "jpg", "TIFF": "tif"}.get(form, "png")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / f"a.{ending}").write_bytes(content)
    write_tar(tmp_path / "s.tar", [(f"a.{ending}", content)])
    (loose,) = read_negatives(tmp_path / "folder").pictures
    (packed,) = read_negatives(tmp_path / "s.tar").pictures
    np.testing.assert_array_equal(packed.load(color), loose.load(color))
    assert packed.measure() == loose.size
    assert packed.encoded() == loose.encoded() == content


def test_the_index_reads_no_picture(tmp_path, monkeypatch):
    large = bytes(3 << 20)  # no picture at all, so to decode it would fail, too
    path = write_tar(tmp_path / "s.tar", [m for k in "abcd" for m in sample(k, BOX, picture=large)])
    read, original = [], Archive._read

    def counting(archive, n_bytes, start):
        read.append(n_bytes)
        return original(archive, n_bytes, start)

    monkeypatch.setattr(Archive, "_read", counting)
    assert len(read_annotations(path)) == 4
    assert sum(read) < 20_000
    with pytest.raises(DataError, match=r"s\.tar!a\.png: is not a picture"):
        read_annotations(path).pictures[0].load()


def test_pictures_are_small_to_send(tmp_path):
    path = write_tar(tmp_path / "s.tar", sample("a", BOX, BOX | {"category": "dog"}))
    sent = pickle.dumps(sole(path))
    assert len(sent) < 2000
    np.testing.assert_array_equal(pickle.loads(sent).load(), pixels())


def test_the_digest_does_not_depend_on_the_place(tmp_path):
    digests = set()
    for folder in ("one", "another/place"):
        (tmp_path / folder).mkdir(parents=True)
        path = write_tar(tmp_path / folder / "s.tar", sample("a", BOX))
        digests.add(read_annotations(path).digest())
    assert len(digests) == 1


def test_names_that_cannot_be_printed_are_quoted(tmp_path):
    path = write_tar(tmp_path / "s.tar", [("a\n\x1b[31m.png", b"x")])
    with pytest.raises(DataError, match=r"s\.tar!'a\\n\\x1b\[31m\.png': is not a picture"):
        sole(path).load()


def test_members_are_of_archives():
    with pytest.raises(ParameterError, match=r"The member of Picture 'a' must be a TarMember"):
        Picture(0, "a", member="s.tar!a.png")


# Where shards are.


def test_shards_are_recognised_from_their_paths(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    for index in range(12):
        key = f"{index:03}"
        write_tar(folder / f"train-{index:06}.tar", [(f"{key}.png", PNG)])
    (folder / ".train-000099.tar").write_bytes(b"of a copy that was cut off")
    several = folder / "train-{000002..000010}.tar"
    for path in (folder, folder / "train-000000.tar", several, "x.TAR", "x.tar.gz", "x.tgz"):
        assert recognise(path) == "shards"
    assert len(read_annotations(folder)) == 12
    names = [p.name for p in read_annotations(several).pictures]
    assert names[0] == "train-000002/002.png"
    assert len(names) == 9
    assert read_annotations(several).name == "train"
    two = read_annotations(str(folder / "train-0000{11,0{0..1}}.tar".replace("{0..1}", "1")))
    assert [p.name for p in two.pictures] == ["train-000011/011.png", "train-000001/001.png"]


def test_paths_that_are_no_shards(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: holds no \.tar file\. Give a folder of shards"):
        read_annotations(tmp_path / "empty", format="shards")
    with pytest.raises(DataError, match=r"x\.tar: no such file\. Give a tar archive"):
        read_annotations(tmp_path / "x.tar")
    with pytest.raises(DataError, match=r"x-2\.tar: no such file"):
        read_annotations(tmp_path / "x-{2..3}.tar")
    with pytest.raises(DataError, match=r"\{3\.\.1\} must count up, at most 100,000 archives"):
        read_annotations(tmp_path / "x-{3..1}.tar")
    with pytest.raises(DataError, match=r"stands for more than 100,000 archives"):
        read_annotations(tmp_path / "x-{0..999}{0..999}.tar")
    with pytest.raises(DataError, match=r"shards hold their pictures\. Leave `images_dir`"):
        read_annotations(tmp_path / "x.tar", tmp_path)
    with pytest.raises(ParameterError, match="'skip_bad' parameter"):
        read_annotations(tmp_path / "x.tar", skip_bad=1)


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_compressed_archives_are_refused(tmp_path, mode):
    path = tmp_path / "s.tar"
    with tarfile.open(path, mode) as tar:
        tar.addfile(info("a.png", len(PNG)), io.BytesIO(PNG))
    with pytest.raises(
        DataError, match=r"s\.tar: is compressed \(\w+\).*Decompress it into a \.ta"
    ):
        read_annotations(path)
    os.rename(path, f"{path}.{mode[2:]}")
    with pytest.raises(DataError, match=r"is a compressed archive, .*Decompress it into a \.tar"):
        read_annotations(f"{path}.{mode[2:]}")


# What is refused.

WRONG = {
    "no picture": ([("a.json", {})], "the sample 'a' has JSON but no picture"),
    "two pictures": (
        [("a.png", PNG), ("a.jpg", PNG)],
        r"more than one picture: 'a\.png' and 'a\.jpg'",
    ),
    "a name twice": (
        [("a.png", PNG), ("./a.png", PNG)],
        r"more than one picture: 'a\.png' and '\./a\.png'",
    ),
    "two JSON": ([*sample(), *sample()[1:]], r"more than one JSON: 'a\.json' and 'a\.json'"),
    "file_name twice": (
        [*sample("a", file_name="x.png"), *sample("b", file_name="./x.png")],
        r"the sample 'b' has the file_name '\./x\.png', which occurs twice",
    ),
    "no JSON": ([("a.png", PNG), ("a.json", b"{")], "has JSON that cannot be read"),
    "deep JSON": ([("a.png", PNG), ("a.json", b"[" * 99_999)], "has JSON that cannot be read"),
    "no UTF-8": ([("a.png", PNG), ("a.json", b"\xff")], "has JSON that cannot be read"),
    "no list": (sample("a", annotations=3), "has the annotations 3; they must be a list"),
    "no width": (sample("a", BOX, width=0), "has the width 0; it must be a positive int"),
    "no header": (
        sample("a", BOX, picture=b"x", width=None),
        r"has no width or height, and its picture gives none: .*s\.tar!a\.png: is not a picture",
    ),
    "no object": (sample("a", 3), "'s/a.png': annotation 0 is 3, not an object"),
    "no label": (sample("a", {"bbox": BOX["bbox"]}), "has the category None; it must be a text"),
    "null": (sample("a", {**BOX, "category": "a\0"}), r"has the category 'a\\x00'; it must"),
    "no box": (sample("a", {"category": "cat"}), r"has the bbox None .*not 4 finite numbers"),
    "NaN": (sample("a", {**BOX, "bbox": [0, 0, float("nan"), 1]}), "not 4 finite numbers"),
    "no area": (sample("a", {**BOX, "bbox": [0, 0, 0, 1]}), "not both positive and finite"),
    "outside": (sample("a", {**BOX, "bbox": [99, 0, 5, 5]}), "entirely outside its picture"),
    "flag": (sample("a", {**BOX, "ignore": 2}), "has the ignore 2; it must be 0 or 1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_samples_that_cannot_be_used(tmp_path, case):
    members, match = WRONG[case]
    path = write_tar(tmp_path / "s.tar", [*members, *sample("good", BOX)])
    with pytest.raises(DataError, match=match) as caught:
        read_annotations(path)
    assert str(caught.value).startswith(f"{path}: ")
    data = read_annotations(path, skip_bad=True)
    assert data.pictures[-1].name == "s/good.png"
    assert data.skipped[0].file == str(path)


def test_pictures_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("bootstrap_det.data.shards.MAX_FILE_BYTES", len(PNG) - 1)
    path = write_tar(tmp_path / "a.tar", sample("a", BOX))
    with pytest.raises(DataError, match=r"has a picture of [\d,]+ bytes, of which [\d,]+ are all"):
        read_annotations(path)


def test_json_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("bootstrap_det.data.shards.MAX_JSON_BYTES", 100)
    path = write_tar(tmp_path / "s.tar", sample("a", BOX, BOX, BOX))
    with pytest.raises(DataError, match=r"has JSON of \d+ bytes, of which 100 are allowed"):
        read_annotations(path)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (tarfile.GNUTYPE_SPARSE, "a sparse file"),
        (b"Z", "of the unknown type b'Z'"),
    ],
)
def test_what_is_no_plain_file(tmp_path, kind, said):
    path = tmp_path / "s.tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(info("a.png", type=kind, linkname="../../secret.png"))
        tar.addfile(info("b.png", len(PNG)), io.BytesIO(PNG))
        tar.addfile(info("folder", type=tarfile.DIRTYPE))
    with pytest.raises(DataError, match=rf"the member 'a\.png' is {said}"):
        read_annotations(path)
    data = read_annotations(path, skip_bad=True)
    assert [p.name for p in data.pictures] == ["s/b.png"]
    assert said in data.skipped[0].reason


def test_sparse_files_are_told_by_their_records_and_passed_over(tmp_path):
    path = tmp_path / "s.tar"
    with tarfile.open(path, "w") as tar:
        sparse = info("a.png", 512, pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"})
        tar.addfile(sparse, io.BytesIO(b"0\n".ljust(512, b"\0")))
        tar.addfile(info("b.png", len(PNG)), io.BytesIO(PNG))
    with Archive(path) as archive:
        odd, plain = archive.members()
        assert odd == OddMember("a.png", "a sparse file")
        assert archive.read(plain) == PNG


def test_maps_of_old_sparse_files_are_passed_over(tmp_path):
    header = bytearray(info("a.png", 512, type=tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT))
    header[482] = 1  # a block of the map follows
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    path = write_tar(tmp_path / "t.tar", [("b.png", PNG)])
    path.write_bytes(bytes(header) + bytes(512) + bytes(512) + path.read_bytes())
    assert [p.name for p in read_annotations(path, skip_bad=True).pictures] == ["t/b.png"]
    path.write_bytes(bytes(header[:]))
    with pytest.raises(DataError, match="it ends without the zeros"):
        read_annotations(path)


def lying(size, kind=tarfile.REGTYPE, name="a.png"):
    """Return the header of a member that states a length of its choice."""
    if size < 0:  # the encoding of negative numbers, which tarfile does not write here
        header = bytearray(info(name, 0, type=kind).tobuf(tarfile.GNU_FORMAT))
        header[124:136] = b"\xff" * 4 + (size & (1 << 64) - 1).to_bytes(8, "big")
        header[148:156] = b"        "
        header[148:156] = b"%06o\0 " % sum(header)
        return bytes(header)
    return info(name, size, type=kind).tobuf(tarfile.GNU_FORMAT)


NO_ZEROS = "it ends without the zeros that an archive ends with"
NO_HEADER = r"byte \d+ is no header"  # what newer versions of Python find first
HOSTILE = {
    "beyond the end": (lying(1 << 40), r"a member of 1,099,511,627,776 bytes ends behind the file"),
    "negative": (lying(-512), rf"(states a length of -512|{NO_HEADER})"),
    "extended": (
        lying(1 << 40, tarfile.XHDTYPE),
        rf"by 1,099,511,627,776 bytes, of which a member may have {MAX_EXTENDED:,} in all",
    ),
    "long name": (lying(1 << 30, tarfile.GNUTYPE_LONGNAME), "header is extended by 1,073,741,824"),
    "negative name": (lying(-1, tarfile.GNUTYPE_LONGNAME), rf"({NO_ZEROS}|{NO_HEADER})"),
    "negative records": (lying(-512, tarfile.XHDTYPE), rf"(by -512 bytes|{NO_HEADER})"),
    "extended beyond": (lying(5000, tarfile.XHDTYPE), NO_ZEROS),
    "records": (
        lying(9, tarfile.XHDTYPE) + b"99 a=b\n\0\0".ljust(512, b"\0"),
        rf"({NO_ZEROS}|{NO_HEADER})",
    ),
    "size": (
        lying(20, tarfile.XHDTYPE) + b"20 size=99999999999\n".ljust(512, b"\0") + lying(5),
        "a member of 99,999,999,999 bytes ends behind",
    ),
    "no size": (
        lying(11, tarfile.XHDTYPE) + b"11 size=-5\n".ljust(512, b"\0") + lying(5),
        rf"(states a length of -5|{NO_HEADER})",
    ),
    "one size for all": (
        lying(10, tarfile.XGLTYPE) + b"10 size=7\n".ljust(512, b"\0") + lying(0) + bytes(1024),
        "a length is stated for all members at once",
    ),
    "backwards": (lying(0) + lying(-1024, b"Z", "a.txt"), rf"(or before it begins|{NO_HEADER})"),
    "to the start": (lying(-512, b"Z", "a.txt"), "byte 0 is no header"),
    "map": (
        lying(22, tarfile.XHDTYPE) + b"22 GNU.sparse.map=1,x\n".ljust(512, b"\0") + lying(0),
        "byte 1024 is no header",
    ),
    "no header": (b"x" * 512, "byte 0 is no header"),
    "no second header": (lying(0) + b"x" * 512 + bytes(1024), "byte 512 is no header"),
    "half a header": (lying(0)[:99], NO_ZEROS),
    "nothing": (b"", NO_ZEROS),
    "zeros": (bytes(10240), "holds no pictures: no member's name goes on with"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_headers(tmp_path, case):
    content, match = HOSTILE[case]
    (tmp_path / "s.tar").write_bytes(content)
    for skip_bad in (False, True):
        with pytest.raises(DataError, match=rf"s\.tar: .*{match}"):
            read_annotations(tmp_path / "s.tar", skip_bad=skip_bad)


@pytest.mark.parametrize("size", [0, 8])
def test_a_chain_of_extended_headers_ends(tmp_path, size):
    link = lying(size, tarfile.XHDTYPE) + b"8 a=bcd\n".ljust(512, b"\0") * bool(size)
    rest = write_tar(tmp_path / "s.tar", sample("a", BOX)).read_bytes()
    (tmp_path / "s.tar").write_bytes(link * 10 + rest)
    assert len(read_annotations(tmp_path / "s.tar")) == 1
    (tmp_path / "s.tar").write_bytes(link * 3000 + rest)
    with pytest.raises(DataError, match=r"is extended by 512 bytes, of which a member may"):
        read_annotations(tmp_path / "s.tar")


def test_headers_that_exhaust_the_stack(tmp_path, monkeypatch):
    monkeypatch.setattr("bootstrap_det.data.tars._ALLOWED", 1 << 30)
    (tmp_path / "s.tar").write_bytes(lying(0, tarfile.XHDTYPE) * 3000)
    with pytest.raises(DataError, match=r"byte \d+ is no header"):
        read_annotations(tmp_path / "s.tar")


def test_the_index_keeps_no_headers(tmp_path):
    path = write_tar(tmp_path / "s.tar", [(f"{i}.json", {}) for i in range(2000)])
    with Archive(path) as archive:
        members = archive.members()
        next(members)
        tracemalloc.start()
        assert sum(1 for _ in members) == 1999
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 200_000


def test_archives_that_were_cut_off(tmp_path):
    path = write_tar(tmp_path / "s.tar", sample("a", BOX))
    content = path.read_bytes()
    last = len(content.rstrip(b"\0"))
    for length in (*range(0, last, 100), -(-last // 512) * 512):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"ends (without the zeros|behind the file)"):
            read_annotations(path)


def test_mutated_archives_load_or_raise_data_error(tmp_path):
    path = write_tar(tmp_path / "s.tar", [*sample("a", BOX), *sample("b" * 120, BOX)])
    content, rng = path.read_bytes(), random.Random(7)
    outcomes = {True: 0, False: 0}
    for index in range(600):
        path.write_bytes(mutated(content, rng))
        try:
            for picture in read_annotations(path, skip_bad=bool(index % 2)).pictures:
                picture.load()
            outcomes[True] += 1
        except DataError:
            outcomes[False] += 1
    assert min(outcomes.values()) > 20


@QUICK
@given(content=st.binary(max_size=3000))
def test_any_bytes_load_or_raise_data_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.tar"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"any\.tar"):
        read_annotations(path)


def test_an_archive_that_was_replaced(tmp_path):
    path = write_tar(tmp_path / "s.tar", sample("a", BOX))
    picture, times = sole(path), path.stat()
    write_tar(path, sample("b", BOX))
    said = r"s\.tar!a\.png: the archive was changed after its index was made\. Leave"
    with pytest.raises(DataError, match=said):
        picture.load()
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # of equal length and time
    assert path.stat().st_size == times.st_size
    with pytest.raises(DataError, match=said):
        picture.load()
    path.unlink()
    with pytest.raises(DataError, match=r"s\.tar: no such file"):
        picture.load()


def test_an_archive_that_is_cut_off_while_it_is_read(tmp_path):
    path = write_tar(tmp_path / "s.tar", sample("a", BOX))
    member = sole(path).member

    def cut_off():
        with member.open() as stream:
            os.truncate(path, member.offset + 9)
            stream.read()

    with pytest.raises(DataError, match="was changed after its index"):
        cut_off()


def test_sizes_that_are_wrong(tmp_path):
    path = write_tar(tmp_path / "s.tar", sample("a", BOX, width=HEIGHT, height=WIDTH))
    with pytest.raises(DataError, match=r"s\.tar!a\.png: is 61 x 47 pixels.*are for 47 x 61"):
        sole(path).load()
    (finding,) = check_dataset(read_annotations(path))
    assert finding.kind == "wrong size"
