"""Data sets: pictures with boxes, their readers and writers."""

from bootstrap_det.data.coco import read_coco, write_coco
from bootstrap_det.data.dataset import Dataset, merge
from bootstrap_det.data.folders import read_crops, read_negatives, write_crops
from bootstrap_det.data.formats import FORMATS, Written, read_annotations, write_annotations
from bootstrap_det.data.overlap import without_annotated
from bootstrap_det.data.picture import Crops, Picture, Skipped, Source
from bootstrap_det.data.signs import synth_signs

__all__ = [
    "FORMATS",
    "Crops",
    "Dataset",
    "Picture",
    "Skipped",
    "Source",
    "Written",
    "merge",
    "read_annotations",
    "read_coco",
    "read_crops",
    "read_negatives",
    "synth_signs",
    "without_annotated",
    "write_annotations",
    "write_coco",
    "write_crops",
]
