"""Pictures in, pictures out: every format, every kind of damage, every message."""

import inspect
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile, WebPImagePlugin

from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.images import (
    IMAGE_SUFFIXES,
    MAX_PIXELS,
    check_image,
    image_size,
    list_images,
    read_image,
    to_grey,
    write_bytes,
    write_image,
)

SHAPE = (13, 21)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def png_chunk(kind, body):
    crc = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + crc


def huge_png(width=60000, height=60000):
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b"\0" * 64))
    return b"\x89PNG\r\n\x1a\n" + body + png_chunk(b"IEND", b"")


def with_orientation(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def save(path, pixels, *, mode=None, **options):
    picture = Image.fromarray(pixels)
    (picture if mode is None else picture.convert(mode)).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", sorted({".bmp", ".png", ".ppm", ".tif", ".webp"}))
def test_read_image_lossless_formats_give_the_pixels_back(tmp_path, suffix):
    pixels = noise(*SHAPE, 3)
    options = {"lossless": True} if suffix == ".webp" else {}
    path = save(tmp_path / f"a{suffix}", pixels, **options)
    got = read_image(path, color="rgb")
    np.testing.assert_array_equal(got, pixels)
    assert got.dtype == np.uint8
    assert got.flags.writeable
    assert got.flags.c_contiguous
    assert image_size(str(path)) == SHAPE


def test_read_image_grey_of_rgb_is_601(tmp_path):
    pixels = noise(*SHAPE, 3)
    path = save(tmp_path / "a.png", pixels)
    got = read_image(path)
    np.testing.assert_allclose(got, pixels @ [0.299, 0.587, 0.114], atol=0.51)
    np.testing.assert_array_equal(got, to_grey(pixels))


def test_read_image_content_decides_not_the_ending(tmp_path):
    pixels = noise(*SHAPE)
    path = save(tmp_path / "a.jpg", pixels, format="PNG")
    np.testing.assert_array_equal(read_image(path), pixels)


def test_read_image_grey_as_rgb_has_equal_channels(tmp_path):
    pixels = noise(*SHAPE)
    got = read_image(save(tmp_path / "a.png", pixels), color="rgb")
    np.testing.assert_array_equal(got, np.stack([pixels] * 3, axis=-1))


def test_read_image_one_pixel(tmp_path):
    path = save(tmp_path / "a.png", np.full((1, 1), 7, np.uint8))
    assert read_image(path).tolist() == [[7]]
    assert image_size(path) == (1, 1)


def test_read_image_one_bit(tmp_path):
    pixels = np.where(noise(*SHAPE) > 127, 255, 0).astype(np.uint8)
    got = read_image(save(tmp_path / "a.png", pixels, mode="1"))
    np.testing.assert_array_equal(got, pixels)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_read_image_16_bits_are_divided_by_257(tmp_path, suffix):
    values = np.array([[0, 128, 129, 257, 700, 257 * 200, 65535]], np.uint16)
    got = read_image(save(tmp_path / f"a{suffix}", values))
    assert got.tolist() == [[0, 0, 1, 1, 3, 200, 255]]


def test_read_image_16_bits_big_endian(tmp_path):
    values = np.array([[0, 257, 65535]], np.uint16)
    picture = Image.frombytes("I;16B", (3, 1), values.astype(">u2").tobytes())
    picture.save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif").tolist() == [[0, 1, 255]]


def test_read_image_16_bits_transparent_value_is_white(tmp_path):
    path = save(tmp_path / "a.png", np.array([[0, 2570]], np.uint16), transparency=2570)
    assert read_image(path).tolist() == [[0, 255]]


def test_read_image_32_bits_in_the_16_bit_range(tmp_path):
    path = save(tmp_path / "a.tif", np.array([[0, 65535]], np.int32))
    assert read_image(path).tolist() == [[0, 255]]


@pytest.mark.parametrize("value", [65536, -1])
def test_read_image_32_bits_beyond_16_are_refused(tmp_path, value):
    path = save(tmp_path / "a.tif", np.array([[0, value]], np.int32))
    with pytest.raises(DataError, match=r"a\.tif: .*do not fit 16 bits; save it with 16 bits"):
        read_image(path)


def test_read_image_float_is_refused(tmp_path):
    path = save(tmp_path / "a.tif", np.ones(SHAPE, np.float32))
    with pytest.raises(DataError, match=r"a\.tif: .*floating-point.*8 or 16 bits"):
        read_image(path)


def over_white(colour, alpha):
    share = alpha.astype(float) / 255
    return colour * share + 255 * (1 - share)


def test_read_image_rgba_lies_over_white(tmp_path):
    pixels = noise(*SHAPE, 4)
    got = read_image(save(tmp_path / "a.png", pixels), color="rgb")
    np.testing.assert_allclose(got, over_white(pixels[..., :3], pixels[..., 3:]), atol=1.01)


def test_read_image_la_lies_over_white(tmp_path):
    pixels = noise(*SHAPE, 2)
    path = tmp_path / "a.png"
    Image.merge("LA", [Image.fromarray(pixels[..., i].copy()) for i in (0, 1)]).save(path)
    got = read_image(path)
    np.testing.assert_allclose(got, over_white(pixels[..., 0], pixels[..., 1]), atol=1.01)


@pytest.mark.parametrize("transparency", [0, b"\x00\xff\x80"])
def test_read_image_palette_with_transparency_lies_over_white(tmp_path, transparency):
    picture = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("L")
    picture = Image.frombytes("P", picture.size, picture.tobytes())
    picture.putpalette([10, 20, 30, 40, 50, 60, 0, 0, 0])
    picture.save(tmp_path / "a.png", transparency=transparency)
    last = [0, 0, 0] if transparency == 0 else [127, 127, 127]
    got = read_image(tmp_path / "a.png", color="rgb")
    assert got.tolist() == [[[255, 255, 255], [40, 50, 60], last]]


@pytest.mark.parametrize(("pixel", "key"), [(9, 9), ((1, 2, 3), (1, 2, 3))])
def test_read_image_transparent_colour_is_white(tmp_path, pixel, key):
    picture = Image.fromarray(np.array([[pixel, np.zeros_like(pixel)]], np.uint8))
    picture.save(tmp_path / "a.png", transparency=key)
    assert read_image(tmp_path / "a.png").tolist() == [[255, 0]]


def test_read_image_palette_without_transparency(tmp_path):
    pixels = np.array([[[10, 20, 30], [40, 50, 60]]], np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).convert("P", palette=Image.Palette.ADAPTIVE).save(path)
    np.testing.assert_array_equal(read_image(path, color="rgb"), pixels)


def test_read_image_cmyk_jpeg(tmp_path):
    pixels = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    path = save(tmp_path / "a.jpg", pixels, mode="CMYK", quality=100)
    np.testing.assert_allclose(read_image(path, color="rgb"), pixels, atol=4)


def test_read_image_of_an_animation_is_its_first_frame(tmp_path):
    frames = [Image.fromarray(np.full(SHAPE, value, np.uint8)) for value in (50, 100, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif"), np.full(SHAPE, 50))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", range(10))
def test_image_size_agrees_with_read_image_for_all_orientations(tmp_path, orientation, suffix):
    exif = with_orientation(orientation)
    path = save(tmp_path / f"a{suffix}", noise(*SHAPE, 3), exif=exif)
    wanted = SHAPE[::-1] if orientation in (5, 6, 7, 8) else SHAPE
    assert image_size(path) == wanted
    assert read_image(path).shape == wanted


@pytest.mark.parametrize(("orientation", "quarter_turns"), [(3, 2), (6, -1), (8, 1)])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_read_image_turns_by_exif(tmp_path, orientation, quarter_turns, suffix):
    pixels = noise(*SHAPE, 3)
    path = save(tmp_path / f"a{suffix}", pixels, exif=with_orientation(orientation))
    np.testing.assert_array_equal(read_image(path, color="rgb"), np.rot90(pixels, quarter_turns))


def test_read_image_turns_by_exif_behind_the_pixels(tmp_path):
    pixels = noise(*SHAPE)
    content = save(tmp_path / "a.png", pixels).read_bytes()
    late = png_chunk(b"eXIf", with_orientation(6).tobytes()[6:])
    (tmp_path / "a.png").write_bytes(content[:-12] + late + content[-12:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.rot90(pixels, -1))
    assert image_size(tmp_path / "a.png") == SHAPE[::-1]


def test_read_image_damaged_exif_is_no_exif(tmp_path):
    pixels = noise(*SHAPE)
    path = save(tmp_path / "a.png", pixels, exif=b"Exif\0\0no such thing")
    np.testing.assert_array_equal(read_image(path), pixels)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".gif", ".ppm", ".tif", ".webp"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
@pytest.mark.filterwarnings("ignore:Truncated File Read", "ignore:Corrupt EXIF data")
def test_read_image_truncated(tmp_path, suffix, part):
    path = save(tmp_path / f"a{suffix}", noise(40, 50))
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(DataError, match=rf"a\{suffix}: is damaged or truncated: .*Copy it again"):
        read_image(path)


def test_read_image_leaves_pillows_globals_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    pixels = noise(*SHAPE)
    got = read_image(save(tmp_path / "a.png", pixels))
    np.testing.assert_array_equal(got, pixels)
    assert ImageFile.LOAD_TRUNCATED_IMAGES
    assert Image.MAX_IMAGE_PIXELS == 5


def test_read_image_limit_holds_before_decoding(tmp_path):
    (tmp_path / "a.png").write_bytes(huge_png())
    message = r"a\.png: 60000 x 60000 pixels exceed the limit of 100,000,000.*`max_pixels`"
    with pytest.raises(DataError, match=message):
        read_image(tmp_path / "a.png")
    assert image_size(tmp_path / "a.png") == (60000, 60000)
    assert MAX_PIXELS == 100_000_000


def test_read_image_above_pillows_warning_but_within_our_limit(tmp_path):
    (tmp_path / "a.png").write_bytes(huge_png(9_500, 10_000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match="damaged or truncated"):
            read_image(tmp_path / "a.png")


def test_read_image_max_pixels_is_inclusive(tmp_path):
    path = save(tmp_path / "a.png", noise(3, 4))
    assert read_image(path, max_pixels=12).shape == (3, 4)
    with pytest.raises(DataError, match="4 x 3 pixels exceed the limit of 11"):
        read_image(path, max_pixels=11)


@pytest.mark.skipif(
    "bomb_check" not in inspect.getsource(WebPImagePlugin),
    reason="Pillow before 13 has no limit of its own in this decoder",
)
def test_read_image_too_large_for_pillows_webp_decoder(tmp_path, monkeypatch):
    path = save(tmp_path / "a.webp", noise(*SHAPE, 3))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    with pytest.raises(DataError, match="more pixels than its format's decoder takes"):
        read_image(path)


def test_read_image_without_pixels(tmp_path):
    content = save(tmp_path / "a.bmp", noise(2, 2)).read_bytes()
    (tmp_path / "a.bmp").write_bytes(content[:18] + b"\0\0\0\0" + content[22:])
    with pytest.raises(DataError, match=r"a\.bmp: (has no pixels|is damaged)"):
        read_image(tmp_path / "a.bmp")


@pytest.mark.parametrize("read", [read_image, image_size])
def test_reading_what_is_no_picture(tmp_path, read):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("This is not a picture, whatever its name says.\n")
    (tmp_path / "short.png").write_bytes(huge_png()[:20])
    with pytest.raises(DataError, match=r"empty\.png: is empty \(0 bytes\)\. Copy it again"):
        read(tmp_path / "empty.png")
    with pytest.raises(DataError, match=r"text\.png: is not a picture\. Give a BMP"):
        read(tmp_path / "text.png")
    with pytest.raises(DataError, match=r"short\.png: is damaged or truncated"):
        read(tmp_path / "short.png")
    with pytest.raises(DataError, match=r"none\.png: no such file\. Check the path"):
        read(tmp_path / "none.png")
    with pytest.raises(DataError, match="is a folder, not a picture"):
        read(tmp_path)
    with pytest.raises(DataError, match=r"a\\x00b.*is not a file name"):
        read("a\0b")
    with pytest.raises(DataError, match=r"cannot be opened .*Check the file"):
        read("a" * 1000)


def test_read_image_parameters(tmp_path):
    path = save(tmp_path / "a.png", noise(2, 2))
    with pytest.raises(ParameterError, match=r"'color' parameter of read_image .*'grey', 'rgb'"):
        read_image(path, color="gray")
    with pytest.raises(ParameterError, match="'max_pixels' parameter of read_image"):
        read_image(path, max_pixels=0)


def test_list_images_sorts_by_relative_path_and_skips_the_rest(tmp_path):
    names = ["b.PNG", "a/z.jpg", "a.jpeg", "a/b/c.webp", ".hidden.png", ".cache/x.png", "notes.txt"]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert found == ["a.jpeg", "a/b/c.webp", "a/z.jpg", "b.PNG"]
    flat = list_images(str(tmp_path), recursive=False)
    assert flat == [tmp_path / "a.jpeg", tmp_path / "b.PNG"]


def test_list_images_errors(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(DataError, match=r"holds no picture\. .*\.bmp, \.gif, .*\.webp\."):
        list_images(tmp_path)
    with pytest.raises(DataError, match=r"a\.txt: a file, not a folder\. Give a folder"):
        list_images(tmp_path / "a.txt")
    with pytest.raises(DataError, match="none: no such folder"):
        list_images(tmp_path / "none")
    assert all(suffix == suffix.lower() for suffix in IMAGE_SUFFIXES)


def test_list_images_says_which_folder_it_cannot_list(tmp_path, monkeypatch):
    def refuse(top, onerror):
        onerror(PermissionError(13, "Permission denied", "locked"))
        return iter(())

    monkeypatch.setattr(os, "walk", refuse)
    with pytest.raises(DataError, match=r"locked: cannot be listed \(Permission denied\)"):
        list_images(tmp_path)


def test_to_grey_shapes():
    grey = noise(*SHAPE)
    assert to_grey(grey) is grey
    np.testing.assert_array_equal(to_grey(grey[:, :, None]), grey)
    np.testing.assert_array_equal(to_grey(np.stack([grey] * 3, axis=-1)), grey)
    floats = grey.astype(np.float32)
    assert to_grey(floats) is floats


def test_to_grey_float_agrees_with_uint8():
    for channels in (3, 4):
        pixels = noise(*SHAPE, channels)
        got = to_grey(pixels.astype(np.float32))
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, to_grey(pixels), atol=1.6)


def test_to_grey_transparent_is_white():
    pixels = np.zeros((2, 2, 4), np.uint8)
    assert (to_grey(pixels) == 255).all()
    assert (to_grey(pixels.astype(np.float32)) == 255).all()


def test_to_grey_takes_views_and_leaves_them_alone():
    pixels = noise(20, 30, 3)
    before = pixels.copy()
    np.testing.assert_array_equal(to_grey(pixels[::2, ::-3]), to_grey(pixels)[::2, ::-3])
    np.testing.assert_array_equal(pixels, before)


def test_check_image_converts_to_the_two_types():
    pixels = noise(*SHAPE)
    assert check_image(pixels, "x") is pixels
    assert check_image(pixels.astype(np.float64), "x").dtype == np.float32
    np.testing.assert_array_equal(check_image(pixels.astype(np.uint16) * 257, "x"), pixels)
    np.testing.assert_array_equal(check_image(Image.fromarray(pixels), "x"), pixels)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 2), bool), r"Detector needs a picture of uint8.*Got bool instead"),
        (np.zeros((2, 2), np.int64), r"Got int64 instead\. .*astype\(numpy\.uint8\)"),
        (np.zeros((2, 2), np.float16), "Got float16 instead"),
        (np.full((2, 2), np.nan, np.float32), "without NaN or infinite"),
        (np.full((2, 2), 1e300), "without NaN or infinite"),
        (np.zeros((0, 2), np.uint8), r"needs a picture with pixels\. Got shape \(0, 2\)"),
        (np.zeros((2, 2, 2), np.uint8), r"1, 3 or 4\)\. Got shape \(2, 2, 2\) instead"),
        (np.zeros(2, np.uint8), r"Got shape \(2,\) instead"),
        (np.zeros((1, 2, 2, 3), np.uint8), r"Got shape \(1, 2, 2, 3\) instead"),
        ("a.png", r"Got shape \(\) instead"),
        ([[1], [1, 2]], "Got uneven rows"),
    ],
)
def test_check_image_errors(image, message):
    with pytest.raises(ParameterError, match=message):
        check_image(image, "Detector")


@pytest.mark.parametrize("shape", [SHAPE, (*SHAPE, 1), (*SHAPE, 3)])
def test_write_image_png_round_trip(tmp_path, shape):
    pixels = noise(*shape)
    write_image(tmp_path / "a.PNG", pixels)
    color = "rgb" if shape[2:] == (3,) else "grey"
    np.testing.assert_array_equal(read_image(tmp_path / "a.PNG", color=color), pixels.squeeze())
    assert [path.name for path in tmp_path.iterdir()] == ["a.PNG"]


def test_write_image_rounds_and_cuts_floats(tmp_path):
    write_image(tmp_path / "a.png", np.array([[-3.0, 1.6, 300.0]]))
    assert read_image(tmp_path / "a.png").tolist() == [[0, 2, 255]]


def test_write_image_jpeg(tmp_path):
    write_image(tmp_path / "a.jpg", np.full((16, 16, 3), (200, 100, 50), np.uint8))
    got = read_image(tmp_path / "a.jpg", color="rgb")
    np.testing.assert_allclose(got, np.full((16, 16, 3), (200, 100, 50)), atol=3)
    write_image(tmp_path / "b.jpeg", np.zeros((8, 8, 4), np.uint8))
    assert (read_image(tmp_path / "b.jpeg") == 255).all()


def test_write_image_errors_leave_the_old_file(tmp_path):
    write_image(tmp_path / "a.jpg", noise(8, 8))
    before = (tmp_path / "a.jpg").read_bytes()
    with pytest.raises(DataError, match="a JPEG cannot hold a picture of 70000 x 1"):
        write_image(tmp_path / "a.jpg", np.zeros((1, 70000), np.uint8))
    with pytest.raises(ParameterError, match=r"End the name in \.png, \.jpg or \.jpeg"):
        write_image(tmp_path / "a.bmp", noise(8, 8))
    with pytest.raises(ParameterError, match="write_image needs a picture"):
        write_image(tmp_path / "a.jpg", np.zeros((8, 8), bool))
    with pytest.raises(DataError, match=r"none/a\.png: cannot be written .*Check the folder"):
        write_image(tmp_path / "none" / "a.png", noise(8, 8))
    assert (tmp_path / "a.jpg").read_bytes() == before


def test_write_bytes_cleans_up_when_the_move_fails(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="a: cannot be written"):
        write_bytes(tmp_path / "a", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
