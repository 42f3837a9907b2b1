"""One side of a comparison: a process that holds a model, does what it is asked and times it.

This runs in every peer's own environment, so that it needs nothing but the standard library, NumPy
and torch. A request is one line of JSON, and so is its answer; tensors go by a file.
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Work:
    """Something to do, and what it came to."""

    run: Callable[[], Any]
    """What is timed."""

    named: Callable[[Any], Mapping[str, np.ndarray]] = lambda found: {}
    """What `run` gave, by names that all sides share; not timed."""


Jobs = Mapping[str, Callable[..., Work]]
"""By name, what makes a job from the arguments of a request."""


def serve(opened: Callable[[Path], Jobs]) -> None:
    """Open the model that the command line names, and answer requests until there are no more.

    Args:
        opened: Opens a folder.
    """
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    jobs = opened(Path(sys.argv[1]))
    print(json.dumps({"jobs": sorted(jobs)}), file=answers, flush=True)
    for line in sys.stdin:
        try:
            answer = answered(jobs, json.loads(line))
        except Exception as error:  # whatever a peer raises is its answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def answered(jobs: Jobs, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Do a job as often as asked.

    Args:
        jobs: What can be done.
        request: `job`, its `arguments`, `times` to do it, and the file to `keep` arrays in, if any.

    Returns:
        `wall`, the least seconds of all times, and `cpu`, the least of processor time;
        `held_bytes` of the tensors that the last one gave; `peak_bytes`, by how much the process
        grew at most, where the system says so.
    """
    work = jobs[request["job"]](**request["arguments"])
    wall, cpu, found = float("inf"), float("inf"), None
    before = _resident(reset=True)
    for _ in range(request.get("times", 1)):
        found = None
        started, spent = time.perf_counter(), time.process_time()
        found = work.run()
        wall = min(wall, time.perf_counter() - started)
        cpu = min(cpu, time.process_time() - spent)
    after = _resident(reset=False)
    if request.get("keep"):
        np.savez(request["keep"], **work.named(found))  # type: ignore[arg-type]
    return {
        "wall": wall,
        "cpu": cpu,
        "held_bytes": held_bytes(found),
        "peak_bytes": None if before is None or after is None else after - before,
    }


def held_bytes(found: Any) -> int:
    """Bytes of all tensors in something, each piece of memory counted once."""
    storages = {}
    for tensor in _tensors(found):
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


def _tensors(value: Any) -> Iterator[Any]:
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _tensors(each)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _tensors(getattr(value, field.name))


def _resident(*, reset: bool) -> int | None:
    """Bytes of the process in memory: now, with the peak set back, or at the peak since."""
    status = Path("/proc/self/status")
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        found = re.search(rf"{'VmRSS' if reset else 'VmHWM'}:\s+(\d+) kB", status.read_text())
    except OSError:
        return None
    return int(found.group(1)) * 1024 if found else None
