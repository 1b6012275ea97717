"""Annotation formats: Pascal VOC, YOLO, CSV, imglab, OpenCV and shards beside COCO."""

from bootstrap_det.data.formats.registry import (
    FORMATS,
    read_annotations,
    recognise,
    write_annotations,
)
from bootstrap_det.data.formats.writing import Written

__all__ = ["FORMATS", "Written", "read_annotations", "recognise", "write_annotations"]
