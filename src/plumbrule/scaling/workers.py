"""Shards done by Ray, in processes here or on the machines of a cluster; the records are the same.

Whoever starts the work keeps the folder: workers get a shard's items, the models and a seed, and
give records back. A shard depends on nothing else, so who did it, in which order and at which try
changes no byte. A worker that is lost is replaced and its shard done again.
"""

import pickle
import socket
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from plumbrule.errors import ConfigError, OutsideError, PlumbruleError, brief
from plumbrule.store import Fan, Meter, ShardDone, Work, do_shard
from plumbrule.version import __version__

TRIES = 5
"""Workers that one shard may lose before it is believed that the shard itself kills them."""

KNOCK_SECONDS = 10.0
"""How long a cluster's address may take to answer at all."""

STARTING_SECONDS = 600.0
"""How long the first machine of a cluster may take to come."""

MOST = 10_000
"""Workers that anybody may ask for."""

# Ray has its workers give way to all others, and here the others are whoever waits for them.
_HERE: dict[str, Any] = {"include_dashboard": False, "_system_config": {"worker_niceness": 0}}


@contextmanager
def ray_workers(address: str) -> Iterator[Fan]:
    """Workers that do shards for as long as the block lasts.

    Args:
        address: `local:N` for N processes on this machine, or a cluster's address, such as
            `auto`, `HOST:6379` or `ray://HOST:10001`; `ADDRESS#N` asks for N workers there, else
            there are as many as it has CPUs.

    Raises:
        ConfigError: The address means nothing, or `ray` is not installed, or the cluster has
            another version of Ray, Python or this package.
        OutsideError: No cluster answers there; or, while shards are done, one was lost `TRIES`
            times.
    """
    place, count = parse_address(address)
    ray = _ray()
    try:
        _knock(place)
        ray.init(
            address="local" if place == "local" else place,
            **(_HERE | {"num_cpus": count} if place == "local" else {}),
            log_to_driver=False,
            logging_level="ERROR",
        )
    except (OSError, ValueError) as error:
        raise OutsideError(
            f"expected a Ray cluster at {place}, none answers: {brief(error)}. Start it, correct "
            "--ray, or give its token in RAY_AUTH_TOKEN, then give the same command to go on."
        ) from error
    except RuntimeError as error:
        raise ConfigError(
            f"expected a Ray cluster of the same versions of Ray and Python as here: {brief(error)}"
        ) from error
    try:
        yield _Workers(ray, count or max(1, int(ray.cluster_resources().get("CPU", 1))))
    finally:
        ray.shutdown()


def parse_address(address: str) -> tuple[str, int | None]:
    """Where the workers are, and how many; None: as many as there are CPUs.

    Raises:
        ConfigError: It is neither `local:N` nor an address.

    Example:
        >>> parse_address("local:2"), parse_address("ray://head:10001#8"), parse_address("auto")
        (('local', 2), ('ray://head:10001', 8), ('auto', None))
    """
    here = address.startswith("local")
    place, mark, said = address.partition(":" if here else "#")
    counted = said.isdecimal() and 1 <= int(said) <= MOST
    if place and (counted or (not mark and not here)):
        return place, int(said) if counted else None
    raise ConfigError(
        "expected `local:N` for N processes here, or the address of a Ray cluster such as `auto`, "
        f"`HOST:6379` or `ray://HOST:10001#N`, got {address!r:.200}"
    )


def _knock(place: str) -> None:
    """See whether anybody listens: Ray itself would try for many minutes.

    Raises:
        OSError: Nobody does.
        ValueError: The address has no host and port.
    """
    if place in ("local", "auto"):
        return
    parts = urlsplit(place if "://" in place else f"//{place}")
    if not parts.hostname or parts.port is None:
        raise ValueError("it names no host and port")
    socket.create_connection((parts.hostname, parts.port), timeout=KNOCK_SECONDS).close()


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "workers in other processes and on other machines need the package `ray`: "
            "`pip install 'plumbrule[ray]'`. Without --ray the same is done in this process."
        ) from error
    return ray


class Worker:
    """One process that does shards, one after another."""

    def __init__(self, version: str, threads: int) -> None:
        """Get ready.

        Args:
            version: Of the package, where the work comes from.
            threads: That torch computes with there: another number would round otherwise.
        """
        import torch

        torch.set_num_threads(threads)
        self._version, self._stage = version, ""
        self._work: tuple[Work, Meter]

    def ready(self) -> None:
        """Answers as soon as there is somebody to."""

    def do(
        self, stage: str, job: bytes, items: Sequence[Any], seed: int
    ) -> tuple[list[Any], dict[str, float]] | PlumbruleError:
        """Do one shard.

        Args:
            stage: Name of the work, the same as long as the work is.
            job: The work and its meter, pickled together with the models that they use.
            items: The shard's.
            seed: The shard's.

        Returns:
            Records and cost; an error of ours as it is, since Ray would wrap it.
        """
        if self._version != __version__:
            return ConfigError(
                f"expected plumbrule {self._version} on every worker, one has {__version__}; "
                "install the same there"
            )
        try:
            if stage != self._stage:
                self._work, self._stage = pickle.loads(job), stage
            return do_shard(*self._work, items, seed)
        except PlumbruleError as error:
            return error


class _Workers:
    """A fixed number of workers, those that are lost replaced as soon as there is room."""

    def __init__(self, ray: Any, count: int) -> None:
        self._ray, self._count, self._stages = ray, count, 0
        self._stillborn = 0
        self._idle: list[Any] = []
        self._starting: dict[Any, Any] = {}
        """Workers by the promise that they are ready; they may wait for a machine."""

    def __call__(
        self, work: Work, meter: Meter, shards: Sequence[tuple[Sequence[Any], int]]
    ) -> Iterator[ShardDone]:
        """Do shards, as many at a time as there are workers; see `Fan`."""
        if not shards:
            return
        self._stages += 1
        job = self._ray.put(self._ray.cloudpickle.dumps((work, meter)))
        waiting, lost = deque(range(len(shards))), [0] * len(shards)
        running: dict[Any, tuple[int, Any]] = {}
        try:
            while waiting or running:
                self._hire(len(waiting) + len(running), len(running))
                while waiting and self._idle:
                    index, worker = waiting.popleft(), self._idle.pop()
                    ref = worker.do.remote(str(self._stages), job, *shards[index])
                    running[ref] = (index, worker)
                ref = self._next(running)
                if ref in self._starting:
                    self._welcome(ref)
                    continue
                index, worker = running.pop(ref)
                try:
                    given = self._ray.get(ref)
                except self._lost() as error:
                    lost[index] += 1
                    if lost[index] == TRIES:
                        raise _given_up("one shard", error) from error
                    waiting.appendleft(index)
                    continue
                self._idle.append(worker)
                if isinstance(given, PlumbruleError):
                    raise given
                records, cost = given
                yield ShardDone(index=index, records=records, cost={**cost, "retries": lost[index]})
        finally:
            for _, worker in running.values():  # what they do is of no use any more
                self._ray.kill(worker)

    def _hire(self, wanted: int, busy: int) -> None:
        """Start as many workers as there are shards for, up to the number that was asked for."""
        import torch

        # Without a GPU of its own Ray hides all of them from a worker.
        gpus = int(torch.cuda.is_available())
        kind = self._ray.remote(
            num_cpus=1, num_gpus=gpus, max_restarts=0, scheduling_strategy="SPREAD"
        )(Worker)
        for _ in range(min(self._count, wanted) - busy - len(self._idle) - len(self._starting)):
            worker = kind.remote(__version__, torch.get_num_threads())
            self._starting[worker.ready.remote()] = worker

    def _next(self, running: Mapping[Any, tuple[int, Any]]) -> Any:
        """What comes next: a shard that is done, or a worker that is ready.

        Raises:
            OutsideError: There is no worker, and for a long time none could be started.
        """
        patience = None if running else STARTING_SECONDS
        ready, _ = self._ray.wait([*running, *self._starting], num_returns=1, timeout=patience)
        if not ready:
            raise OutsideError(
                f"no worker could be started in {STARTING_SECONDS:.0f} s: see whether the cluster "
                "has machines with a CPU to spare, then give the same command to go on."
            )
        return ready[0]

    def _welcome(self, ref: Any) -> None:
        """Take a worker in that says it is ready, or is lost before it could.

        Raises:
            OutsideError: One after another was lost.
        """
        worker = self._starting.pop(ref)
        try:
            self._ray.get(ref)
        except self._lost() as error:
            self._stillborn += 1
            if self._stillborn == TRIES:
                raise _given_up("no worker could be started: the run", error) from error
        else:
            self._stillborn = 0
            self._idle.append(worker)

    def _lost(self) -> tuple[type[Exception], ...]:
        """What Ray says of a worker that is gone, with its machine or alone."""
        told = self._ray.exceptions
        return (told.RayActorError, told.RaySystemError, told.ObjectLostError)


def _given_up(who: str, error: Exception) -> OutsideError:
    return OutsideError(
        f"{who} lost {TRIES} workers, one after another: {brief(error)}. What was finished is "
        "kept: see whether the workers have this package and memory enough, then give the same "
        "command to go on."
    )
