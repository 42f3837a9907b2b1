"""A run whose paid answers lie in PostgreSQL, with workers killed and the server restarted.

A part of `benchmarks.scale`. The critic is an endpoint that answers from the village's truth and
numbers its answers, so that what lies in the database tells which call brought it.
"""

import json
import os
import pwd
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.oracle_endpoint import Critic, serve
from benchmarks.rows import Row, single
from plumbrule.folders import ANSWERS
from plumbrule.store import one_after_another

RESTARTS = 5


@contextmanager
def server() -> Iterator[Any]:
    """A PostgreSQL server of its own, on the loopback."""
    from tests.people import conftest

    made_by: Any = conftest
    binaries = made_by.postgres_binaries()
    if binaries is None:
        raise RuntimeError("expected a PostgreSQL server to be installed, found none")
    user = pwd.getpwnam("postgres") if os.getuid() == 0 else None  # it refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="plumbrule-postgres-"))
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    made: Any = None
    try:
        made = made_by.PostgresServer(binaries, folder, user)
        yield made
    finally:
        if made is not None:
            made.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def restarting(database: Any, critic: Critic, every: int) -> Iterator[list[int]]:
    """Restart a server whenever so many further answers were given, `RESTARTS` times.

    Gives how many answers had been given at each.
    """
    over, done, start = threading.Event(), list[int](), len(critic.calls)

    def restart() -> None:
        while len(done) < RESTARTS and not over.wait(0.02):
            if len(critic.calls) - start >= every * (len(done) + 1):
                done.append(len(critic.calls))
                database.stop()
                database.start()

    thread = threading.Thread(target=restart)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()


def kept_answers(url: str) -> list[int]:
    """Numbers of the calls whose answers lie in the database."""
    import psycopg

    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT answer FROM answers").fetchall()
    return [json.loads(answer)["usage"]["prompt_tokens"] for (answer,) in rows]


def paid_twice(calls: Sequence[str], kept: Sequence[int], start: int) -> int:
    """Calls from one on that were made again although the answer to an equal one was kept."""
    by_body = {calls[serial]: serial for serial in kept}
    return sum(at > by_body.get(calls[at], at) for at in range(start, len(calls)))


def database_rows(
    run: Callable[..., tuple[Mapping[str, str], float]],
    fanned: Callable[..., Any],
    killing: Callable[..., Any],
    configuration: Any,
    work: Path,
    kills: int,
) -> list[Row]:
    """One run in peace, and one over Ray under fire.

    Args:
        run: Makes a run: folder, fan and configuration in, hashes of its files and seconds out.
        fanned: Gives the fan of some workers, as a context.
        killing: Kills workers of a run, as a context.
        configuration: Of the run.
        work: Folder to work in.
        kills: Workers killed at most.
    """
    before = os.environ.get(ANSWERS)
    try:
        # One address for both: it is part of what a shard is named by.
        with server() as database, serve(critic := Critic()) as spec:
            config = replace(configuration, critic=spec)
            os.environ[ANSWERS] = database.fresh()
            peaceful, _ = run(work / "calm", one_after_another, config)
            start = len(critic.calls)
            os.environ[ANSWERS] = url = database.fresh()
            with (
                fanned() as fan,
                killing(work / "fire", kills, 0) as killed,
                restarting(database, critic, max(1, start // (RESTARTS + 1))) as restarts,
            ):
                hashes, _ = run(work / "fire", fan, config)
            kept = kept_answers(url)
    finally:
        if before is None:
            os.environ.pop(ANSWERS, None)
        else:
            os.environ[ANSWERS] = before
    same = {name: value for name, value in hashes.items() if peaceful.get(name) == value}
    calls, again = len(critic.calls) - start, paid_twice(critic.calls, kept, start)
    print(f"{time.strftime('%H:%M:%S')} {calls} calls, {len(kept)} answers kept")
    return [
        single(
            "files of a run with paid answers in PostgreSQL, workers killed and it restarted, "
            "byte for byte",
            int(len(same) == len(peaceful) == len(hashes)),
            unit="1 = the same",
            n=len(peaceful),
            target="the same",
            met=len(same) == len(peaceful) == len(hashes),
        ),
        single("workers killed in that run", len(killed), unit="kills", n=1),
        single(
            "restarts of PostgreSQL in that run",
            len(restarts),
            unit="restarts",
            n=1,
            target=f"{RESTARTS}",
            met=len(restarts) >= RESTARTS,
        ),
        single(
            "calls paid again whose answer had been kept",
            again,
            unit="calls",
            n=calls,
            target="0",
            met=again == 0,
        ),
        single(
            "calls whose answer was lost with a worker",
            calls - len(kept),
            unit="calls",
            n=calls,
        ),
    ]
