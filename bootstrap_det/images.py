"""Pictures: decode, list and write them, turn them upright, and make them grey.

A picture in memory is a uint8 array of shape (height, width) when grey, or (height, width, 3) in
RGB order. float32 is accepted too, on the same scale of 0 to 255. Every file that cannot be used
ends in a DataError that names it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from bootstrap_det._files import write_bytes
from bootstrap_det._picture_files import (
    MAX_HEAD_BYTES,
    MAX_SCANS,
    MAX_WEBP_BYTES,
    Head,
    count_scans,
    late_png_exif,
    open_picture,
    webp_canvas,
)
from bootstrap_det._validation import check_choice, check_int
from bootstrap_det.exceptions import DataError, ParameterError

MAX_PIXELS = 100_000_000
"""Most pixels that a picture may have before it is decoded, unless the caller says otherwise."""

_BYTES_PER_PIXEL = 4
MAX_FILE_BYTES = _BYTES_PER_PIXEL * MAX_PIXELS
"""Most bytes of a picture file; a larger ``max_pixels`` allows four times as many bytes."""

_MAX_CANVAS = 1 << 28  # pixels of a WebP whose size is asked for

COLORS = ("grey", "rgb")
"""What pictures can be decoded to."""

IMAGE_SUFFIXES = (
    ".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff",
    ".webp",
)  # fmt: skip
"""Endings, in lower case, of the files that are taken for pictures."""

# Pillow knows dozens of formats; some start other programs (EPS) or read other files. The
# content decides which of these a file is, not its ending.
_FORMATS = (
    JpegImagePlugin.JpegImageFile.format,
    PngImagePlugin.PngImageFile.format,
    BmpImagePlugin.BmpImageFile.format,
    GifImagePlugin.GifImageFile.format,
    PpmImagePlugin.PpmImageFile.format,
    TiffImagePlugin.TiffImageFile.format,
    WebPImagePlugin.WebPImageFile.format,
)
_JPEG_QUALITY = 95
_WRITERS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow's mode L


def read_image(
    path: str | os.PathLike[str],
    *,
    color: str = "grey",
    max_pixels: int = MAX_PIXELS,
    data: bytes | None = None,
) -> NDArray[np.uint8]:
    """Return the pixels of a picture file, upright.

    Parameters
    ----------
    path : str or path-like
        A BMP, GIF, JPEG, PNG, PNM, TIFF or WebP file, recognised by its content.
    color : {"grey", "rgb"}, default="grey"
        Grey is the luma of ITU-R BT.601.
    max_pixels : int, default=100_000_000
        A picture with more pixels is refused by its header, before anything is decoded.
    data : bytes or None, default=None
        The file's content where it is in memory already; ``path`` is then but its name.

    Returns
    -------
    ndarray of shape (height, width) or (height, width, 3), uint8
        A writable array of its own. The EXIF orientation is applied, so height and width are
        those of the picture as viewers show it.

    Raises
    ------
    DataError
        When the file is missing, empty, truncated, too large, or not a picture.
    ParameterError
        When ``color`` or ``max_pixels`` is out of range.

    Notes
    -----
    Transparent pixels are laid over white. 16-bit values are divided by 257 and rounded. Of an
    animation or a file of several pages the first picture is read. Colour profiles are ignored.
    Pillow's own pixel limit does not apply; its global ``ImageFile.LOAD_TRUNCATED_IMAGES`` is
    left as it is, and who sets it gets half-decoded pictures. A JPEG whose middle is damaged but
    whose end is there cannot be told from a good one.
    """
    color = check_choice(color, "color", "read_image", COLORS)
    max_pixels = check_int(max_pixels, "max_pixels", "read_image", low=1)
    with _opened(path, data, max_pixels) as (image, stream):
        _check_pixels(image, path, max_pixels)
        if image.format == "JPEG" and (n_scans := count_scans(stream)) > MAX_SCANS:
            raise DataError(
                f"{path}: goes {n_scans} times over its pixels, more than {MAX_SCANS}. Save it as "
                "an ordinary JPEG."
            )
        orientation = _orientation(image, stream)
        image.load()
        pixels = _to_mode(image, color)
    turn = _TURNS.get(orientation)
    return np.array(pixels if turn is None else pixels.transpose(turn), dtype=np.uint8)


def image_size(path: str | os.PathLike[str], *, stream: IO[bytes] | None = None) -> tuple[int, int]:
    """Return (height, width) of a picture file, upright, without decoding its pixels.

    Where the file is open already, ``stream`` is read, and ``path`` is but its name.

    Raises
    ------
    DataError
        When the file is missing, empty, or not a picture.
    """
    with _opened(path, stream) as (image, opened):
        width, height = image.size
        sideways = _orientation(image, opened) in _SIDEWAYS
    return (width, height) if sideways else (height, width)


def list_images(
    folder: str | os.PathLike[str],
    *,
    recursive: bool = True,
    others: tuple[str, ...] = (),
) -> list[Path]:
    """Return the picture files of a folder, sorted by their path relative to it.

    Parameters
    ----------
    folder : str or path-like
        Where to look. Hidden files and folders are skipped; linked folders are not entered.
    recursive : bool, default=True
        Whether to look in the folders inside it, too.
    others : tuple of str, default=()
        Endings, in lower case, of other files to list among the pictures.

    Returns
    -------
    list of Path
        Files that end in one of ``IMAGE_SUFFIXES`` or ``others``, in upper or lower case. Never
        empty.

    Raises
    ------
    DataError
        When the folder is missing, is a file, cannot be read or holds no picture.
    """
    top = Path(folder)
    if not os.path.isdir(top):  # unlike Path.is_dir, it never raises
        what = "a file, not a folder" if os.path.exists(top) else "no such folder"
        raise DataError(f"{top}: {what}. Give a folder of pictures.")
    suffixes = (*IMAGE_SUFFIXES, *others)
    found = sorted(
        _walk(top, recursive, suffixes), key=lambda path: path.relative_to(top).as_posix()
    )
    if not found:
        raise DataError(
            f"{top}: holds no picture. Give a folder with files that end in {', '.join(suffixes)}."
        )
    return found


def to_grey(image: NDArray[Any]) -> NDArray[Any]:
    """Return a picture in memory as grey, shape (height, width), uint8 or float32.

    Parameters
    ----------
    image : ndarray of shape (height, width[, 1 or 3 or 4])
        Grey, RGB or RGBA, see :func:`check_image`. Grey passes as it is; RGBA is laid over white.

    Returns
    -------
    ndarray of shape (height, width)
        The luma of ITU-R BT.601. For uint8 the same numbers as :func:`read_image` gives.

    Raises
    ------
    ParameterError
        When the array is not a picture.
    """
    pixels = _without_alpha(check_image(image, "to_grey"))
    if pixels.ndim == 2:
        return pixels
    if pixels.dtype == np.uint8:
        return np.array(_to_mode(Image.fromarray(pixels), "grey"))
    return np.asarray(pixels @ _LUMA, dtype=np.float32)


def in_color(image: NDArray[Any], color: str) -> NDArray[Any]:
    """Return a picture as ``"grey"`` or ``"rgb"``."""
    return to_grey(image) if color == "grey" else to_rgb(image)


def to_rgb(image: NDArray[Any]) -> NDArray[Any]:
    """Return a picture in memory as RGB, shape (height, width, 3), uint8 or float32.

    Parameters
    ----------
    image : ndarray of shape (height, width[, 1 or 3 or 4])
        Grey, RGB or RGBA, see :func:`check_image`. RGB passes as it is, grey is repeated three
        times, RGBA is laid over white.

    Raises
    ------
    ParameterError
        When the array is not a picture.
    """
    pixels = _without_alpha(check_image(image, "to_rgb"))
    return np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else pixels


def _without_alpha(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return a checked picture as grey of two dimensions, or as RGB."""
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels
    if pixels.shape[2] == 1:
        return pixels[:, :, 0]
    if pixels.dtype == np.uint8:
        return np.array(_to_mode(Image.fromarray(pixels), "rgb"))
    alpha = np.clip(pixels[:, :, 3:] / np.float32(255), 0, 1)
    return pixels[:, :, :3] * alpha + np.float32(255) * (1 - alpha)


def check_image(image: Any, owner: str) -> NDArray[Any]:
    """Return a picture in memory as a uint8 or float32 array, or raise ParameterError.

    Parameters
    ----------
    image : array-like of shape (height, width[, 1 or 3 or 4])
        uint8 or uint16 (divided by 257 and rounded), or float32 or float64 (made float32) on the
        scale of 0 to 255.
    owner : str
        Who asks, for the message.

    Raises
    ------
    ParameterError
        When it has another shape or type, is empty, or is not finite.
    """
    try:
        pixels = np.asarray(image)
    except ValueError:
        raise ParameterError(f"{owner} needs a picture as an array. Got uneven rows.") from None
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4)):
        raise ParameterError(
            f"{owner} needs a picture of shape (height, width), or (height, width, 1, 3 or 4). "
            f"Got shape {pixels.shape} instead."
        )
    if pixels.size == 0:
        raise ParameterError(f"{owner} needs a picture with pixels. Got shape {pixels.shape}.")
    return _to_known_dtype(pixels, owner)


def write_image(path: str | os.PathLike[str], image: NDArray[Any]) -> None:
    """Write a picture as PNG or JPEG (quality 95); the file is replaced as a whole or not at all.

    Parameters
    ----------
    path : str or path-like
        Ends in ``.png``, ``.jpg`` or ``.jpeg``. Its folder must exist.
    image : ndarray of shape (height, width[, 1 or 3 or 4])
        Grey, RGB or RGBA, see :func:`check_image`. float32 is rounded and cut to 0 to 255. JPEG
        holds no transparency: RGBA is laid over white.

    Raises
    ------
    ParameterError
        When the ending is another or the array is not a picture.
    DataError
        When the file cannot be written.
    """
    target = Path(path)
    form = _WRITERS.get(target.suffix.lower())
    if form is None:
        raise ParameterError(
            f"{target}: pictures are written as PNG or JPEG. End the name in .png, .jpg or .jpeg."
        )
    pixels = check_image(image, "write_image")
    if pixels.dtype != np.uint8:
        pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2:] == (1,) else pixels)
    if form == "JPEG" and picture.mode == "RGBA":
        picture = _to_mode(picture, "rgb")
    encoded = io.BytesIO()
    try:
        picture.save(encoded, form, quality=_JPEG_QUALITY)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{target}: a {form} cannot hold a picture of {picture.width} x {picture.height} "
            f"pixels ({error}). Scale it down."
        ) from None
    write_bytes(target, encoded.getvalue())


@contextmanager
def _opened(
    path: str | os.PathLike[str],
    content: bytes | IO[bytes] | None = None,
    max_pixels: int = _MAX_CANVAS,
) -> Iterator[tuple[ImageFile.ImageFile, IO[bytes]]]:
    """Open a picture lazily; whatever goes wrong inside the block becomes a DataError."""
    with _as_stream(path, content, max_pixels) as stream:
        try:
            yield _identify(stream, path, max_pixels), stream
        except (DataError, MemoryError):
            raise
        except Image.DecompressionBombError:
            raise DataError(
                f"{path}: has more pixels than its format's decoder takes. Scale it down."
            ) from None
        except Exception as error:
            # For damaged bytes Pillow's plugins raise half a dozen types, struct.error among them.
            why = str(error) or type(error).__name__
            raise DataError(
                f"{path}: is damaged or truncated: {why}. Copy it again, or remove it."
            ) from None


def _as_stream(
    path: str | os.PathLike[str], content: bytes | IO[bytes] | None, max_pixels: int
) -> IO[bytes]:
    if content is None:
        return open_picture(path, max(MAX_FILE_BYTES, _BYTES_PER_PIXEL * max_pixels))
    return io.BytesIO(content) if isinstance(content, bytes) else content


def _identify(
    stream: IO[bytes], path: str | os.PathLike[str], max_pixels: int
) -> ImageFile.ImageFile:
    """Return the picture with its header read.

    ``Image.open`` would do, but it applies Pillow's pixel limit, which can only be lifted for
    the whole process.
    """
    start = stream.read(30)
    if not start:
        raise DataError(f"{path}: is empty (0 bytes). Copy it again, or remove it.")
    for form in _FORMATS:
        factory, accept = Image.OPEN[form]
        if accept is not None and accept(start[:16]) is True:
            stream.seek(0)
            if webp_canvas(start) > max_pixels:
                raise DataError(
                    f"{path}: its canvas of {webp_canvas(start):,} pixels exceeds the limit of "
                    f"{max_pixels:,}. Scale it down."
                )
            head = Head(stream, MAX_WEBP_BYTES if form == "WEBP" else MAX_HEAD_BYTES)
            image = factory(cast(IO[bytes], head), "")
            head.limit = None
            if min(image.size) < 1:
                raise DataError(f"{path}: has no pixels. Remove it.")
            return image
    raise DataError(
        f"{path}: is not a picture. Give a BMP, GIF, JPEG, PNG, PNM, TIFF or WebP file."
    )


def _check_pixels(
    image: ImageFile.ImageFile, path: str | os.PathLike[str], max_pixels: int
) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise DataError(
            f"{path}: {width} x {height} pixels exceed the limit of {max_pixels:,}. "
            "Scale it down, or raise `max_pixels`."
        )


def _orientation(image: ImageFile.ImageFile, stream: IO[bytes]) -> int:
    """Return the EXIF orientation that is still to be applied, 1 when there is none to read."""
    if image.format == "TIFF":
        return 1  # Pillow turns TIFF files itself, and its size is upright from the start
    try:
        # Not image.getexif(): for PNG that decodes the whole picture first.
        exif = Image.Image.getexif(image)
        if image.format == "PNG" and _ORIENTATION_TAG not in exif:
            exif = Image.Exif()
            exif.load(late_png_exif(stream))
        value = exif.get(_ORIENTATION_TAG, 1)
    except Exception:
        return 1  # damaged EXIF says nothing about the pixels, which are still good
    return value if value in _TURNS else 1


def _to_mode(image: Image.Image, color: str) -> Image.Image:
    """Return a decoded picture of any mode as L or RGB."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        image = _from_16_bits(image)
    elif image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = _over_white(image)
    elif image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")  # palette, CMYK, YCbCr
    return image.convert("L" if color == "grey" else "RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise ValueError(f"values from {low} to {high} do not fit 16 bits; save it with 16 bits")
    grey = _scale_16_bits(values)
    if "transparency" in image.info:
        grey[values == image.info["transparency"]] = 255
    return Image.fromarray(grey)


def _scale_16_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    # 257 maps 65535 to 255, and an 8-bit value stored as v * 257 back to v.
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    top = image.convert("RGBA")
    white = Image.new("RGBA", top.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, top).convert("RGB")


def _walk(top: Path, recursive: bool, suffixes: tuple[str, ...]) -> Iterator[Path]:
    for folder, inner, files in os.walk(top, onerror=_refuse_folder):
        inner[:] = [name for name in inner if recursive and not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and name.lower().endswith(suffixes):
                yield Path(folder, name)


def _refuse_folder(error: OSError) -> None:
    raise DataError(
        f"{error.filename}: cannot be listed ({error.strerror}). Check its permissions."
    ) from None


def _to_known_dtype(pixels: NDArray[Any], owner: str) -> NDArray[Any]:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return _scale_16_bits(pixels)
    if pixels.dtype not in (np.float32, np.float64):
        raise ParameterError(
            f"{owner} needs a picture of uint8, uint16, float32 or float64. Got {pixels.dtype} "
            "instead. Scale it to 0 to 255 and convert it with `image.astype(numpy.uint8)`."
        )
    with np.errstate(over="ignore"):  # what is too large for float32 is refused as infinite
        pixels = pixels.astype(np.float32, copy=False)
    if not np.isfinite(pixels).all():
        raise ParameterError(
            f"{owner} needs a picture without NaN or infinite values. "
            "Replace them, for example by `numpy.nan_to_num`."
        )
    return pixels
