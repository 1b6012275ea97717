"""Train and run fast rigid-object detectors on a CPU, with bootstrapped negatives."""

__version__ = "0.1.0"
