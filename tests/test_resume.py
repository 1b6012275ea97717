"""A run that was cut off, at whatever moment and by whatever, goes on to the same model."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time

import pytest
from crosses import LINEAR, invoke, train_arguments, write_crosses
from PIL import Image

from bootstrap_det import _files, runs
from bootstrap_det.data.picture import Picture
from bootstrap_det.mining import Callback

OFTEN = ("--checkpoint-every", "3")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_crosses(tmp_path_factory.mktemp("crosses"))


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    """Return the bytes of the model of a run that nothing happened to."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert invoke(*train_arguments(data, out)).exit_code == 0
    return (out / "model.bdet").read_bytes()


class CutError(Exception):
    """The process ends here, as far as the run can tell."""


class Saw(Callback):
    """Ends the run at its n-th event of any kind."""

    def __init__(self, n_events):
        self.n_left = n_events

    def _count(self):
        self.n_left -= 1
        if self.n_left < 0:
            raise CutError

    def on_round_begin(self, round_index):
        self._count()

    def on_progress(self, phase, n_done, n_total):
        self._count()

    def on_pictures_mined(self, recipe, begun):
        self._count()

    def on_round_end(self, record, state):
        self._count()


def cut_at(monkeypatch, n_events, *arguments):
    """Run the command line until an event; return whether it got so far."""
    whole = runs.run_training
    monkeypatch.setattr(
        runs, "run_training", lambda job, callbacks: whole(job, callbacks=[Saw(n_events)])
    )
    result = invoke(*arguments)
    monkeypatch.setattr(runs, "run_training", whole)
    assert result.exit_code == 0 or isinstance(result.exception, CutError), result.output
    return isinstance(result.exception, CutError)


def test_a_run_is_cut_off_at_every_kind_of_moment(data, undisturbed, tmp_path, monkeypatch):
    out, arguments, n_events, n_cuts = tmp_path / "run", None, 17, 0
    arguments = train_arguments(data, out, *OFTEN)
    while cut_at(monkeypatch, n_events, *arguments):  # each time from where the last one ended
        arguments = train_arguments(data, out, *OFTEN, "--resume")
        n_events, n_cuts = n_events + 5, n_cuts + 1
    assert n_cuts > 5
    assert (out / "model.bdet").read_bytes() == undisturbed


def other_arguments(kind, data, out):
    if kind == "views":
        return train_arguments(data, out, *OFTEN, "--views", "2")
    arguments = [
        "train", "--data", data / "train/annotations.json", "--negatives", data / "background",
        "--out", out, "--jobs", "1", *LINEAR, *OFTEN,
    ]  # fmt: skip
    return [*arguments, "--strategy", "ohem"] if kind == "ohem" else arguments


@pytest.mark.parametrize("kind", ["linear", "views", "ohem"])
def test_other_runs_go_on_as_well(kind, data, tmp_path, monkeypatch):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert invoke(*other_arguments(kind, data, whole)).exit_code == 0
    assert cut_at(monkeypatch, 75, *other_arguments(kind, data, cut))
    result = invoke(*other_arguments(kind, data, cut), "--resume")
    assert result.exit_code == 0, result.output
    assert (cut / "model.bdet").read_bytes() == (whole / "model.bdet").read_bytes()


def test_a_killed_process_is_resumed_and_says_where(data, undisturbed, tmp_path):
    out = tmp_path / "run"
    arguments = [str(each) for each in train_arguments(data, out, *OFTEN)]
    process = subprocess.Popen(
        [sys.executable, "-m", "bootstrap_det", *arguments],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None and not list(out.glob("checkpoint/view_0*.npz")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (out / "checkpoint/.bdet-x1.tmp").write_bytes(b"half a file")
    result = invoke(*arguments, "--resume")
    assert result.exit_code == 0
    assert "resumed: going on with" in result.stderr
    assert not list(out.rglob("*.tmp"))
    assert (out / "model.bdet").read_bytes() == undisturbed


def test_a_folder_that_is_named_from_here(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short = train_arguments(data, "run", "--rounds", "0")
    assert invoke(*short).exit_code == 0
    assert (tmp_path / "run/checkpoint/view_0.npz").is_file()
    assert invoke(*short, "--resume").exit_code == 0


def test_a_run_that_was_killed_before_it_wrote_anything_begins_anew(data, undisturbed, tmp_path):
    result = invoke(*train_arguments(data, tmp_path / "run", "--resume"))
    assert result.exit_code == 0
    assert "nothing to resume" in result.stderr
    assert (tmp_path / "run/model.bdet").read_bytes() == undisturbed


def test_ctrl_c_is_a_sentence_and_the_run_goes_on(data, undisturbed, tmp_path, monkeypatch):
    def interrupt(self, recipe, begun):
        real(self, recipe, begun)
        if begun.round == 1:
            raise KeyboardInterrupt

    real = runs._Writer.on_pictures_mined
    monkeypatch.setattr(runs._Writer, "on_pictures_mined", interrupt)
    out = tmp_path / "run"
    result = invoke(*train_arguments(data, out, *OFTEN))
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "Error: Interrupted. What was finished is kept; --resume goes on."
    )
    monkeypatch.undo()
    again = invoke(*train_arguments(data, out, "--resume"))
    assert "going on with round 1, 3 pictures of which were mined already" in again.stderr
    assert (out / "model.bdet").read_bytes() == undisturbed


@pytest.mark.parametrize("n_writes", [0, 1, 2, 6, 9, 14])
def test_a_full_disk_is_a_sentence_and_the_run_goes_on(
    n_writes, data, undisturbed, tmp_path, monkeypatch
):
    left = [n_writes]

    def fsync(handle):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_files.os, "fsync", fsync)
    out = tmp_path / "run"
    result = invoke(*train_arguments(data, out, *OFTEN))
    assert result.exit_code == 1
    assert "cannot be written (No space left on device)" in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    monkeypatch.undo()
    assert invoke(*train_arguments(data, out, "--resume")).exit_code == 0
    assert (out / "model.bdet").read_bytes() == undisturbed


def test_a_picture_that_disappears_is_named_and_the_run_goes_on(
    data, undisturbed, tmp_path, monkeypatch
):
    def load(self, color="grey"):
        n_reads[0] += 1
        if n_reads[0] == 60:
            gone.rename(gone.with_suffix(".gone"))
        return real(self, color)

    real, n_reads, gone = Picture.load, [0], data / "background/2.jpg"
    monkeypatch.setattr(Picture, "load", load)
    out = tmp_path / "run"
    result = invoke(*train_arguments(data, out, *OFTEN))
    monkeypatch.undo()
    try:
        assert result.exit_code == 1
        assert f"{gone}: no such file." in result.stderr.replace("\n", " ")
        refused = " ".join(invoke(*train_arguments(data, out, "--resume")).stderr.split())
        assert "The negatives are other pictures than when the run was started" in refused
        assert "'2.jpg' is missing (1 missing, 0 new)" in refused
    finally:
        gone.with_suffix(".gone").rename(gone)
    assert invoke(*train_arguments(data, out, "--resume")).exit_code == 0
    assert (out / "model.bdet").read_bytes() == undisturbed


def test_a_picture_that_was_replaced_is_named(data, tmp_path):
    out, picture = tmp_path / "run", data / "background/1.jpg"
    assert invoke(*train_arguments(data, out, "--rounds", "0")).exit_code == 0
    before = picture.read_bytes()
    try:
        Image.new("L", (112, 96)).save(picture)
        result = invoke(*train_arguments(data, out, "--resume"))
    finally:
        picture.write_bytes(before)
    assert result.exit_code == 1
    said = " ".join(result.stderr.split())
    assert "1.jpg: has " in said
    assert "when the run was started, so that cannot be resumed (1 of the negatives" in said


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(data, tmp_path, monkeypatch):
    monkeypatch.setattr(
        os, "access", lambda path, mode: mode != os.W_OK
    )  # as root may write anywhere
    result = invoke(*train_arguments(data, tmp_path / "run"))
    assert result.exit_code == 1
    assert f"Error: {tmp_path}: cannot be written to. Give another --out" in result.stderr
