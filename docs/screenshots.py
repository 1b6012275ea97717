"""Pictures of the program at work, on one sheet: the page of a run, and the terminal.

Run: ``python docs/screenshots.py``. It trains the embedded faces into a temporary folder, and
writes ``docs/images/screenshots.png``. The pages need Chromium with its chromedriver and selenium
(extra ``dev``); where these are missing, the sheet has the terminal alone, and the program says so.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import skimage
from PIL import Image, ImageDraw, ImageFont

import bootstrap_det as bd

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip
MAX_BYTES = 1_000_000
FONTS = Path(matplotlib.get_data_path()) / "fonts/ttf"
DARK, LIGHT, DIM, GREEN = (30, 33, 39), (222, 224, 228), (150, 155, 165), (120, 200, 130)
PAPER, INK = (255, 255, 255), (40, 44, 52)
GAP, TITLE, WIDTH = 28, 34, 1720


@dataclass(frozen=True)
class Shot:
    """A picture, and what it shows."""

    title: str
    picture: Image.Image


def main() -> None:
    """Train, take all pictures, write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).parent / "images" / "screenshots.png"
    parser.add_argument("--out", type=Path, default=default)
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        terminal = terminal_shots(Path(folder))
        pages = list(page_shots(Path(folder) / "runs/faces/report.html"))
    size = write(sheet(pages, terminal), out)
    print(f"wrote {out}: {size / 1e3:.0f} kB")


def terminal_shots(folder: Path) -> list[list[Shot]]:
    """Return what the commands print, in columns; the first makes the run that the others use."""
    photograph = Path(skimage.__file__).parent / "data" / "astronaut.png"
    shutil.copy(photograph, folder / "astronaut.png")
    signs = bd.synth_signs(40, seed=1)
    (folder / "signs").mkdir()
    for picture in signs.pictures:
        bd.write_image(folder / "signs" / picture.name, picture.load("rgb"))
    bd.write_annotations(signs, folder / "signs.json", format="coco")
    train, detect, strategies, inspect = (
        run(command, folder)
        for command in (
            "bootstrap-det train --dataset faces --features hog --classifier svm --rounds 2",
            "bootstrap-det detect astronaut.png --model runs/faces/model.bdet --save-dir drawn",
            "bootstrap-det compare --list",
            "bootstrap-det inspect signs.json --images signs",
        )
    )
    drawn = Image.open(folder / "drawn" / "astronaut.png").convert("RGB")
    return [
        [
            Shot("Train: a line for each round", terminal(train)),
            Shot("Detect", terminal(detect)),
            Shot("and what it draws", drawn),
        ],
        [
            Shot("Inspect: what a data set has too much or too little of", terminal(inspect)),
            Shot("Compare: the remedies that there are", terminal(strategies, n_rows=18)),
        ],
    ]


def run(command: str, folder: Path) -> str:
    """Return a command and what it printed, as a terminal shows them."""
    main_program = "import sys; from bootstrap_det.cli import main; sys.exit(main())"
    arguments = command.split()[1:]
    package = str(Path(bd.__file__).parents[1])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", main_program, *arguments],
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "100"}, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stdout}")
    return f"$ {command}\n{done.stdout}"


def terminal(text: str, *, n_columns: int = 100, n_rows: int = 60) -> Image.Image:
    """Return text as a dark terminal; what is longer than ``n_rows`` is cut off and says so."""
    lines = text.expandtabs(4).rstrip().splitlines()
    if len(lines) > n_rows:
        lines = [*lines[: n_rows - 1], f"[{len(lines) - n_rows + 1} more lines]"]
    font = ImageFont.truetype(str(FONTS / "DejaVuSansMono.ttf"), 13)
    letter, height, margin = font.getlength("m"), 18, 14
    size = (round(n_columns * letter) + 2 * margin, len(lines) * height + 2 * margin)
    canvas = Image.new("RGB", size, DARK)
    pen = ImageDraw.Draw(canvas)
    for index, line in enumerate(lines):
        color = GREEN if line.startswith("$ ") else DIM if line.startswith("[") else LIGHT
        cut = line if len(line) <= n_columns else line[: n_columns - 1] + "…"
        pen.text((margin, margin + index * height), cut, font=font, fill=color)
    return canvas


def page_shots(page: Path) -> Iterator[Shot]:
    """Yield the page of a run as a desktop and a phone show it."""
    try:
        from selenium import webdriver
    except ImportError:
        webdriver = None
    if not (CHROMIUM and DRIVER and webdriver):
        print("no Chromium with chromedriver and selenium: the sheet has no pages")
        return
    with browser(webdriver) as driver:
        view(driver, page, (1000, 760), "light")
        yield Shot("The page of a run, on a desktop", shot(driver))
        view(driver, page, (1000, 760), "light", "look", threshold=0.33)
        yield Shot("The slider moved: fewer false alarms", shot(driver))
        view(driver, page, (390, 844), "dark", scale=1.5)
        yield Shot("A phone, dark", shot(driver))
        view(driver, page, (390, 844), "dark", "look", scale=1.5)
        yield Shot("and further down", shot(driver))


@contextmanager
def browser(webdriver: Any) -> Iterator[Any]:
    """Start a browser with a profile of its own, and end it."""
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        driver.set_page_load_timeout(180)
        try:
            yield driver
        finally:
            driver.quit()


def view(
    driver: Any,
    page: Path,
    size: tuple[int, int],
    scheme: str,
    section: str | None = None,
    *,
    threshold: float | None = None,
    scale: float = 1.0,
) -> None:
    """Open a page in a window of ``size``, go to a section, move the slider by a share of it."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    driver.get(page.resolve().as_uri())
    driver.execute_script(
        """
        const [section, share] = arguments;
        if (share !== null) {
          const slider = document.getElementById('threshold');
          slider.value = Math.round(share * slider.max);
          slider.dispatchEvent(new Event('input', {bubbles: true}));
        }
        if (section) { document.getElementById(section).scrollIntoView({behavior: 'instant'}); }
        """,
        section,
        threshold,
    )


def shot(driver: Any) -> Image.Image:
    """Return what the window shows."""
    return Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")


def sheet(row: list[Shot], columns: list[list[Shot]]) -> Image.Image:
    """Return pictures of one height in a row, and below them others in columns of one width."""
    placed: list[tuple[int, int, Shot]] = []
    below = GAP
    if row:
        room = WIDTH - GAP * (len(row) + 1)
        height = room / sum(each.picture.width / each.picture.height for each in row)
        x = GAP
        for each in row:
            fitted = scaled(each, height / each.picture.height)
            placed.append((x, GAP, fitted))
            x += fitted.picture.width + GAP
        below += round(height) + TITLE + GAP
    lowest, width = below, (WIDTH - GAP) // len(columns) - GAP
    for index, shots in enumerate(columns):
        x, y = GAP + index * (width + GAP), below
        for each in shots:
            fitted = scaled(each, min(width / each.picture.width, 1.0))
            placed.append((x, y, fitted))
            y += TITLE + fitted.picture.height + GAP
        lowest = max(lowest, y)
    return drawn_sheet(placed, lowest)


def scaled(shot: Shot, factor: float) -> Shot:
    """Return a picture of another size with its title."""
    size = (round(shot.picture.width * factor), round(shot.picture.height * factor))
    return Shot(shot.title, shot.picture.resize(size, Image.Resampling.LANCZOS))


def drawn_sheet(placed: list[tuple[int, int, Shot]], height: int) -> Image.Image:
    """Return the sheet with each picture below its title."""
    font = ImageFont.truetype(str(FONTS / "DejaVuSans-Bold.ttf"), 17)
    canvas = Image.new("RGB", (WIDTH, height), PAPER)
    pen = ImageDraw.Draw(canvas)
    for x, y, each in placed:
        pen.text((x, y + 4), each.title, font=font, fill=INK)
        canvas.paste(each.picture, (x, y + TITLE))
        right, bottom = x + each.picture.width, y + TITLE + each.picture.height
        pen.rectangle((x - 1, y + TITLE - 1, right, bottom), outline=(190, 194, 200))
    return canvas


def write(canvas: Image.Image, out: Path) -> int:
    """Write a sheet with as many colours as the limit allows; return its bytes."""
    for n_colors in (256, 128, 64, 32):
        stream = io.BytesIO()
        small = canvas.quantize(n_colors, dither=Image.Dither.NONE)
        small.save(stream, "PNG", optimize=True)
        if stream.tell() < MAX_BYTES:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_bytes(stream.getvalue())
            return stream.tell()
    raise SystemExit(f"the sheet has {stream.tell()} bytes, more than {MAX_BYTES}")


if __name__ == "__main__":
    main()
