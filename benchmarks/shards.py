"""Tar shards of many samples: time and memory of the index, and of loading pictures out of them.

Run: ``python benchmarks/shards.py``. The pictures are tiny, so what is measured is the archive.
"""

from __future__ import annotations

import argparse
import io
import json
import pickle
import tarfile
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
from PIL import Image

from bootstrap_det import read_annotations

BOX = {"bbox": [2, 2, 20, 20], "category": "thing"}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=50_000)
    n_samples = parser.parse_args().samples
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "many-000000.tar"
        write(path, n_samples)
        start = time.perf_counter()
        data = read_annotations(path)
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        for picture in data.pictures[:2000]:
            picture.load()
        loading = (time.perf_counter() - start) / 2000
        size = len(pickle.dumps(data.pictures[0]))
        del data
        tracemalloc.start()
        data = read_annotations(path)
        n_bytes = tracemalloc.get_traced_memory()[0]
    print(f"{len(data):,} pictures with a box each, an archive and a thread")
    print(
        f"index: {1e3 * seconds / len(data):.3f} ms and {n_bytes / len(data):,.0f} bytes a picture"
    )
    print(f"loading: {1e3 * loading:.3f} ms a picture of 32x32; sent to a worker: {size} bytes")


def write(path: Path, n_samples: int) -> None:
    """Write an archive of samples with one picture and one box each."""
    stream = io.BytesIO()
    Image.fromarray(np.full((32, 32), 128, np.uint8)).save(stream, "PNG")
    text = json.dumps({"width": 32, "height": 32, "annotations": [BOX]}).encode()
    with tarfile.open(path, "w") as tar:
        for index in range(n_samples):
            for ending, content in (("png", stream.getvalue()), ("json", text)):
                info = tarfile.TarInfo(f"{index:08d}.{ending}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


if __name__ == "__main__":
    main()
