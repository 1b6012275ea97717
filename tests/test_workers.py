"""Who does the work must not matter: threads, processes, a cluster, and what is left of it."""

import json
import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from crosses import invoke, train_arguments, write_crosses
from joblib import parallel_config

from bootstrap_det import workers
from bootstrap_det._cli_common import WORKERS
from bootstrap_det.data import Dataset, Picture, read_negatives
from bootstrap_det.exceptions import DataError, ParameterError, WorkerError
from bootstrap_det.images import write_image
from bootstrap_det.mining import Callback
from bootstrap_det.workers import BACKENDS, in_parallel, on_workers

pytestmark = pytest.mark.filterwarnings(  # of the libraries that start the workers
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::UserWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)  # fmt: skip


@pytest.fixture(scope="module")
def cluster():
    """Return the address of a Dask cluster of three processes on this machine."""
    distributed = pytest.importorskip("distributed", reason="no Dask here")
    with distributed.LocalCluster(
        n_workers=3, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


def backends(cluster):
    return {
        "one thread": {"backend": "threads", "n_jobs": 1},
        "threads": {"backend": "threads", "n_jobs": 2},
        "processes": {"backend": "processes", "n_jobs": 2},
        "dask": {"backend": "dask", "scheduler": cluster},
    }


EVERY = pytest.mark.parametrize("name", ["one thread", "threads", "processes", "dask"])


def run(name, cluster, work, items, **options):
    chosen = backends(cluster)[name]
    with on_workers(**chosen):
        yield from in_parallel(work, items, n_jobs=chosen.get("n_jobs", 1), **options)


def cube(value):
    return value**3


def refuse_some(value):
    if value in (5, 7):
        raise DataError(f"{value} cannot be read.")
    return value


def die_once(marker, value):
    """End the process that is given 4, the first time."""
    if value == 4 and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def die(value):
    os.kill(os.getpid(), signal.SIGKILL)


def inner(value):
    return sum(in_parallel(cube, ((each,) for each in range(value)), n_jobs=2))


@EVERY
def test_results_come_in_the_order_of_the_items(name, cluster):
    assert list(run(name, cluster, cube, zip(range(50)))) == [value**3 for value in range(50)]
    assert list(run(name, cluster, cube, [])) == []


@pytest.mark.parametrize("name", ["processes", "dask"])
def test_results_can_come_as_they_are_ready(name, cluster):
    found = run(name, cluster, cube, zip(range(20)), as_ready=True, prefer="processes")
    assert sorted(found) == [value**3 for value in range(20)]


@pytest.mark.parametrize("name", ["one thread", "threads"])
def test_the_first_item_that_is_refused_is_the_one_that_is_told(name, cluster):
    results = run(name, cluster, refuse_some, zip(range(30)))
    assert [next(results) for _ in range(5)] == list(range(5))
    with pytest.raises(DataError, match="5 cannot be read"):
        next(results)


@pytest.mark.parametrize("name", ["threads", "dask"])
def test_work_inside_work_is_done_by_the_worker(name, cluster):
    assert list(run(name, cluster, inner, zip(range(4)))) == [0, 0, 1, 9]


@pytest.mark.parametrize("name", ["one thread", "threads", "dask"])
def test_results_that_nobody_wants_are_no_trouble(name, cluster):
    results = run(name, cluster, cube, zip(range(10_000)))
    assert next(results) == 0
    results.close()
    assert list(run(name, cluster, cube, zip(range(3)))) == [0, 1, 8]


@pytest.mark.parametrize("name", ["processes", "dask"])
def test_a_killed_worker_changes_nothing(name, cluster, tmp_path):
    work = partial(die_once, str(tmp_path / "died"))
    assert list(run(name, cluster, work, zip(range(30)))) == list(range(30))
    assert (tmp_path / "died").exists()


def test_an_item_that_kills_every_worker_is_given_up():
    with (
        on_workers("processes"),
        pytest.raises(WorkerError, match=r"died 3 times in a row.* want of memory"),
    ):
        list(in_parallel(die, zip(range(2)), n_jobs=2))


def test_workers_of_the_caller_are_used():
    with parallel_config(backend="loky"):
        (pid,) = in_parallel(os.getpid, [()], n_jobs=2)
    assert pid != os.getpid()
    (pid,) = in_parallel(os.getpid, [()], n_jobs=2)
    assert pid == os.getpid()


def test_a_cluster_that_does_not_answer(monkeypatch):
    pytest.importorskip("distributed", reason="no Dask here")
    monkeypatch.setattr(workers, "_SECONDS_TO_ANSWER", 1)
    said = r"There is no Dask cluster at tcp://127\.0\.0\.1:1 .* Check the address"
    with pytest.raises(WorkerError, match=said):
        on_workers("dask", scheduler="tcp://127.0.0.1:1").__enter__()
    with pytest.raises(WorkerError, match="There is no Dask cluster at nowhere"):
        on_workers("dask", scheduler="nowhere").__enter__()


def test_a_cluster_without_workers_is_a_sentence(monkeypatch):
    distributed = pytest.importorskip("distributed", reason="no Dask here")
    monkeypatch.setattr(workers, "_SECONDS_TO_ANSWER", 1)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None) as empty,
        on_workers("dask", scheduler=empty.scheduler_address),
        parallel_config(backend="dask", wait_for_workers_timeout=1),
        pytest.raises(WorkerError, match=r"The cluster does not answer .* Start its scheduler"),
    ):
        list(in_parallel(cube, zip(range(3))))


def test_a_scheduler_needs_a_cluster():
    said = r"--scheduler is for --backend dask or ray\. Got threads"
    with pytest.raises(ParameterError, match=said):
        on_workers("threads", scheduler="tcp://x").__enter__()


def test_the_command_line_knows_all_backends():
    command = WORKERS(lambda: None)
    (choice,) = (p for p in command.__click_params__ if p.name == "backend")
    assert tuple(choice.type.choices) == BACKENDS


@pytest.fixture(scope="module")
def on_disk(toy, tmp_path_factory):
    """Return the toy's data as files, as processes would read them."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "bars").mkdir()
    for picture in toy.negatives.pictures:
        write_image(folder / "bars" / picture.name.replace("jpg", "png"), picture.pixels)
    scenes = []
    for picture in toy.dataset.pictures:
        write_image(folder / picture.name, picture.pixels)
        scenes.append(
            Picture(picture.image_id, picture.name, picture.boxes, picture.labels,
                    picture.ignore, picture.crowd, path=folder / picture.name)
        )  # fmt: skip
    return Dataset("crosses", tuple(scenes)), read_negatives(folder / "bars")


@pytest.fixture(scope="module")
def model_of_one_thread(toy, on_disk, tmp_path_factory):
    return trained(toy, on_disk, tmp_path_factory.mktemp("model"), 1)


def trained(toy, on_disk, folder, n_jobs, **options):
    """Return the bytes of a model trained from files."""
    from bootstrap_det.mining import BootstrapParams
    from bootstrap_det.training import train

    dataset, negatives = on_disk
    result = train(
        dataset, negatives=negatives, window=toy.recipe.window, channels=toy.recipe.channels,
        pyramid=toy.recipe.pyramid, learner=toy.recipe.learner,
        params=BootstrapParams(**{**toy.small, "n_jobs": n_jobs}), **options,
    )  # fmt: skip
    result.detector.save(folder / "model.bdet")
    return (folder / "model.bdet").read_bytes()


@pytest.mark.parametrize("name", ["threads", "processes", "dask"])
def test_whoever_works_trains_the_same_model(
    name, cluster, toy, on_disk, model_of_one_thread, tmp_path
):
    chosen = backends(cluster)[name]
    with on_workers(**chosen):
        model = trained(toy, on_disk, tmp_path, chosen.get("n_jobs", 1))
    assert model == model_of_one_thread


class KillsAWorker(Callback):
    """Kills one process of a cluster in the middle of a round's mining."""

    def __init__(self, cluster):
        from distributed import Client

        self.round, self.killed, self.client = -1, 0, Client(cluster, set_as_default=False)

    def on_round_begin(self, round_index):
        self.round = round_index

    def on_progress(self, phase, n_done, n_total):
        if (self.round, phase, n_done, self.killed) == (1, "mine", 2, 0):
            self.killed = next(iter(self.client.run(os.getpid).values()))
            os.kill(self.killed, signal.SIGKILL)


def test_a_worker_killed_in_training_changes_no_bit(
    cluster, toy, on_disk, model_of_one_thread, tmp_path
):
    killer = KillsAWorker(cluster)
    with on_workers("dask", scheduler=cluster):
        model = trained(toy, on_disk, tmp_path, 1, callbacks=[killer])
    killer.client.close()
    assert killer.killed
    assert model == model_of_one_thread


def test_the_command_line_works_on_a_cluster(cluster, tmp_path):
    data = write_crosses(tmp_path)
    on_it = ("--backend", "dask", "--scheduler", cluster)
    for out, more in (("one", ()), ("cluster", on_it)):
        result = invoke(*train_arguments(data, tmp_path / out, "--rounds", "1", *more))
        assert result.exit_code == 0, result.output
    model = tmp_path / "cluster/model.bdet"
    assert model.read_bytes() == (tmp_path / "one/model.bdet").read_bytes()
    found = [
        invoke("detect", data / "test/images", "--model", model, "--json", *more).stdout
        for more in ((), on_it)
    ]
    assert found[0] == found[1] != ""
    measured = invoke(
        "evaluate",
        "--model",
        model,
        "--test-data",
        data / "test/annotations.json",
        "--json",
        *on_it,
    )
    summary = json.loads((tmp_path / "one/summary.json").read_text())
    assert json.loads(measured.stdout)["ap"] == summary["final"]["ap50"]


@pytest.mark.parametrize("name", ["processes", "dask"])
def test_whoever_works_detects_and_measures_the_same(name, cluster, toy, on_disk):
    from bootstrap_det.evaluation import evaluate_detector

    images = [picture.load() for picture in on_disk[0].pictures]
    one = list(toy.detector.detect_batch(images))
    measured = evaluate_detector(toy.detector, on_disk[0])
    with on_workers(**backends(cluster)[name]):
        other = list(toy.detector.detect_batch(images, n_jobs=2))
        again = evaluate_detector(toy.detector, on_disk[0], n_jobs=2)
    for ours, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(ours.boxes, theirs.boxes)
        np.testing.assert_array_equal(ours.scores, theirs.scores)
    assert again.evaluation.ap == measured.evaluation.ap
    assert again.n_windows == measured.n_windows
