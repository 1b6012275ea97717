"""Data sets: pictures with boxes, their readers and writers."""

from bootstrap_det.data.coco import read_coco, write_coco
from bootstrap_det.data.dataset import Crops, Dataset, Picture, Skipped, merge
from bootstrap_det.data.folders import read_crops, read_negatives

__all__ = [
    "Crops",
    "Dataset",
    "Picture",
    "Skipped",
    "merge",
    "read_coco",
    "read_crops",
    "read_negatives",
    "write_coco",
]
