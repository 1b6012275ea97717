"""What a round mined, for people: a sheet of the hardest windows, and the list of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det._files import write_bytes
from bootstrap_det.data import Dataset, Picture
from bootstrap_det.false_alarms import table_of
from bootstrap_det.images import write_image
from bootstrap_det.mining import TrainingState
from bootstrap_det.plots import contact_sheet, cut_out
from bootstrap_det.windows import windows_to_boxes

N_SHOWN = 60


def write_hard_negatives(state: TrainingState, negatives: Dataset, sheet: Path) -> None:
    """Write the windows of the last round that scored highest as a sheet, and a list beside it.

    Objects that nobody annotated are at the top: `bootstrap-det dataset ignore` takes the list.
    """
    rows, crops, captions = [], [], []
    for number, (picture, crop, box, score) in enumerate(_hardest(state, negatives), start=1):
        place = (f"{value:.2f}" for value in box)
        label = state.templates[0].label
        rows.append((number, picture.image_id, picture.name, *place, f"{score:.6g}", label))
        crops.append(crop)
        captions.append(f"{number}: {score:.2f}")
    write_image(sheet, contact_sheet(crops, captions))
    write_bytes(sheet.with_suffix(".csv"), table_of(rows).encode())


def _hardest(
    state: TrainingState, negatives: Dataset
) -> Iterator[tuple[Picture, NDArray[Any], NDArray[np.float64], float]]:
    """Yield picture, crop, box and score of the hardest windows, in their order."""
    assert state.detector is not None  # a round has ended
    pictures = {picture.image_id: picture for picture in negatives.pictures}
    loaded: dict[int, NDArray[Any]] = {}
    hardest = zip(state.mined_identities, state.mined_scores, strict=True)
    for (picture_id, level, row, column, template), score in list(hardest)[:N_SHOWN]:
        if picture_id not in loaded:
            loaded[picture_id] = pictures[picture_id].load("rgb")
        image = loaded[picture_id]
        plan = state.detector.plan(image.shape[:2])[level]
        window = state.templates[template].window
        box = windows_to_boxes(plan, window, [row], [column])[0]
        yield pictures[picture_id], cut_out(image, box), box, float(score)
