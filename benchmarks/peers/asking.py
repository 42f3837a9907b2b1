"""The other side of `serving`: starts a peer in its own environment, and asks it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent.parent
ENVIRONMENTS = ROOT / ".cache" / "peers"


class PeerError(RuntimeError):
    """A peer could not do what it was asked."""


OURS = Path(sys.executable)
"""The Python of our own side."""


def python_of(environment: str) -> Path | None:
    """The Python of a peer's environment; None where it was not made. `ours` is this one."""
    if environment == "ours":
        return OURS
    path = ENVIRONMENTS / environment / "bin" / "python"
    return path if path.exists() and (ENVIRONMENTS / environment / ".ready").exists() else None


class Peer:
    """A process that holds one model.

    Args:
        program: Module to run, such as `benchmarks.peers.ours`.
        python: Of which environment.
        folder: The model.
        threads: For arithmetic.

    Raises:
        PeerError: The process does not open the model; what it said is given.
    """

    def __init__(self, program: str, *, python: Path, folder: Path, threads: int) -> None:
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "OMP_WAIT_POLICY": "PASSIVE",
            "TQDM_DISABLE": "1",
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        self._log = (folder / f"{program.rpartition('.')[2]}.log").open("w+")
        self._process = subprocess.Popen(
            [str(python), "-m", program, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=ROOT,
            env=environment,
            text=True,
        )
        try:
            self.jobs: Sequence[str] = self._read()["jobs"]
        except PeerError:
            self.close()
            raise

    def ask(self, job: str, *, times: int = 1, **arguments: Any) -> Mapping[str, Any]:
        """Have a job done, and get its time.

        Raises:
            PeerError: It cannot be done.
        """
        return self._ask({"job": job, "arguments": arguments, "times": times})

    def values(self, job: str, folder: Path, **arguments: Any) -> dict[str, np.ndarray]:
        """Have a job done, and get what it came to.

        Raises:
            PeerError: It cannot be done.
        """
        path = folder / "values.npz"
        self._ask({"job": job, "arguments": arguments, "keep": str(path)})
        with np.load(path) as found:
            return {name: found[name] for name in found.files}

    def _ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Mapping[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise PeerError(f"the process ended: {self._log.read()[-2000:]}")
        answer: Mapping[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def close(self) -> None:
        """Let the process end: there are no more requests."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def __enter__(self) -> "Peer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, at: TracebackType | None
    ) -> None:
        self.close()
