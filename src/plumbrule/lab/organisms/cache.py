"""Folders that are built at the first call and found at every later one."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from plumbrule.folders import locked
from plumbrule.store import storage_errors


def once(folder: Path, marker: str, build: Callable[[Path], object]) -> Path:
    """Build a folder where it is not there yet.

    Two processes that want the same one at once build it once; a build that was killed leaves
    nothing that could be taken for a finished one.

    Args:
        folder: What is wanted.
        marker: File that a finished one holds.
        build: Writes it to the empty place it is given.
    """
    if (folder / marker).exists():
        return folder
    with storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.parent / f".{folder.name}.lock"):
            if not (folder / marker).exists():
                place = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
                try:
                    build(place / "built")
                    os.replace(place / "built", folder)
                finally:
                    shutil.rmtree(place, ignore_errors=True)
    return folder
