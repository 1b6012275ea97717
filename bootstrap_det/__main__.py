"""``python -m bootstrap_det``: the command line."""

from bootstrap_det.cli import main

if __name__ == "__main__":
    main(prog_name="bootstrap-det")
