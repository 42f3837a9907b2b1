import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest


class PostgresServer:
    """A server of its own in a temporary folder, on the loopback; started and stopped by id."""

    def __init__(self, binaries, folder, user):
        self.binaries, self.folder, self.port = binaries, folder, free_port()
        self.user = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid}
        self.user |= {"extra_groups": []} if user is not None else {}
        self.schemas = 0
        self.run("initdb", "-D", folder / "data", "-A", "trust", "-U", "tester", "--no-sync")
        self.process = None
        self.start()

    def run(self, name, *arguments):
        command = [self.binaries / name, *map(str, arguments)]
        subprocess.run(
            command, check=True, capture_output=True, cwd=self.folder, timeout=60, **self.user
        )

    def start(self):
        options = ["-D", self.folder / "data", "-h", "127.0.0.1", "-p", self.port]
        options += ["-k", self.folder, "-c", "fsync=off"]
        self.process = subprocess.Popen(
            [self.binaries / "postgres", *map(str, options)],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self.user,
        )
        import psycopg

        for _ in range(200):
            try:
                psycopg.connect(self.url).close()
                return
            except psycopg.OperationalError:
                time.sleep(0.05)
        raise RuntimeError("the server of the tests does not start")

    def stop(self):
        """With all its connections, in the middle of whatever they do."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
            self.process = None

    @property
    def url(self):
        return f"postgresql://tester@127.0.0.1:{self.port}/postgres"

    def fresh(self):
        """URL under which there is no queue yet."""
        import psycopg

        self.schemas += 1
        name = f"queue{self.schemas}"
        with psycopg.connect(self.url) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return f"{self.url}?options=-csearch_path%3D{name}"


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def postgres_binaries():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if found:
        return found[-1].parent
    named = shutil.which("postgres")
    return None if named is None else Path(named).parent


@pytest.fixture(scope="session")
def postgres():
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed")
    user = None
    if os.getuid() == 0:  # the server refuses to run as root
        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    folder = Path(tempfile.mkdtemp(prefix="plumbrule-postgres-"))
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    server = None
    try:
        server = PostgresServer(binaries, folder, user)
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """Where a queue can be made: the same tests run against both databases."""
    if request.param == "sqlite":
        return tmp_path / "queue.db"
    return request.getfixturevalue("postgres").fresh()
