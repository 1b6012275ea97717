"""The options of training, detecting and measuring, in groups that several verbs take."""

from __future__ import annotations

from typing import Any

import click

from bootstrap_det._cli_common import (
    DATA_ROOT,
    FORMAT,
    JSON,
    OBJECT_SIZES,
    PADDING,
    PATH,
    WINDOW,
    WORKERS,
    options,
)


def _parse_part(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """Return ``X1,Y1,X2,Y2`` as four floats."""
    try:
        part = tuple(float(v) for v in value.split(",")) if value else None
    except ValueError:
        part = ()
    if part is not None and (len(part) != 4 or not (part[0] < part[2] and part[1] < part[3])):
        raise click.BadParameter(f"{value!r} is not a part of a box like 0,0,1,1 (x1,y1,x2,y2).")
    return part


SKIP_BAD = click.option("--skip-bad", is_flag=True, help="Go on after unreadable data, list them.")
BOX_MAP = click.option(
    "--box-map", metavar="X1,Y1,X2,Y2", callback=_parse_part,
    help="The part of a detected box that the annotations mean, in its sides; by default 0,0,1,1.",
)  # fmt: skip
TEST_DATA = options(
    click.option("--test-dataset", metavar="NAME", help="Named test set."),
    click.option("--test-data", type=PATH, help="Annotations of the test set: COCO, VOC, YOLO, "
                 "CSV, imglab, OpenCV or tar shards."),
    click.option("--test-format", type=FORMAT, help="Their format, where it cannot be told."),
    click.option("--test-images", type=PATH, help="Folder of its pictures."),
    click.option("--test-boxes", metavar="NAME", help="Its box convention: a field of the JSON."),
    BOX_MAP,
)  # fmt: skip
TRAIN_DATA = options(
    click.option("--dataset", metavar="NAME", help="Named data set, such as faces."),
    click.option(
        "--data",
        type=PATH,
        help="Annotations of your own data: COCO JSON, "
        "a VOC or YOLO folder, CSV, imglab XML, OpenCV's info.dat or tar shards.",
    ),
    click.option("--data-format", type=FORMAT, help="Their format, where it cannot be told."),
    click.option("--images", type=PATH, help="Folder of their pictures."),
    click.option("--crops", type=PATH, help="Positives as crops: an .npz file or a folder."),
    click.option(
        "--label", multiple=True, help="Which category to train, again for another; by default all."
    ),
    click.option(
        "--negatives",
        type=PATH,
        multiple=True,
        help="Folder or tar shards of pictures without the object.",
    ),
    DATA_ROOT,
    TEST_DATA,
)
FEATURES = options(
    click.option(
        "--features",
        type=click.Choice(["acf", "hog"]),
        default="acf",
        show_default=True,
        help="Aggregated channels, or HOG.",
    ),
    click.option("--cell-size", type=int, help="Side of a cell in pixels."),
    click.option("--block-size", type=int, help="HOG: side of a block in cells."),
    click.option("--n-orientations", type=int, help="Bins of orientation."),
    click.option("--signed/--unsigned", default=None, help="HOG: bins over 360 or 180 degrees."),
    click.option(
        "--interpolate/--no-interpolate", default=None, help="HOG: share pixels among cells."
    ),
    click.option("--gamma/--no-gamma", default=None, help="HOG: square root of the pixels first."),
    click.option("--epsilon", type=float, help="HOG: noise floor of a block, in grey levels."),
    click.option(
        "--normalise",
        type=click.Choice(["window", "local", "none"]),
        help="ACF: what makes contrast and light count less.",
    ),
    click.option("--radius", type=int, help="ACF: of --normalise local, in cells."),
    click.option("--noise", type=float, help="ACF: noise floor, in grey levels."),
    click.option(
        "--coarser/--not-coarser",
        default=None,
        help="ACF: add the channels of one octave up; with --context, of the neighbourhood.",
    ),
    click.option("--color", type=click.Choice(["grey", "rgb"]), help="Pictures to read."),
)
DETECTOR = options(
    OBJECT_SIZES,
    PADDING,
    click.option("--nms-threshold", type=float, help="Largest overlap of two detections."),
    click.option("--nms-kind", type=click.Choice(["iou", "min"]), help="How overlap is measured."),
    click.option(
        "--suppression",
        type=click.Choice(["nms", "vote", "soft-nms", "fusion"]),
        help="Of overlapping windows, nms: the best; vote: their boxes averaged first; soft-nms: "
        "all, with lower scores; fusion: one mean box a cluster.",
    ),
    click.option(
        "--across-labels/--within-labels",
        default=None,
        help="Whether a better detection of another label suppresses one, too.",
    ),
)
BARE = options(
    click.option("--no-refinement", is_flag=True, help="Boxes and scores of the templates."),
    click.option("--no-location", is_flag=True, help="Scan all rows, whatever was learnt."),
)
LOCATION = options(
    click.option("--location", type=click.Choice(["prune", "rescore", "both"]),
                 help="Learn at which height of the picture objects of a size are: leave the "
                 "other windows out, weigh scores by it, or both."),
    click.option("--max-lost", type=float,
                 help="Largest share of the objects where windows are left out; 0.0025."),
)  # fmt: skip
REFINE = options(
    click.option("--loss", metavar="NAME", help="Of the boxes: l1, smooth-l1, giou and others; by "
                 "default smooth-l1; none leaves boxes alone."),
    click.option("--regressor", type=click.Choice(["linear", "trees"]), help="By default linear."),
    click.option("--stages", "n_stages", type=int, help="Stages at rising overlap; by default 1."),
    click.option("--rescore", is_flag=True, help="Judge in each stage how well the box lies."),
    click.option("--order", type=click.Choice(["classify-then-regress", "regress-then-classify"]),
                 help="Of box and judgement in a stage; by default the first."),
    click.option("--weights", type=click.Choice(["none", "carl"]),
                 help="carl: boxes of high scores count more."),
    click.option("--guided", is_flag=True, help="Scale the judgement's loss to that of the boxes."),
    click.option("--sampling", type=click.Choice(["survivors", "iou-uniform"]),
                 help="Windows to learn from: what the scan finds, or evenly over the overlap."),
    click.option("--min-iou", type=float, help="Least overlap of such a window; by default 0.5."),
    LOCATION,
)  # fmt: skip
SCALES = options(
    WINDOW,
    OBJECT_SIZES,
    PADDING,
    click.option("--power-law", is_flag=True,
                 help="Approximate the levels between octaves, as Dollar et al. 2014."),
)  # fmt: skip
LOOP = options(
    click.option("--budget", type=click.Choice(["fast", "default", "best"]),
                 help="How many rounds, trees and scales: fast trains in a third of the time and "
                 "scans faster, best takes several times as long. Options given override it."),
    click.option("--rounds", type=click.IntRange(0),
                 help="Rounds of mining after round 0; by default 2, 3 or 4 by --budget."),
    click.option("--views", type=click.IntRange(1, 32),
                 help="Templates, each for a group of like objects; by default 1."),
    click.option("--mirror-pairs", is_flag=True,
                 help="For objects that face left or right: each template and its mirror image."),
    click.option("--C", "C", type=float, help="svm: by default cross-validated."),
    click.option("--n-trees", type=int, help="boosted: most trees of a round."),
    click.option("--n-trees-first", type=int, help="boosted: trees of round 0; then times 4."),
    click.option("--depth", type=int, help="boosted: depth of a tree, 1 to 5."),
    click.option("--loss", type=click.Choice(["logistic", "exponential"]),
                 help="boosted: logistic by default; exponential is AdaBoost's."),
    click.option("--shrinkage", type=float, help="boosted: factor on every leaf."),
    click.option("--first-trees", type=int,
                 help="boosted: trees on plain channels, which scan fast, before normalised ones."),
    click.option("--keep", type=float, help="boosted: share of objects the cascade must keep."),
    click.option("--holdout", type=float, help="boosted: share of objects to calibrate it by."),
    click.option("--hard-positives", type=float,
                 help="boosted: how much more an object weighs that the round before missed."),
    click.option("--n-copies", type=int, help="Jittered copies of each positive."),
    click.option("--mirror/--no-mirror", default=None, help="Mirror images of the positives."),
    click.option("--shift", type=float, help="Of copies, at most, in heights of the object."),
    click.option("--scale", type=float, help="Change of size of copies, at most, as a share."),
    click.option("--rotation", type=float, help="Of copies, at most, in degrees."),
    click.option("--gain", type=float, help="Change of contrast of copies, at most, as a share."),
    click.option("--light", type=float, help="Loss of light of copies, at most, as a share."),
    click.option("--blur", type=float, help="Of copies, at most: deviation in window pixels."),
    click.option("--pixel-noise", type=float, help="Of copies, at most: deviation in grey levels."),
    click.option("--n-random-negatives", type=int, help="Random windows of round 0."),
    click.option("--n-images-per-round", type=int, help="Most pictures mined in a round."),
    click.option("--n-negatives-per-image", type=int, help="Most windows mined from a picture."),
    click.option("--n-negatives-per-round", type=int, help="Most windows mined in a round."),
    click.option("--n-negatives-last-round", type=int,
                 help="The same in the last round: a final fit on a larger cache."),
    click.option("--mining-threshold", type=float, help="Smallest score of a mined window."),
    click.option("--min-new-negatives", type=int, help="Fewer new windows mean convergence."),
    click.option("--max-cache-bytes", type=int, help="Limit on the negatives' features."),
    click.option("--max-memory-bytes", type=int,
                 help="boosted: features and their copies beyond it lie in files; 4 GiB."),
)  # fmt: skip
CHOICES = options(
    click.option("--classifier", type=click.Choice(["boosted", "svm"]), default="boosted",
                 show_default=True, help="Boosted trees with a cascade, or a linear template."),
    click.option("--strategy", metavar="NAME[:PARAM=VALUE,...]",
                 help="Remedy for imbalance, several joined by +; by default bootstrap. "
                 "'bootstrap-det compare --list' lists them."),
    click.option("--refine", metavar="LOSS", is_flag=False, flag_value="smooth-l1",
                 help="Learn better boxes at the end by a loss of 'refine'; by default smooth-l1."),
    LOCATION,
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
                 help="Of all that is random."),
)  # fmt: skip
RUN = options(
    click.option("--out", type=PATH, help="Run folder; by default runs/NAME."),
    click.option("--overwrite", is_flag=True, help="Replace an earlier run in the folder."),
    click.option("--resume", is_flag=True, help="Go on with the run in the folder, be it killed."),
    click.option(
        "--checkpoint-every",
        type=int,
        help="Pictures of a mining pass after which its state is kept; 500.",
    ),
    WORKERS,
    SKIP_BAD,
    JSON,
)
