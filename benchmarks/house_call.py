"""Calls of the command in forks of one process, so that a thousand of them load torch once.

A fork runs the command's own `main` with its arguments, folder and environment, and writes to
files; the parent waits for it, and kills what hangs. `call_afresh` is the same in a new
interpreter, to check that a fork ends as the command does.
"""

import codecs
import importlib
import os
import pkgutil
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

NOBODY = 65534
"""User without rights, for files that may not be read."""

MOST_MEMORY = 12 * 2**30
"""Bytes of addresses that a call may have."""

_PROGRESS = re.compile(r"^(\d\d:\d\d:\d\d .*|[a-z ]+ \(\d+\))$")
_FRAME = re.compile(r"[│╭╮╰╯─]+")
_TRACE = "Traceback (most recent call last)"


@dataclass(frozen=True, kw_only=True)
class Called:
    """How a call of the command ended."""

    code: int | None
    """Exit code; below 0 the signal that ended it; None where it hung and was killed."""

    out: str
    err: str
    seconds: float

    @property
    def message(self) -> str:
        """What it says is wrong, without lines of progress, usage and frames."""
        lines = [line for line in self.err.splitlines() if not _PROGRESS.match(line.strip())]
        text = "\n".join(lines)
        if "plumbrule: " in text:
            return text[text.index("plumbrule: ") + len("plumbrule: ") :].strip()
        found = [_FRAME.sub("", line).replace("Error", "", 1).strip() for line in lines]
        useful = [line for line in found if line and not line.startswith(("Usage:", "Try '"))]
        return " ".join(useful)

    @property
    def traced(self) -> bool:
        """Whether a traceback was shown."""
        return _TRACE in self.err or _TRACE in self.out


def preload() -> None:
    """Load what verbs load, so that forks need not; nothing here may start a thread."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    import plumbrule

    for module in pkgutil.walk_packages(plumbrule.__path__, "plumbrule."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    from plumbrule.models import open_model

    torch.set_num_threads(1)
    for name in ("utf-8-sig", "utf-16", "utf-32", "latin-1", "idna"):
        codecs.lookup(name)  # whoever has no rights may not read where Python keeps them
    open_model("lab:nano")  # loads what the library loads with its first model


def call(
    arguments: Sequence[str],
    folder: Path,
    *,
    timeout: float = 60.0,
    environment: Mapping[str, str] | None = None,
    unprivileged: bool = False,
    first: Callable[[], None] | None = None,
    kill_after: float | None = None,
) -> Called:
    """Run the command in a fork.

    Args:
        arguments: Those after `plumbrule`.
        folder: Where it runs; its output is kept there until the next call.
        timeout: Seconds after which it counts as hanging.
        environment: Variables to set.
        unprivileged: Run it as a user without rights.
        first: Done in the fork before the command.
        kill_after: Seconds after which it is killed for good, as `kill -9` does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _be_the_command(arguments, folder, environment or {}, unprivileged, first)
    code = _wait(child, timeout if kill_after is None else kill_after)
    return Called(
        code=-signal.SIGKILL if code is None and kill_after is not None else code,
        out=_read(folder / "called.out"),
        err=_read(folder / "called.err"),
        seconds=time.monotonic() - started,
    )


def call_afresh(
    arguments: Sequence[str],
    folder: Path,
    *,
    timeout: float = 120.0,
    environment: Mapping[str, str] | None = None,
) -> Called:
    """Run the command in a new interpreter."""
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    code: int | None
    with (folder / "called.out").open("wb") as out, (folder / "called.err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "plumbrule", *arguments],
            cwd=folder,
            env={**os.environ, **_quiet(), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = None
    return Called(
        code=code,
        out=_read(folder / "called.out"),
        err=_read(folder / "called.err"),
        seconds=time.monotonic() - started,
    )


def _quiet() -> dict[str, str]:
    return {"COLUMNS": "200", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}


def _be_the_command(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    unprivileged: bool,
    first: Callable[[], None] | None,
) -> None:
    """Never returns."""
    code: object = 71
    try:
        os.chdir(folder)
        for number, name in ((1, "called.out"), (2, "called.err")):
            opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            os.dup2(opened, number)
            os.close(opened)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        # Streams of their own: those inherited may hold what the parent has not written yet.
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        os.environ.update({**_quiet(), **environment})
        sys.argv = ["plumbrule", *arguments]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # What would take all memory is to fail, not to take the machine with it.
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        if unprivileged and os.geteuid() == 0:
            os.setgroups([])
            os.setegid(NOBODY)
            os.seteuid(NOBODY)
        if first is not None:
            first()
        from plumbrule.cli import main

        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _wait(child: int, timeout: float) -> int | None:
    """Exit code of a child; None where it had to be killed."""
    deadline, pause = time.monotonic() + timeout, 0.002
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
        pause = min(0.05, pause * 1.5)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return None if code == -signal.SIGKILL else code


def _read(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.is_file() else ""
