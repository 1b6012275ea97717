"""Presets that trade training time and speed for accuracy; what each costs is measured.

A preset fills in what the user and the data set's card leave open. The figures are those of
``docs/benchmarks.md``.
"""

from __future__ import annotations

from typing import Any

from bootstrap_det._validation import check_choice

BUDGETS: dict[str, dict[str, Any]] = {
    "fast": {"rounds": 2, "n_trees": 512, "scales_per_octave": 4, "n_images_per_round": 400},
    "default": {"rounds": 3, "n_trees": 2048, "scales_per_octave": 6, "n_images_per_round": 600},
    "best": {
        "rounds": 4, "n_trees": 4096, "keep": 0.998, "scales_per_octave": 12, "n_copies": 2,
        "n_random_negatives": 10000, "n_negatives_per_round": 15000,
    },
}  # fmt: skip

# What only boosted trees take; a linear classifier has the rest of the preset.
_OF_TREES = ("n_trees", "keep")


def with_budget(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options with the preset's values for what is None."""
    name = check_choice(options.get("budget") or "default", "budget", "train", BUDGETS)
    preset = {
        key: value
        for key, value in BUDGETS[name].items()
        if options["classifier"] == "boosted" or key not in _OF_TREES
    }
    return {**options, **{k: v for k, v in preset.items() if options.get(k) is None}}
