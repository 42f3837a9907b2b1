"""Shards on disk: written atomically, named by the hash of all that went into them, never redone.

A stage cuts its items into fixed shards. A shard's key is the hash of the stage's inputs and of
its own items, so a change in either makes another file, and a run that was killed finds again
exactly what it had finished.
"""

import errno
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Protocol, TypeVar

from plumbrule.errors import DataError, PlumbruleError, StorageError
from plumbrule.records import from_json, to_json

Item = TypeVar("Item")
Result = TypeVar("Result")

Tell = Callable[[str, int, int], None]
"""Told of progress: a stage's name, what is done of it, and all there is to do (0: not known)."""

Progress = Callable[[int, int], None]
"""Told of progress within one stage: what is done of it, and all there is to do."""


def silent(*told: object) -> None:
    """Says nothing of progress: in place of a `Tell` or a `Progress`."""


Meter = Callable[[], Mapping[str, float]]
"""Reads what has been spent so far, such as tokens; only differences count."""

Work = Callable[[Sequence[Any], int], Sequence[Any]]
"""Takes one shard's items and its seed, returns its records."""


@dataclass(frozen=True, kw_only=True)
class ShardDone:
    """One shard's records, from whoever did it."""

    index: int
    """Which of those that were asked for."""

    records: Sequence[Any]
    cost: Mapping[str, float]
    """What it took by the meter, `seconds` among it."""


class Fan(Protocol):
    """Does shards, here or elsewhere, and gives each as it is finished, in any order."""

    def __call__(
        self, work: Work, meter: Meter, shards: Sequence[tuple[Sequence[Any], int]]
    ) -> Iterator[ShardDone]:
        """Do the work on shards, each with its items and its seed."""


def do_shard(
    work: Work, meter: Meter, items: Sequence[Any], seed: int
) -> tuple[list[Any], dict[str, float]]:
    """Records of one shard, and what they cost."""
    before, started = meter(), time.perf_counter()
    found = list(work(items, seed))
    cost = {name: value - before[name] for name, value in meter().items()}
    cost["seconds"] = time.perf_counter() - started
    return found, cost


def one_after_another(
    work: Work, meter: Meter, shards: Sequence[tuple[Sequence[Any], int]]
) -> Iterator[ShardDone]:
    """Do shards in this process: the `Fan` of one."""
    for index, (items, seed) in enumerate(shards):
        records, cost = do_shard(work, meter, items, seed)
        yield ShardDone(index=index, records=records, cost=cost)


def canonical(value: object) -> str:
    """JSON text that depends on the value alone: sorted keys, no spaces, no NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def fingerprint(value: object) -> str:
    """SHA-256 of the canonical form of anything JSON can hold, in hexadecimal.

    Example:
        >>> fingerprint({"b": 1, "a": 2}) == fingerprint({"a": 2, "b": 1})
        True
    """
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def derive_seed(seed: int, *names: object) -> int:
    """Seed of a part, from the run's seed and the part's name: 63 bits, never drawn in order.

    Example:
        >>> derive_seed(0, "sample", 1) != derive_seed(0, "sample", 2)
        True
    """
    return int(fingerprint([seed, *[str(name) for name in names]])[:16], 16) >> 1


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader sees all of it or nothing, also after a crash.

    Raises:
        StorageError: The disk is full or refuses the file. What was there before still stands.
    """
    data = content.encode() if isinstance(content, str) else content
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = NamedTemporaryFile(  # noqa: SIM115 - outlives the block, to be renamed
            dir=path.parent, prefix=f".{path.name}.", delete=False
        )
        try:
            with temporary:
                temporary.write(data)
                temporary.flush()
                os.fsync(temporary.fileno())
            os.chmod(temporary.name, 0o644)
            os.replace(temporary.name, path)
        except BaseException:
            Path(temporary.name).unlink(missing_ok=True)
            raise


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what a disk says into what a user needs to hear."""
    try:
        yield
    except OSError as error:
        if isinstance(error, PlumbruleError):
            raise
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "free some space"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            hint = "choose a folder you may write to with --out"
        else:
            hint = "check the disk"
        raise StorageError(
            f"could not write {path}: {error.strerror or error}. Everything finished before is "
            f"kept: {hint}, then give the same command to go on."
        ) from error


@dataclass(frozen=True)
class Shards:
    """A folder of finished shards of one stage."""

    folder: Path

    inputs: Mapping[str, Any]
    """All that decides the result besides the items: settings, weights, seed, code version."""

    def map(
        self,
        items: Sequence[Item],
        work: Callable[[Sequence[Item], int], Sequence[Result]],
        *,
        kind: type[Result],
        size: int,
        seed: int,
        progress: Progress | None = None,
        meter: Meter = dict,
        fan: Fan = one_after_another,
    ) -> list[Result]:
        """Do work on items, a shard at a time, and keep each shard that is finished.

        Args:
            items: What to work on: records or anything JSON can hold.
            work: Takes one shard's items and its seed, returns one record or more.
            kind: Class of the records that come back.
            size: Items a shard. Part of the key: another size is another cut.
            seed: Seed of the run; each shard gets its own from this and its key.
            progress: Told after each shard.
            meter: Read before and after each shard; the difference is kept beside it, so that
                `spent` knows the cost of the work also after a crash.
            fan: Who does the shards that are not finished. The records do not depend on it.

        Returns:
            The records of all shards, in the order of the items.

        Raises:
            StorageError: The disk did not take a shard. Those written before are kept.
        """
        results: dict[Path, list[Result]] = {}
        missing: list[tuple[Path, Sequence[Item], int]] = []
        done = 0
        for start in range(0, len(items), size):
            shard = items[start : start + size]
            key = fingerprint([dict(self.inputs), seed, start, [to_json(item) for item in shard]])
            path = self.folder / f"{start:07d}-{key[:24]}.jsonl"
            found = self._read(path, kind)
            results[path] = found or []
            if found is None:
                missing.append((path, shard, derive_seed(seed, key)))
                continue
            done += len(shard)
            if progress:
                progress(done, len(items))
        for one in fan(work, meter, [(shard, own) for _, shard, own in missing]):
            path, shard, _ = missing[one.index]
            write_atomic(path.with_suffix(".cost.json"), canonical(dict(one.cost)))
            lines = [canonical(to_json(record)) for record in one.records]
            write_atomic(path, "".join(line + "\n" for line in [*lines, _seal(lines)]))
            results[path] = list(one.records)
            done += len(shard)
            if progress:
                progress(done, len(items))
        return [record for records in results.values() for record in records]

    def spent(self) -> dict[str, float]:
        """What all finished shards of the folder cost together, seconds among it."""
        total: dict[str, float] = {}
        for path in sorted(self.folder.glob("*.jsonl")):
            cost = path.with_suffix(".cost.json")
            if cost.exists():
                for name, value in _cost(cost).items():
                    total[name] = total.get(name, 0.0) + value
        return total

    def _read(self, path: Path, kind: type[Result]) -> list[Result] | None:
        """Records of a finished shard; None where there is none."""
        return read_shard(path, kind) if path.exists() else None


def read_shard(path: Path, kind: type[Result]) -> list[Result]:
    """Read the records of a finished shard.

    Args:
        path: A file that `Shards.map` wrote.
        kind: Class of its records.

    Raises:
        DataError: It is not what was written there.
    """
    # Not splitlines(): a model's reply may hold U+2028 and its kin, which JSON leaves as is.
    text = path.read_bytes().decode("utf-8", errors="replace")
    *lines, seal = text.removesuffix("\n").split("\n")
    if seal != _seal(lines):
        raise DataError(
            f"{path} is not what was written there: its seal does not match. Delete that file "
            "and give the same command to make it again."
        )
    return [from_json(kind, json.loads(line), origin=str(path)) for line in lines]


def _cost(path: Path) -> dict[str, float]:
    """What a shard took.

    Raises:
        DataError: The file is not what was written there.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(value, dict):
            return {name: float(number) for name, number in value.items()}
    except (OSError, ValueError, TypeError, RecursionError):
        pass
    raise DataError(
        f"{path} is not what was written there. Delete that file, which says what a shard took and "
        "nothing else, and give the same command to go on."
    )


def _seal(lines: Sequence[str]) -> str:
    return canonical({"records": len(lines), "seal": fingerprint(list(lines))})
