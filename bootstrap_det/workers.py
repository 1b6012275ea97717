"""Work on many pictures at a time: on threads, on processes, or on the machines of a cluster.

Results come in the order of the items, so nothing depends on who did the work. An item that was
lost with a process that died is worked on again.

The workers are joblib's: whoever calls the package from Python chooses them by
``joblib.parallel_config``, and :func:`on_workers` does it for the command line.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, islice
from threading import get_ident
from typing import Any, TypeVar, cast

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError
from joblib.parallel import get_active_backend

from bootstrap_det import __version__
from bootstrap_det._validation import check_choice, check_int
from bootstrap_det.exceptions import BootstrapDetError, ParameterError, WorkerError

BACKENDS = ("threads", "processes", "dask", "ray")
"""What can work: threads and processes of this machine, a Dask or a Ray cluster."""

_ON_CLUSTER = ("dask", "ray")
_MOST_DEATHS = 3  # of workers, one after the other without a result in between
_ITEMS_AT_A_TIME = 256  # where a backend only returns when all that it was given is done
_AHEAD = 3  # items for each thread, so that none waits for the slowest
_SECONDS_TO_ANSWER = 10  # of a scheduler, and of the first worker

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_parallel(
    work: Callable[..., _Result],
    items: Iterable[tuple[Any, ...]],
    *,
    n_jobs: int = 1,
    prefer: str = "threads",
    as_ready: bool = False,
) -> Generator[_Result, None, None]:
    """Yield what ``work`` makes of each item, in the order of the items.

    Parameters
    ----------
    work : callable
        Called with an item's values. For processes it must be picklable, as must what it returns;
        it is sent to each machine of a cluster once. It must give the same for the same item, and
        change nothing.
    items : iterable of tuple
        Taken some at a time, as workers become free.
    n_jobs : int, default=1
        How many at a time; a Dask cluster takes as many as it has threads.
    prefer : {"threads", "processes"}, default="threads"
        What they are, unless a surrounding ``joblib.parallel_config`` names a backend.
    as_ready : bool, default=False
        For long work: one item at a time, and, but for threads, results in the order in which
        they are ready.

    Raises
    ------
    BootstrapDetError
        Of an item, when it is its turn; so it is the same one, whoever works.
    WorkerError
        When workers died three times in a row without finishing an item, or a cluster has none
        or does not answer any more.
    """
    waiting: dict[int, tuple[Any, ...]] = {}
    source, n_deaths = enumerate(items), 0
    way = _Way(n_jobs, prefer, as_ready)
    while True:
        again = list(waiting.items())
        try:  # to start is to send the work, maybe to a worker that is dying
            results = _started(work, _noted(chain(again, source), waiting), way)
            with _stopping(results):
                for number, result in results:
                    del waiting[number]
                    n_deaths = 0
                    if isinstance(result, _Refused):
                        raise result.error
                    yield result
            return
        except _deaths() as error:
            n_deaths += 1
            if n_deaths == _MOST_DEATHS:
                raise WorkerError(
                    f"Workers died {n_deaths} times in a row ({type(error).__name__}), probably "
                    "for want of memory. Give them more, or work on fewer pictures at a time "
                    "with --jobs."
                ) from None
        except OSError as error:
            if not _is(get_active_backend(prefer=prefer)[0], "DaskDistributed"):
                raise
            why = " ".join(str(error).split()).partition(". ")[0].rstrip(".")
            raise WorkerError(
                f"The cluster does not answer ({why}). Start its scheduler and its workers, or "
                "choose another --backend."
            ) from None


@contextmanager
def on_workers(
    backend: str = "threads", *, scheduler: str | None = None, n_jobs: int = 1
) -> Iterator[None]:
    """Let all work inside the block be done by a backend.

    Parameters
    ----------
    backend : {"threads", "processes", "dask", "ray"}, default="threads"
        Who works.
    scheduler : str or None, default=None
        Address of the cluster's scheduler, such as ``tcp://10.0.0.1:8786`` for Dask; by default a
        cluster of ``n_jobs`` processes is started on this machine and ends with the block.
    n_jobs : int, default=1
        Processes of such a cluster.

    Raises
    ------
    WorkerError
        When the cluster cannot be reached, or its machines have another version of the package.
    ParameterError
        When the backend is unknown or not installed, or a scheduler is given to one without.
    """
    check_choice(backend, "backend", "on_workers", BACKENDS)
    check_int(n_jobs, "n_jobs", "on_workers", low=1, high=1024)
    if scheduler is not None and backend not in _ON_CLUSTER:
        raise ParameterError(
            f"--scheduler is for --backend {' or '.join(_ON_CLUSTER)}. Got {backend} with "
            f"{scheduler!r}; leave one of the two out."
        )
    with ExitStack() as stack:
        if backend == "dask":
            stack.enter_context(_dask(scheduler, n_jobs))
        elif backend == "ray":
            stack.enter_context(_ray(scheduler, n_jobs))
        else:
            name = {"threads": "threading", "processes": "loky"}[backend]
            stack.enter_context(parallel_config(backend=name))
        yield


def in_order(
    work: Callable[[_Item], _Result], items: Iterable[_Item], n_threads: int, *, ahead: int = 1
) -> Generator[_Result, None, None]:
    """Yield what ``work`` makes of each item, in the order of the items, on threads.

    Items are taken by the calling thread while ``n_threads`` others work. At most ``ahead`` items
    more than there are threads have been taken and not yielded; a result that is there is yielded
    before the next but one item is taken. However it ends, no thread goes on working.
    """
    pending: deque[Future[_Result]] = deque()
    pool, caller = ThreadPoolExecutor(n_threads), get_ident()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            while pending and (len(pending) >= n_threads + ahead or pending[0].done()):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        # Where nobody closed it, it may be one of the threads that collects it as garbage.
        pool.shutdown(wait=get_ident() == caller, cancel_futures=True)


@dataclass(frozen=True)
class _Way:
    """How items are worked on."""

    n_jobs: int
    prefer: str
    as_ready: bool

    def parallel(self) -> Parallel:
        """Return joblib's workers, of the kind that is set here."""
        if not self.as_ready:
            return Parallel(n_jobs=self.n_jobs, prefer=self.prefer, return_as="generator")
        return Parallel(
            n_jobs=self.n_jobs, prefer=self.prefer, return_as="generator_unordered", batch_size=1
        )


@dataclass(frozen=True)
class _Refused:
    """An item that cannot be worked on; the error is raised when it is the item's turn."""

    error: BootstrapDetError


def _started(
    work: Callable[..., _Result], items: Iterator[tuple[int, tuple[Any, ...]]], way: _Way
) -> Generator[tuple[int, _Result | _Refused], None, None]:
    """Return number and result of items that the chosen workers have begun with."""
    backend, _ = get_active_backend(prefer=way.prefer)
    if getattr(backend, "supports_sharedmem", False):
        return _in_threads(work, items, 1 if _is(backend, "Sequential") else way.n_jobs)
    if not backend.supports_return_generator:
        return _in_parts(work, items, way)
    if _is(backend, "DaskDistributed"):
        with parallel_config(
            backend="dask", client=backend.client,
            wait_for_workers_timeout=backend.wait_for_workers_timeout, **backend.submit_kwargs,
        ):  # fmt: skip
            own, _ = get_active_backend()
            # Sent once, as what a task returns: machines hand it on to each other, and what is
            # lost with one of them is made again. Scattering fails where a machine is dying.
            own.data_futures = {id(work): backend.client.submit(_itself, work, pure=False)}
            parallel = way.parallel()
    else:
        parallel = way.parallel()
    calls = (delayed(_called)(work, number, item) for number, item in items)
    return cast("Generator[tuple[int, _Result | _Refused], None, None]", parallel(calls))


class _Stop(Exception):  # noqa: N818 - it is no error
    """The results that are left are not wanted."""


@contextmanager
def _stopping(results: Generator[Any, None, None]) -> Iterator[None]:
    """Stop the workers where the block is left before the last result.

    To close the generator would do, but joblib warns of that.
    """
    try:
        yield
    except BaseException:
        with suppress(_Stop):
            results.throw(_Stop())
        raise


def _in_threads(
    work: Callable[..., _Result], items: Iterator[tuple[int, tuple[Any, ...]]], n_threads: int
) -> Generator[tuple[int, _Result | _Refused], None, None]:
    """Yield number and result of items, in their order.

    Not by joblib: its threads go on after it is stopped, and a program that ends then crashes.
    """
    if n_threads == 1:
        for number, item in items:
            yield _called(work, number, item)
        return
    yield from in_order(
        lambda each: _called(work, *each), items, n_threads, ahead=_AHEAD * n_threads
    )


def _in_parts(
    work: Callable[..., _Result], items: Iterator[tuple[int, tuple[Any, ...]]], way: _Way
) -> Generator[tuple[int, _Result | _Refused], None, None]:
    """Yield number and result of items, some items at a time."""
    while part := list(islice(items, _ITEMS_AT_A_TIME)):
        calls = (delayed(_called)(work, number, item) for number, item in part)
        yield from Parallel(n_jobs=way.n_jobs, prefer=way.prefer)(calls)


def _itself(work: _Item) -> _Item:
    return work


def _called(
    work: Callable[..., _Result], number: int, item: tuple[Any, ...]
) -> tuple[int, _Result | _Refused]:
    """Return what a worker makes of an item; whatever it starts in turn, it does itself."""
    with parallel_config(backend="sequential"):
        try:
            return number, work(*item)
        except BootstrapDetError as error:
            return number, _Refused(error)


def _noted(
    items: Iterable[tuple[int, tuple[Any, ...]]], waiting: dict[int, tuple[Any, ...]]
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Yield items, and hold those in ``waiting`` that have no result yet."""
    for number, item in items:
        waiting[number] = item
        yield number, item


def _is(backend: Any, kind: str) -> bool:
    """Return whether a backend of joblib is of a kind; its classes are not public."""
    return type(backend).__name__ == f"{kind}Backend"


def _deaths() -> tuple[type[BaseException], ...]:
    """Return the errors that tell of a worker's death."""
    try:
        from distributed.client import FutureCancelledError
        from distributed.comm import CommClosedError
        from distributed.scheduler import KilledWorker
    except ImportError:
        return (TerminatedWorkerError,)
    return TerminatedWorkerError, KilledWorker, CommClosedError, FutureCancelledError


@contextmanager
def _dask(scheduler: str | None, n_jobs: int) -> Iterator[None]:
    """Let a Dask cluster work inside the block."""
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise _not_installed("dask", "dask[distributed]") from None
    with ExitStack() as stack:
        address: Any = scheduler
        if scheduler is None:
            address = stack.enter_context(
                LocalCluster(n_workers=n_jobs, threads_per_worker=1, dashboard_address=None)
            )
        try:
            client = stack.enter_context(Client(address, timeout=_SECONDS_TO_ANSWER))
        except (OSError, ValueError) as error:
            raise _no_cluster("Dask", scheduler, error) from None
        for address, version in client.run(_version).items():
            _require_own_version(address, version)
        stack.enter_context(parallel_config(backend="dask", client=client))
        yield


@contextmanager
def _ray(scheduler: str | None, n_jobs: int) -> Iterator[None]:
    """Let a Ray cluster work inside the block."""
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError:
        raise _not_installed("ray", "ray") from None
    try:
        ray.init(address=scheduler, num_cpus=None if scheduler else n_jobs)
    except (OSError, ValueError, RuntimeError) as error:
        raise _no_cluster("Ray", scheduler, error) from None
    try:
        _require_own_version("a worker", ray.get(ray.remote(_version).remote()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            register_ray()
        with parallel_config(backend="ray"):
            yield
    finally:
        ray.shutdown()


def _version() -> str:
    """Return the version of the package where this is called."""
    return __version__


def _require_own_version(address: str, version: str) -> None:
    if version != __version__:
        raise WorkerError(
            f"{address} has bootstrap_det {version}, and this is {__version__}: results would "
            "depend on who works. Install one version everywhere."
        )


def _not_installed(backend: str, package: str) -> ParameterError:
    return ParameterError(
        f"--backend {backend} needs a package that is not installed. Run: pip install '{package}'."
    )


def _no_cluster(kind: str, scheduler: str | None, error: Exception) -> WorkerError:
    where = f"at {scheduler}" if scheduler else "on this machine"
    why = str(error).strip().rstrip(".").splitlines()[0] if str(error).strip() else "no answer"
    return WorkerError(
        f"There is no {kind} cluster {where} ({why}). Check the address, or start one."
    )
