"""Data sets: pictures with boxes, their readers and writers."""

from bootstrap_det.data.balancing import Balanced, balance
from bootstrap_det.data.coco import read_coco, write_coco
from bootstrap_det.data.dataset import Dataset, merge
from bootstrap_det.data.folders import read_crops, read_negatives, write_crops
from bootstrap_det.data.formats import FORMATS, Written, read_annotations, write_annotations
from bootstrap_det.data.merging import by_group, merge_labels
from bootstrap_det.data.overlap import without_annotated
from bootstrap_det.data.picture import Crops, Picture, Skipped, Source
from bootstrap_det.data.signs import synth_signs
from bootstrap_det.data.tiling import Tiled, tile, write_tiles

__all__ = [
    "FORMATS",
    "Balanced",
    "Crops",
    "Dataset",
    "Picture",
    "Skipped",
    "Source",
    "Tiled",
    "Written",
    "balance",
    "by_group",
    "merge",
    "merge_labels",
    "read_annotations",
    "read_coco",
    "read_crops",
    "read_negatives",
    "synth_signs",
    "tile",
    "without_annotated",
    "write_annotations",
    "write_coco",
    "write_crops",
    "write_tiles",
]
