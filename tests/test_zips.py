"""Zip and tar archives that lie about themselves, from the model file to the downloaded set."""

import bz2
import gzip
import io
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from hostile_models import npy_bytes, with_zeros

from bootstrap_det._zips import open_zip
from bootstrap_det.data import read_crops
from bootstrap_det.data.unpacking import unpack
from bootstrap_det.exceptions import DataError, ModelFormatError
from bootstrap_det.persistence import read_arrays


def zipped(members, method=zipfile.ZIP_DEFLATED, comment=b""):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.comment = comment
    return stream.getvalue()


def names_of(path, max_members=10):
    with open_zip(path, max_members) as archive:
        return archive.namelist()


@pytest.mark.parametrize("comment", [b"", b"made by hand", b"PK"])
def test_ordinary_archives_open_with_and_without_a_comment(comment, tmp_path):
    (tmp_path / "a").write_bytes(zipped({"x": b"1", "y": b"2"}, comment=comment))
    assert names_of(tmp_path / "a") == ["x", "y"]


def test_an_archive_with_a_record_of_64_bits_opens(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    (tmp_path / "a").write_bytes(zipped({"x": b"1", "y": b"2"}))
    assert b"PK\x06\x06" in (tmp_path / "a").read_bytes()
    assert names_of(tmp_path / "a") == ["x", "y"]
    damaged = (tmp_path / "a").read_bytes().replace(b"PK\x06\x06", b"PK\x06\x05")
    (tmp_path / "a").write_bytes(damaged)
    with pytest.raises(zipfile.BadZipFile, match="its directory is not where it should be"):
        names_of(tmp_path / "a")


def test_a_directory_is_bounded_before_it_is_read(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(zipped({"x" * 3000: b"1"}))
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("the directory was read"))
    with pytest.raises(zipfile.BadZipFile, match=r"directory of 3,\d+ bytes is too large for 10"):
        names_of(tmp_path / "a")


def test_a_directory_of_64_bits_is_bounded_too(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 0)
    data = bytearray(zipped({"x": b"1"}))
    struct.pack_into("<Q", data, data.index(b"PK\x06\x06") + 40, 1 << 40)
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(zipfile.BadZipFile, match="directory of 1,099,511,627,776 bytes"):
        names_of(tmp_path / "a")


def test_too_many_members_are_refused(tmp_path):
    (tmp_path / "a").write_bytes(zipped({str(i): b"" for i in range(11)}))
    with pytest.raises(zipfile.BadZipFile, match="11 members exceed the limit of 10"):
        names_of(tmp_path / "a")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_a_bound_are_refused(method, tmp_path):
    """zipfile unpacks all of such a member, however little of it is read."""
    array = npy_bytes(np.zeros((2, 8, 8), np.uint8))
    (tmp_path / "a").write_bytes(zipped({"crops.npy": array, "header.npy": array}, method))
    message = r"the member 'crops\.npy' is neither stored nor deflated"
    with pytest.raises(ModelFormatError, match=message):
        read_arrays(tmp_path / "a")
    with pytest.raises(DataError, match=message):
        read_crops(tmp_path / "a")
    with pytest.raises(DataError, match=message):
        unpack(tmp_path / "a", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_crops_that_unpack_to_far_more_than_the_file_are_refused(tmp_path):
    empty = zipped({})
    shape = (64, 1024, 1024)
    (tmp_path / "a.npz").write_bytes(with_zeros(empty, "crops.npy", 64 << 20, shape=shape))
    with pytest.raises(DataError, match="more than 100 times the bytes of the file"):
        read_crops(tmp_path / "a.npz")


def test_crops_in_the_order_of_fortran_are_read(tmp_path):
    crops = np.arange(2 * 5 * 7, dtype=np.uint8).reshape(2, 5, 7)
    np.savez(tmp_path / "a.npz", crops=np.asfortranarray(crops))
    np.testing.assert_array_equal(read_crops(tmp_path / "a.npz").crops.pixels, crops)


def tar_with_header(kind, size):
    """Return the bytes of a tar whose first header states a name or comment of some length."""
    header = bytearray(tarfile.TarInfo("././@LongLink").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = kind
    header[124:136] = b"\x80" + (0).to_bytes(3, "big") + size.to_bytes(8, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_the_headers_of_a_tar_are_bounded(kind, pack, tmp_path, monkeypatch):
    first = tarfile.TarInfo("fine").tobuf()
    content = pack(first + tar_with_header(kind, 4 << 30) + bytes(4096))
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be unpacked \(a header of 4,294,967,296 bytes\)"):
        unpack(tmp_path / "a.tar", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_an_ordinary_tar_is_unpacked(pack, tmp_path):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo(f"{'long' * 60}/x.txt")  # with a header for its name
        member.size = 600_000
        archive.addfile(member, io.BytesIO(b"y" * member.size))
    (tmp_path / "a.tar").write_bytes(pack(stream.getvalue()))
    unpack(tmp_path / "a.tar", tmp_path / "out", max_bytes=1 << 20)
    assert (tmp_path / "out" / member.name).read_bytes() == b"y" * member.size
