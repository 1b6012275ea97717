"""Picture files that are wrong on purpose: sizes, texts and passes without an end."""

import contextlib
import io
import os
import struct
import tracemalloc

import numpy as np
import pytest
from hostile_pictures import chunk, make_pictures
from PIL import Image

from bootstrap_det import _picture_files, images
from bootstrap_det._picture_files import Head, count_scans
from bootstrap_det.exceptions import DataError
from bootstrap_det.images import image_size, read_image


@pytest.fixture(scope="module")
def pictures():
    return make_pictures()


def refusals(path):
    """Return what is said of a picture that neither way of reading takes."""
    said = []
    for read in (image_size, read_image):
        with pytest.raises(DataError) as caught:
            read(path)
        said.append(str(caught.value))
    return said


def test_a_sparse_file_of_100_gigabytes_is_not_read(tmp_path):
    path = tmp_path / "x.jpg"
    path.touch()
    os.truncate(path, 100 << 30)
    assert all("107,374,182,400 bytes exceed the limit" in said for said in refusals(path))


def test_a_file_may_have_four_bytes_for_each_pixel_that_is_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_FILE_BYTES", 100)
    Image.fromarray(np.zeros((30, 30), np.uint8)).save(tmp_path / "a.bmp")
    with pytest.raises(DataError, match="exceed the limit of 1,600"):
        read_image(tmp_path / "a.bmp", max_pixels=400)
    assert read_image(tmp_path / "a.bmp", max_pixels=1000).shape == (30, 30)


def test_pipes_and_devices_are_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", "/dev/null"):
        assert all("is a pipe or a device, not a file" in said for said in refusals(path))


def with_chunks(data, *chunks):
    """Return a PNG with chunks behind its header."""
    return data[:33] + b"".join(chunks) + data[33:]


def test_what_comes_before_the_pixels_is_bounded(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_HEAD_BYTES", 10_000)
    path = tmp_path / "a.png"
    path.write_bytes(with_chunks(pictures["png-grey"], chunk(b"prVt", bytes(9000))))
    assert image_size(path) == (37, 53)
    path.write_bytes(with_chunks(pictures["png-grey"], *[chunk(b"prVt", bytes(9000))] * 2))
    assert all("what comes before its pixels exceeds 10,000 bytes" in s for s in refusals(path))


def test_pixels_do_not_count_as_what_comes_before_them(tmp_path, monkeypatch, rng):
    monkeypatch.setattr(images, "MAX_HEAD_BYTES", 2000)
    noise = Image.fromarray(rng.integers(0, 256, (90, 90, 3)).astype(np.uint8))
    for name in ("a.png", "a.jpg", "a.bmp", "a.gif", "a.ppm", "a.tif"):
        noise.save(tmp_path / name)
        assert read_image(tmp_path / name).shape == (90, 90)


def test_a_head_counts_every_way_of_reading():
    for read in (lambda head: head.read(), lambda head: head.read(None), lambda head: head.read(9)):
        with pytest.raises(ValueError, match="exceeds 5 bytes"):
            read(Head(io.BytesIO(b"123456"), 5))
    head = Head(io.BytesIO(b"123456"), 5)
    assert head.read(4) == b"1234"
    head.limit = None
    assert head.read() == b"56"
    assert head.tell() == 6


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_texts_that_unpack_to_very_much_are_harmless(kind, pictures, tmp_path):
    import zlib

    bomb = zlib.compress(bytes(100 << 20), 9)
    middle = b"\0\1\0\0\0" if kind == b"iTXt" else b"\0\0"
    path = tmp_path / "a.png"
    path.write_bytes(with_chunks(pictures["png-grey"], chunk(kind, b"k" + middle + bomb)))
    tracemalloc.start()
    try:
        with contextlib.suppress(DataError):
            assert read_image(path).shape == (37, 53)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def scans_of(data):
    return count_scans(io.BytesIO(data))


def test_scans_of_ordinary_pictures_are_few(pictures):
    assert scans_of(pictures["jpeg"]) == 1
    assert 3 < scans_of(pictures["jpeg-progressive"]) < 20


def with_scans(data, n_scans):
    """Return a JPEG whose last pass is there many times."""
    last, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:end] + data[last:end] * n_scans + data[end:]


def test_a_jpeg_that_goes_over_its_pixels_without_end_is_refused(pictures, tmp_path):
    path = tmp_path / "a.jpg"
    for n_more, is_good in ((40, True), (100, False)):
        path.write_bytes(with_scans(pictures["jpeg-progressive"], n_more))
        if is_good:
            assert read_image(path).shape == (37, 53)
        else:
            with pytest.raises(DataError, match=r"goes 1\d\d times over its pixels, more than 64"):
                read_image(path)


def test_other_bytes_that_look_like_scans_do_not_count(pictures, tmp_path):
    data = pictures["jpeg"]
    marks = b"\xff\xda" * 500
    comment = b"\xff\xfe" + struct.pack(">H", len(marks) + 2) + marks
    path = tmp_path / "a.jpg"
    path.write_bytes(data[:2] + comment + data[2:] + marks)
    assert scans_of(path.read_bytes()) == 1
    assert read_image(path).shape == (37, 53)


def canvas(data, width, height):
    """Return a WebP that states an animation of this size."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + sides
    return b"RIFF" + struct.pack("<I", len(body) + len(data) - 12) + body + data[12:]


def test_the_canvas_of_a_webp_is_bounded_before_its_decoder_is_made(pictures, tmp_path):
    path = tmp_path / "a.webp"
    path.write_bytes(canvas(pictures["webp"], 65536, 65535))
    assert all("its canvas of 4,294,901,760 pixels exceeds" in said for said in refusals(path))
    path.write_bytes(canvas(pictures["webp"], 11_000, 10_000))
    with pytest.raises(DataError, match="exceeds the limit of 100,000,000"):
        read_image(path)


def test_late_exif_is_bounded(pictures, monkeypatch, tmp_path):
    monkeypatch.setattr(_picture_files, "MAX_HEAD_BYTES", 10)
    assert _picture_files.late_png_exif(io.BytesIO(pictures["png-rgba"])) == b""


def test_of_an_animation_with_thousands_of_frames_the_first_is_read(tmp_path, monkeypatch):
    frame = Image.fromarray(np.zeros((20, 20), np.uint8))
    others = [Image.fromarray(np.full((20, 20), i % 256, np.uint8)) for i in range(2000)]
    frame.save(tmp_path / "a.gif", save_all=True, append_images=others)
    asked_for = []
    monkeypatch.setattr(images.GifImagePlugin.GifImageFile, "seek", asked_for.append)
    assert read_image(tmp_path / "a.gif").shape == (20, 20)
    assert not [each for each in asked_for if each]


def test_no_more_is_set_aside_than_there_is(pictures, tmp_path):
    """A chunk that states 2 GB is not asked for; the file has but a few bytes more."""
    data = pictures["png-grey"]
    at = data.index(b"IDAT") - 4
    path = tmp_path / "a.png"
    path.write_bytes(data[:at] + struct.pack(">I", 2**31 - 1) + data[at + 4 :])
    tracemalloc.start()
    try:
        with contextlib.suppress(DataError):
            read_image(path)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
