"""The folder of a training run: which files are in it, and what may be done with one that is there.

::

    model.bdet          the detector of the last round
    rounds.jsonl        one RoundRecord a line, written as each round ends
    summary.json        the run in one object
    detections.json     COCO results of the final detector on the test set
    test_set.json       the annotations that were measured against, and where the pictures are
    test_pictures/      test pictures that are no files (drawn or composed), at most 60 of them
    rounds_detections/  what each round's detector found in them, at most 300 a picture and
                        200,000 in all, written as each round ends; final.json is of the whole
                        detector, where it is measured apart
    hard_negatives/     the hardest windows that each round mined, as a sheet and as a list
    checkpoint/         what --resume goes on from: run.npz, what was started; of each view the
                        last round that ended, view_0.npz, and the pass begun since,
                        view_0_pass.npz
    report.html         all of this for people, made by bootstrap_det.report from the rest
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bootstrap_det._files import LEFTOVERS, writing
from bootstrap_det.exceptions import DataError
from bootstrap_det.round_detections import FOLDER, PICTURES, TEST_SET

_CHECKPOINT = "checkpoint"
_FILES = (
    "model.bdet", "rounds.jsonl", "summary.json", "detections.json", "report.html", TEST_SET,
)  # fmt: skip
_FOLDERS = ("hard_negatives", FOLDER, PICTURES)


class RunFolder:
    """The files of one run.

    Parameters
    ----------
    path : Path
        The folder; it is made when the first file is written.
    overwrite : bool, default=False
        Remove the files of an earlier run; anything else in the folder is left alone.
    resume : bool, default=False
        Go on with the run in the folder. A folder that is missing or empty is of a run that was
        ended before it wrote anything, which begins anew.

    Raises
    ------
    DataError
        When the folder exists and neither ``overwrite`` nor ``resume`` is set, or when what is in
        it is no run to resume.
    """

    def __init__(self, path: Path, *, overwrite: bool = False, resume: bool = False) -> None:
        self.path = path
        if path.exists() and not path.is_dir():
            raise DataError(f"{path}: is a file, not a folder. Give another --out.")
        occupied = any(each.is_file() and not each.match(LEFTOVERS) for each in path.rglob("*"))
        if resume and occupied and not self.begun:
            raise DataError(
                f"{path}: holds no checkpoint to resume. Start the run without --resume, in "
                "another --out or with --overwrite."
            )
        if occupied and not (overwrite or resume):
            raise DataError(
                f"{path}: exists already. Give --overwrite to replace it, --resume to go on with "
                "it, or another --out."
            )
        _require_writable(path)
        self._stale = overwrite and not resume

    @property
    def begun(self) -> bool:
        """Whether there is something to resume."""
        return self.start.is_file()

    @property
    def start(self) -> Path:
        """The path of what tells which run was started."""
        return self.path / _CHECKPOINT / "run.npz"

    def checkpoint(self, view: int) -> Path:
        """Return the path of a view's last round."""
        return self.path / _CHECKPOINT / f"view_{view}.npz"

    def checkpoint_of_pass(self, view: int) -> Path:
        """Return the path of a view's last mining pass, as far as it went."""
        return self.path / _CHECKPOINT / f"view_{view}_pass.npz"

    def file(self, *parts: str) -> Path:
        """Return the path of a file of the folder to write, its folders made."""
        return self.writable(self.path.joinpath(*parts))

    def writable(self, target: Path) -> Path:
        """Return a path of the folder once its own folder is made."""
        if self._stale:
            self._remove_earlier_run()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"{target.parent}: cannot be made ({error.strerror}). Give another --out."
            ) from None
        return target

    def remove_leftovers(self) -> None:
        """Remove files that an earlier process was writing when it was killed."""
        for path in self.path.rglob(LEFTOVERS):
            path.unlink(missing_ok=True)

    def _remove_earlier_run(self) -> None:
        self._stale = False
        with writing(self.path):
            # First: what is left must not look like a run to resume.
            shutil.rmtree(self.path / _CHECKPOINT, ignore_errors=True)
            for name in _FILES:
                (self.path / name).unlink(missing_ok=True)
        for name in _FOLDERS:
            shutil.rmtree(self.path / name, ignore_errors=True)


def _require_writable(path: Path) -> None:
    """Refuse a folder that nothing can be written to, before hours of work."""
    nearest = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not os.access(nearest, os.W_OK):
        raise DataError(
            f"{nearest}: cannot be written to. Give another --out, or change its permissions."
        )
