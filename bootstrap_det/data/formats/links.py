"""Pictures that stay where they are, found from annotations that lie elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

from bootstrap_det.data.dataset import Dataset
from bootstrap_det.data.picture import Picture


def images_root(dataset: Dataset) -> Path | None:
    """Return the folder that all pictures lie in under their names, None when there is none."""
    roots = {_root(picture) for picture in dataset.pictures}
    return roots.pop() if len(roots) == 1 else None


def _root(picture: Picture) -> Path | None:
    if picture.path is None:
        return None
    path, name = Path(os.path.abspath(picture.path)), os.path.normpath(picture.name)
    root = str(path).removesuffix(os.sep + name)
    return Path(root) if root != str(path) else None


def link_images(dataset: Dataset, folder: Path) -> str | None:
    """Make ``images`` in a folder lead to the pictures, unless they are found anyway.

    Returns
    -------
    str or None
        What was linked, or what the user must do to read annotations in ``folder``; None when
        the pictures are found as they are.
    """
    if not dataset.pictures:
        return None
    if any(picture.member is not None for picture in dataset.pictures):
        return "The pictures lie inside archives; give --copy-images to take them out."
    root = images_root(dataset)
    if root is None:
        return "The pictures lie in several folders; give --copy-images to bring them together."
    link = folder / "images"
    found = link if link.is_dir() else folder
    if found.exists() and found.samefile(root):
        return None
    if not os.path.lexists(link):
        try:
            link.symlink_to(os.path.relpath(root, os.path.realpath(folder)), True)
        except OSError:  # not every file system has links
            pass
        else:
            return f"{link} is a link to {root}, where the pictures stay."
    return f"The pictures stay in {root}; give --images {root} to read the annotations."
