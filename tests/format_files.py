"""Annotation files as other tools write them, and the pictures that they are about."""

import numpy as np
from PIL import Image

SIZE = (48, 64)  # height, width


def with_pictures(folder):
    """Return the folder, with two pictures in ``images``."""
    for name in ("a.jpg", "b.jpg"):
        add_picture(folder / "images" / name)
    return folder


def add_picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(path)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def facts(dataset):
    """Return name, boxes, labels and flags of each picture."""
    return [
        (p.name, p.boxes.tolist(), p.labels.tolist(), p.ignore.tolist()) for p in dataset.pictures
    ]


LABEL_IMG = """<annotation>
\t<folder>photos</folder>
\t<filename>a.jpg</filename>
\t<path>C:\\Users\\me\\photos\\a.jpg</path>
\t<source><database>Unknown</database></source>
\t<size><width>64</width><height>48</height><depth>3</depth></size>
\t<segmented>0</segmented>
\t<object>
\t\t<name>stop sign</name>
\t\t<pose>Unspecified</pose>
\t\t<truncated>1</truncated>
\t\t<difficult>0</difficult>
\t\t<bndbox><xmin>1</xmin><ymin>3</ymin><xmax>10</xmax><ymax>20</ymax></bndbox>
\t</object>
\t<object>
\t\t<name>give way</name><occluded>1</occluded><difficult>1</difficult>
\t\t<bndbox><xmax>30.5</xmax><xmin>21.25</xmin><ymax>9</ymax><ymin>2</ymin></bndbox>
\t\t<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>
\t</object>
</annotation>
"""


CSV_ROWS = "images/a.jpg,1,2,11.5,22,cat,1\nimages/b.jpg,,,,,,\nimages/a.jpg,0,0,5,5,dog,0\n"

IMGLAB = """<?xml version='1.0' encoding='ISO-8859-1'?>
<?xml-stylesheet type='text/xsl' href='image_metadata_stylesheet.xsl'?>
<dataset>
<name>imglab dataset</name>
<comment>Created by imglab tool.</comment>
<images>
  <image file='images/b.jpg'>
    <box top='3' left='2' width='10' height='20' pose='1'><label>dog</label></box>
    <box top='-2' left='0' width='5' height='5' ignore='1'/>
  </image>
  <image file='images/a.jpg' width='64' height='48'>
  </image>
</images>
</dataset>
"""
