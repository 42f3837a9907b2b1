"""The folder that a verb writes: held by one process, bound to one set of inputs."""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plumbrule.errors import OutputError
from plumbrule.store import canonical, storage_errors, write_atomic


@contextmanager
def held_folder(
    folder: Path, *, marker: str, ours: Mapping[str, Any], configuration: str
) -> Iterator[None]:
    """Open a folder, new or to go on with, and keep other processes out of it.

    Args:
        folder: Where the work lives.
        marker: File that says what kind of folder it is and what it is bound to, e.g. `run.json`.
        ours: All that decides the work; a folder bound to something else is refused.
        configuration: Text of `config.yaml`, written when the folder is new.

    Raises:
        OutputError: The folder holds other work, or something else, or another process is in it.
        StorageError: The disk refuses the folder.
    """
    with storage_errors(folder):
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"expected a folder, {folder} is a file; choose another --out")
        begun = (folder / marker).exists()
        if folder.exists() and not begun and _foreign(folder, configuration):
            raise OutputError(
                f"expected an empty folder or one with {marker}, {folder} holds something else; "
                "choose another --out"
            )
        folder.mkdir(parents=True, exist_ok=True)
    busy = f"another process is running in {folder}; wait for it or choose another --out"
    with locked(folder / "run.lock", busy=busy):
        _bind(folder, marker, ours, configuration)
        yield


ANSWERS = "PLUMBRULE_ANSWERS"
"""Variable with the address of a database of paid answers, which may hold a password."""


def paid_answers(folder: Path) -> Path | str:
    """Database that keeps answers of endpoints, so that none is paid for twice.

    Args:
        folder: Of the work. It is a file beside that folder unless the environment names another:
            `PLUMBRULE_ANSWERS=postgresql://user@host/name`, which several machines can share.
    """
    return os.environ.get(ANSWERS) or folder.parent / f".{folder.name}.calls.db"


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], place: str = "") -> list[str]:
    """Names of the fields in which two configurations differ."""
    found = []
    for name in sorted({*ours, *theirs}):
        left, right = ours.get(name), theirs.get(name)
        if isinstance(left, dict) and isinstance(right, dict):
            found.extend(differences(left, right, f"{place}{name}."))
        elif left != right:
            found.append(f"{place}{name}")
    return found


def _foreign(folder: Path, configuration: str) -> bool:
    """Whether a folder without a marker holds anything but what a first second leaves behind."""
    return any(
        not path.name.startswith((".", "run.lock", "progress.log"))
        and not (path.name == "config.yaml" and path.read_bytes() == configuration.encode())
        for path in folder.iterdir()
    )


def _bind(folder: Path, marker: str, ours: Mapping[str, Any], configuration: str) -> None:
    """Tie a folder to its inputs, or find that it is tied to these."""
    path = folder / marker
    if path.exists():
        try:
            theirs = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            theirs = None
        if not isinstance(theirs, dict):
            raise OutputError(
                f"{path} is damaged, so nobody can tell what {folder} holds; choose another --out"
            )
        changed = differences(ours, {key: theirs.get(key, {}) for key in ours})
        if changed:
            raise OutputError(
                f"{folder} holds another run: it differs in {', '.join(changed)}. Choose another "
                "--out, or give the same settings to go on with that one."
            )
        return
    write_atomic(folder / "config.yaml", configuration)
    write_atomic(path, canonical({**ours, "begun": time.time()}))


@contextmanager
def locked(path: Path, *, busy: str | None = None) -> Iterator[None]:
    """Hold a file that one process can hold; the lock goes with the process, however it ends.

    Args:
        path: The file; made if it is not there.
        busy: What to say where another process holds it; None: wait for that one.

    Raises:
        OutputError: Another process holds it, and `busy` is given.
        StorageError: The disk refuses the file.
    """
    with storage_errors(path.parent):
        lock = path.open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy is not None else 0))
        except BlockingIOError as error:
            raise OutputError(str(busy)) from error
        yield
