"""As much of Ray as `scaling.workers` uses, in this process: workers can be told to be lost."""

from types import SimpleNamespace

import cloudpickle


class RayActorError(Exception):
    """A worker is gone."""


class FakeRay:
    """Does everything at once, and loses what it was told to."""

    def __init__(self, *, lose=(), never_start=False):
        self.lose = set(lose)
        """Which calls, counted from 0 over all workers, find their worker gone."""

        self.never_start = never_start
        self.calls, self.killed, self.started = 0, 0, 0
        self.cloudpickle = cloudpickle
        self.exceptions = SimpleNamespace(
            RayActorError=RayActorError, RaySystemError=RayActorError, ObjectLostError=RayActorError
        )
        self.results = {}

    def put(self, value):
        return value

    def remote(self, **options):
        assert options["max_restarts"] == 0
        return lambda kind: SimpleNamespace(remote=lambda *words: self._worker(kind, words))

    def _worker(self, kind, words):
        self.started += 1
        worker, ref = kind(*words), f"ready {self.started}"
        self.results[ref] = RayActorError("no machine") if self.never_start else None
        return SimpleNamespace(
            do=SimpleNamespace(remote=lambda *given: self._call(worker, given)),
            ready=SimpleNamespace(remote=lambda: ref),
        )

    def _call(self, worker, given):
        ref, self.calls = f"call {self.calls}", self.calls + 1
        lost = self.calls - 1 in self.lose
        self.results[ref] = RayActorError("killed") if lost else worker.do(*given)
        return ref

    def wait(self, refs, *, num_returns, timeout):
        return [refs[-1]], refs[:-1]  # the last first, so that shards come in another order

    def get(self, ref):
        if isinstance(self.results[ref], RayActorError):
            raise self.results[ref]
        return self.results[ref]

    def kill(self, worker):
        self.killed += 1
