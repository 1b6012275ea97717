"""The main job: bootstrap a detector from data that comes with the packages.

``python run_bootstrap.py --rounds 2`` trains a face detector and shows how false positives fall
round by round; ``--help`` lists everything else.
"""

from bootstrap_det.cli import run_bootstrap

if __name__ == "__main__":
    run_bootstrap()
