"""Writes the model files of one format, with what they find, by the package as it is installed.

It ran once with each version that wrote another format, see README.md.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from model_scenes import GROUPS, scene, test_picture

from bootstrap_det import Detector
from bootstrap_det.channels import HOG
from bootstrap_det.data import Dataset, Picture
from bootstrap_det.mining import BootstrapParams
from bootstrap_det.persistence import MODEL_FORMAT_VERSION
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.samples import Jitter
from bootstrap_det.training import train

HERE = Path(__file__).parent
QUICK = {
    "jitter": Jitter(n_copies=2, shift=0.1),
    "pyramid": Pyramid(scales_per_octave=3, max_object_size=60),
    "window": (24, 24),
    "params": BootstrapParams(
        n_rounds=1, n_random_negatives=200, n_negatives_per_round=150, min_new_negatives=0, seed=5
    ),
}


def dataset(of, n=16, groups=None):
    """Return pictures with one object each of the labels that ``of`` gives for an index."""
    pictures = []
    for index in range(n):
        labels = of(index)
        image, boxes = scene(index, labels)
        flags = [False] * len(labels)
        pictures.append(
            Picture(index, f"{index:02}.png", boxes, labels, flags, flags, pixels=image)
        )
    if groups is None:
        return Dataset("objects", tuple(pictures))
    return Dataset("objects", tuple(pictures), categories=tuple(groups), groups=groups)


def crosses():
    return dataset(lambda index: ["cross"], 36)


def bars():
    kinds = tuple(GROUPS)
    return dataset(lambda i: [kinds[i % 2], kinds[2 + i // 2 % 2]], 24, GROUPS)


def linear(**more):
    channels = HOG(cell_size=4, n_orientations=6, signed=True, interpolate=True, epsilon=2.0)
    return {**QUICK, "channels": channels, **more}


def boosted(**more):
    from bootstrap_det.channels import ACF
    from bootstrap_det.classifiers import BoostedLearner

    learner = BoostedLearner(n_trees=48, n_trees_first=12, depth=2, holdout=0.25, feature_share=0.1)
    return {**QUICK, "channels": ACF(), "learner": learner, **more}


def learners():
    from bootstrap_det.classifiers import LinearLearner

    return {"learner": LinearLearner(C=1.0)}


def refined(detector, data, **more):
    from bootstrap_det.refinement.params import RefineParams
    from bootstrap_det.refining import refine

    params = RefineParams(rescore=True, location="both", max_lost=0.05, **more)
    return refine(detector, data, params)[0]


def models(version):
    """Yield names and detectors of one format."""
    if version == 1:
        yield "linear", train(crosses(), **linear()).detector
        return
    yield "linear", train(crosses(), **linear(**learners())).detector
    yield "boosted", train(crosses(), **boosted()).detector
    if version >= 3:
        yield "classes", train(bars(), strategy="hierarchical", **linear(**learners())).detector
        if version == 3:  # those of format 4 are as large as all others together
            yield "boosted_classes", train(bars(), strategy="hierarchical", **boosted()).detector
    if version >= 4:
        detector = train(crosses(), **boosted()).detector
        yield "refined", refined(detector, crosses())
        yield "refined_by_trees", refined(detector, crosses(), regressor="trees")


def found_by(detector):
    """Return the detections in the test picture, ready for JSON."""
    found = detector.detect(test_picture())
    columns = ("boxes", "scores", "labels", "classes", "class_probabilities")
    values = {name: getattr(found, name, None) for name in columns}
    return {name: value.tolist() for name, value in values.items() if value is not None}


def main(version):
    for name, detector in models(version):
        path = HERE / f"v{version}_{name}.bdet"
        detector.save(path)
        found = found_by(Detector.load(path))
        path.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        n_bytes, number = path.stat().st_size, len(found["scores"])
        sys.stdout.write(f"{path.name}: {n_bytes} bytes, {number} found\n")


if __name__ == "__main__":
    main(MODEL_FORMAT_VERSION)
