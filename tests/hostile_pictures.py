"""Small pictures of every format, and hostile changes of them."""

import io
import struct
import zlib
from functools import cache

import numpy as np
from mutations import INTEGERS, blind
from PIL import Image
from PIL.PngImagePlugin import PngInfo

SIZE = (37, 53)  # height, width
TIFF_WAYS = ("tiff_lzw", "tiff_deflate", "packbits", "jpeg", "tiff_adobe_deflate")
SIDEWAYS = (  # with an EXIF orientation of 6
    "jpeg-exif", "png-rgba", "webp-lossless", *(f"tiff-{way}" for way in TIFF_WAYS)
)  # fmt: skip
MAX_PIXELS = 9_000_000  # above it, decoding alone takes a second


def make_pictures():
    """Return the bytes of a picture of each kind by name."""
    rng = np.random.default_rng(440)
    coarse = np.kron(rng.integers(0, 256, (5, 7, 3)), np.ones((8, 8, 1)))[: SIZE[0], : SIZE[1]]
    rgb = Image.fromarray(coarse.astype(np.uint8))
    grey, deep = rgb.convert("L"), Image.fromarray(np.asarray(rgb)[:, :, 0].astype("u2") * 257)
    frames = {"save_all": True, "append_images": [rgb.rotate(90), grey.convert("RGB")]}
    text = PngInfo()
    text.add_text("comment", "x" * 999, zip=True)
    text.add_itxt("title", "y" * 99, zip=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    made = {
        "jpeg": _saved(rgb, "JPEG"), "jpeg-grey": _saved(grey, "JPEG"),
        "jpeg-progressive": _saved(rgb, "JPEG", progressive=True),
        "jpeg-exif": _saved(rgb, "JPEG", exif=exif),
        "jpeg-cmyk": _saved(rgb.convert("CMYK"), "JPEG"),
        "png": _saved(rgb, "PNG", pnginfo=text, icc_profile=b"x" * 500),
        "png-grey": _saved(grey, "PNG"),
        "png-16": _saved(deep, "PNG"),
        "png-palette": _saved(rgb.quantize(7), "PNG", transparency=1),
        "png-rgba": _saved(rgb.convert("RGBA"), "PNG", exif=exif),
        "png-animated": _saved(rgb, "PNG", **frames), "png-interlaced": interlaced_png(grey),
        "webp": _saved(rgb, "WEBP"), "webp-lossless": _saved(rgb, "WEBP", lossless=True, exif=exif),
        "webp-alpha": _saved(rgb.convert("RGBA"), "WEBP"),
        "webp-animated": _saved(rgb, "WEBP", **frames),
        "tiff-pages": _saved(rgb, "TIFF", **frames), "tiff-16": _saved(deep, "TIFF"),
        "tiff-tiled": tiled_tiff(grey), "gif": _saved(rgb, "GIF"),
        "gif-animated": _saved(rgb, "GIF", **frames, disposal=2),
        "bmp": _saved(rgb, "BMP"), "bmp-palette": _saved(rgb.quantize(7), "BMP"),
        "bmp-1": _saved(grey.convert("1"), "BMP"),
        "ppm": _saved(rgb, "PPM"), "pgm": _saved(grey, "PPM"), "pgm-16": _saved(deep, "PPM"),
        "pbm": _saved(grey.convert("1"), "PPM"),
    }  # fmt: skip
    for way in TIFF_WAYS:
        made[f"tiff-{way}"] = _saved(rgb, "TIFF", compression=way, exif=exif)
    made["tiff-group4"] = _saved(grey.convert("1"), "TIFF", compression="group4")
    height, width = SIZE
    numbers = " ".join(map(str, np.asarray(grey).ravel()))
    made["pgm-ascii"] = f"P2\n# made by hand\n{width} {height}\n255\n{numbers}\n".encode()
    made["pbm-ascii"] = f"P1\n{width} {height}\n{'0 1 1' * (width * height)}".encode()
    return made


def _saved(image, form, **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def chunk(kind, data):
    """Return a PNG chunk with its right checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def interlaced_png(grey):
    """Return a grey picture as PNG in the seven passes of Adam7, which Pillow does not write."""
    pixels = np.asarray(grey)
    passes = ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2),
              (1, 2, 0, 1))  # fmt: skip
    lines = b"".join(
        b"\0" + row.tobytes() for y, dy, x, dx in passes for row in pixels[y::dy, x::dx] if row.size
    )
    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 0, 0, 0, 1)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines))
            + chunk(b"IEND", b""))  # fmt: skip


def tiff(entries, data, place=8):
    """Return a little-endian TIFF of one directory: tag, type, count and value of each entry."""
    head = struct.pack("<2sHI", b"II", 42, place + len(data))
    packed = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return head + data + struct.pack("<H", len(entries)) + packed + bytes(4)


def tiled_tiff(grey):
    """Return a grey picture as a TIFF of one tile of 64 x 64, which Pillow does not write."""
    pixels = np.asarray(grey)
    tile = np.zeros((64, 64), np.uint8)
    tile[: pixels.shape[0], : pixels.shape[1]] = pixels
    entries = [(256, 4, 1, pixels.shape[1]), (257, 4, 1, pixels.shape[0]), (258, 3, 1, 8),
               (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1), (322, 4, 1, 64), (323, 4, 1, 64),
               (324, 4, 1, 8), (325, 4, 1, 4096)]  # fmt: skip
    return tiff(entries, tile.tobytes())


def mutate_picture(seeds, rng):
    """Return the name of a kind, how it was changed, and the hostile bytes."""
    name = rng.choice(sorted(seeds))
    kind = rng.choice(_KINDS)
    return name, kind.__name__[1:], kind(seeds[name], name, rng, seeds)


def _blind(data, name, rng, seeds):
    same = [each for each in seeds if each.split("-")[0] == name.split("-")[0]]
    return blind(data, rng, seeds[rng.choice(sorted(same))])


def _header(data, name, rng, seeds):
    """Return a picture with integers changed where headers are; a PNG's checksum is right."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2))):
        if name.startswith("png"):
            at = rng.choice((16, 16, 20, 20, 24, 25, 26, 27, 28))
            size = 4 if at < 24 else 1
        else:
            at, size = rng.randrange(min(len(data) - 8, 64)), rng.choice((1, 2, 4))
        order = rng.choice(("little", "big"))
        changed[at : at + size] = (rng.choice(INTEGERS) % (1 << (8 * size))).to_bytes(size, order)
    if name.startswith("png"):
        changed[29:33] = struct.pack(">I", zlib.crc32(changed[12:29]))
    return bytes(changed)


def _inside(data, name, rng, seeds):
    """Return a PNG with chunks inserted, or a TIFF with entries changed; else as `_header`."""
    if name.startswith("png"):
        bomb = _zeros(rng.choice((1 << 20, 80 << 20)))
        inserted = rng.choice((
            chunk(b"zTXt", b"k\0\0" + bomb), chunk(b"iTXt", b"k\0\1\0\0\0" + bomb),
            chunk(b"iCCP", b"k\0\0" + bomb), chunk(b"eXIf", b"II*\0" + b"\xff" * 99),
            chunk(b"tEXt", b"k\0" + bytes(2 << 20)), chunk(b"PLTE", bytes(999)),
            chunk(b"acTL", b"\xff" * 8), chunk(b"fcTL", b"\xff" * 26), chunk(b"tRNS", bytes(600)),
            chunk(b"IHDR", b"\xff" * 13), chunk(b"IDAT", bomb),
            struct.pack(">I", 2**31 - 1) + b"tEXt",
        ))  # fmt: skip
        return data[:33] + inserted * rng.choice((1, 1, 9)) + data[33:]
    if name.startswith("tiff"):
        return _tiff_entry(data, rng)
    return _header(data, name, rng, seeds)


@cache
def _zeros(size):
    return zlib.compress(bytes(size), 9)


def _tiff_entry(data, rng):
    changed = bytearray(data)
    order = "<" if data[:2] == b"II" else ">"
    first = struct.unpack_from(f"{order}I", data, 4)[0]
    if first + 2 > len(data):
        return data
    count = struct.unpack_from(f"{order}H", data, first)[0]
    at = first + 2 + 12 * rng.randrange(max(count, 1))
    offset, form = rng.choice(((0, "H"), (2, "H"), (4, "I"), (8, "I"), (8, "I")))
    if at + 12 <= len(data):
        limit = 1 << (16 if form == "H" else 32)
        value = rng.choice((*INTEGERS, rng.randrange(limit), 10_000_000)) % limit
        struct.pack_into(order + form, changed, at + offset, value)
    return bytes(changed)


def _large(data, name, rng, seeds):
    """Return a small file of a large picture: under the limit, just above it, far above it."""
    height, width = rng.choice(((9000, 9000), (10_001, 10_000), (65_500, 65_500), (3000, 3000)))
    if name.startswith("png"):
        head = struct.pack(
            ">IIBBBBB", width, height, *rng.choice(((8, 2), (16, 6), (8, 3))), 0, 0, 0
        )
        return data[:8] + chunk(b"IHDR", head) + data[33:]
    if name.startswith("gif"):
        return data[:6] + struct.pack("<HH", width % 65536, height % 65536) + data[10:]
    if name.startswith("webp"):
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        body = (
            b"WEBPVP8X"
            + struct.pack("<I", 10)
            + rng.choice((b"\2", b"\0", b"\x10"))
            + bytes(3)
            + sides
        )
        return b"RIFF" + struct.pack("<I", len(body) + len(data) - 12) + body + data[12:]
    if name.startswith("bmp"):
        return data[:18] + struct.pack("<ii", width, rng.choice((1, -1)) * height) + data[26:]
    if name.startswith(("ppm", "pgm", "pbm")):
        return data.replace(b"53 37", b"%d %d" % (width, height))
    return _header(data, name, rng, seeds)


_KINDS = (*[_blind] * 6, *[_header] * 3, *[_inside] * 3, _large)
