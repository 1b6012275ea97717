"""Tar shards as other tools write them, and the pictures in them."""

import io
import json
import tarfile

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 61, 47
SIZE = {"width": WIDTH, "height": HEIGHT}
BOX = {"bbox": [1, 2, 10, 12], "category": "cat"}


def pixels(seed=0, channels=()):
    return np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, *channels), np.uint8)


def encoded(array, form="PNG", **options):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, form, **options)
    return stream.getvalue()


PNG = encoded(pixels())


def info(name, size=0, **fields):
    made = tarfile.TarInfo(name)
    made.size = size
    for key, value in fields.items():
        setattr(made, key, value)
    return made


def write_tar(path, members, form=tarfile.PAX_FORMAT):
    """Write name and content of each member; a dict is written as JSON."""
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in members:
            content = json.dumps(content).encode() if isinstance(content, dict) else content
            tar.addfile(info(name, len(content), mtime=1.5), io.BytesIO(content))
    return path


def sample(key="a", *boxes, picture=PNG, **more):
    return [(f"{key}.png", picture), (f"{key}.json", {**SIZE, "annotations": list(boxes), **more})]
