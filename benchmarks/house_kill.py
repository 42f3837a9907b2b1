"""`kill -9` at moments spread over a command, and whether the same command then ends the same.

Half of the moments are spread over its time, half over what it does to files: the fork counts what
it opens for writing, renames, removes, synchronizes and commits, and kills itself before one of
them.
"""

import json
import os
import random
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.house_call import call, preload
from benchmarks.house_inputs import PAPER
from benchmarks.house_materials import village
from benchmarks.house_quirks import asked, serving
from benchmarks.house_refusals import clear
from benchmarks.rows import Row, single
from plumbrule.store import file_sha256

MOMENTS, SEED = 50, 0
TIMEOUT = 240.0
VERBS: Mapping[str, Sequence[str]] = {
    "review": ("review", "paper.md", "--out", "out", "--judge", "{address}#plain@review"),
    "compare": ("compare", "lab:nano", "lab:pico", "--prompts", "prompts.jsonl", "--budget", "120",
                "--max-tokens", "6", "--out", "out", "--judge", "{address}#plain@compare"),
    "run": ("run", "--recipe", "recipe.yaml", "--out", "out", "--critic", "{address}#plain@run"),
}  # fmt: skip
"""Small work that goes through every stage, with an endpoint whose answers are paid for."""

TIMES = frozenset({"seconds", "begun", "written_at", "peak_rss_bytes", "minutes", "made_at", "at"})
"""Names under which a moment, a duration or memory stands: what may differ."""


COSTS = frozenset({"cost", "costs", "calls", "tokens_generated"})
"""Names under which it stands what calls cost: an answer that was paid for before the kill comes
from the cache, and costs nothing then."""

RESUMED = frozenset({"resumed_from"})
"""Names under which it stands that work was gone on with."""

MAY_DIFFER = TIMES | COSTS | RESUMED


def same(value: Any) -> Any:
    """A record without what may differ from one run to the next."""
    if isinstance(value, dict):
        return {name: same(inner) for name, inner in value.items() if name not in MAY_DIFFER}
    if isinstance(value, list):
        return [same(inner) for inner in value]
    return value


def state(folder: Path) -> dict[str, Any]:
    """What a finished folder holds, without moments and durations.

    Pages are left out: they are made of `report.json`, and `ledger verify` holds them against
    their hashes.
    """
    found: dict[str, Any] = {}
    named = _ids(folder / "ledger.db") if (folder / "review.json").exists() else {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        own = path.name.startswith((".", "ledger.head")) or path.name in (
            "run.lock",
            "progress.log",
        )
        if path.is_dir() or own or path.name.endswith((".html", ".svg", ".cost.json")):
            continue
        if path.name == "ledger.db":
            found[name] = _entries(path)
        elif path.suffix == ".json":
            found[name] = same(json.loads(path.read_text("utf-8")))
        elif path.suffix == ".jsonl":
            lines = path.read_text("utf-8").splitlines()
            found[name] = [same(json.loads(line)) for line in lines]
        else:
            found[name] = file_sha256(path)
    return _by_name(found, named) if named else found


def _ids(path: Path) -> dict[str, str]:
    """Ids of a review's records, which are hashes of all they hold, seconds too, by their keys."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT key, payload, hash FROM entries").fetchall()
    found = {}
    for key, payload, seal in rows:
        found[seal] = f"entry {key}"
        record = json.loads(payload).get("record") or {}
        if key.startswith("report/"):
            found[str(record["id"])] = key
        elif key.startswith("verdict/"):
            found[key.removeprefix("verdict/")] = "the verdict"
    return found


def _by_name(found: Mapping[str, Any], named: Mapping[str, str]) -> dict[str, Any]:
    """A review's state with names in place of ids, and lists in an order that ids do not decide.

    Checks end side by side, in any order, and records stand in the order of their ids.
    """
    text = json.dumps(found)
    for one, name in named.items():
        text = text.replace(one, name)
    renamed: dict[str, Any] = _sorted(json.loads(text))
    return renamed


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return sorted(map(_sorted, value), key=lambda each: json.dumps(each, sort_keys=True))
    return value


def _entries(path: Path) -> list[Any]:
    """Entries of a ledger; of the hashes of files their names."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT key, kind, payload FROM entries ORDER BY position")
        found = [(key, kind, same(json.loads(payload))) for key, kind, payload in rows]
    return [
        [key, kind, sorted(payload["files"]) if kind == "files" else payload]
        for key, kind, payload in found
    ]


def differences(left: Any, right: Any, place: str = "") -> Iterator[str]:
    """Places at which two states differ."""
    if isinstance(left, dict) and isinstance(right, dict):
        for name in sorted({*left, *right}):
            if name not in left or name not in right:
                yield f"{place}/{name}: only {'before' if name in left else 'after'}"
            else:
                yield from differences(left[name], right[name], f"{place}/{name}")
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for number, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from differences(one, other, f"{place}/{number}")
    elif left != right:
        yield f"{place}: {str(left)[:60]} | {str(right)[:60]}"


def counting(kill_at: int | None, told: Path | None = None) -> Callable[[], None]:
    """What a fork does first: count what is done to files, and die before one of these.

    Args:
        kill_at: Number of the one before which it dies, from 1; None: it only counts.
        told: File that is given the count.
    """

    def first() -> None:
        count = 0
        writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT
        me = os.getpid()

        def one() -> None:
            nonlocal count
            if os.getpid() != me:
                return
            count += 1
            if count == kill_at:
                os.kill(me, signal.SIGKILL)

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "open":
                flags = arguments[2] if len(arguments) > 2 else 0
                if isinstance(flags, int) and flags & writing:
                    one()
            elif event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"):
                one()

        def statement(text: str) -> None:
            if text.upper().startswith(("COMMIT", "INSERT", "UPDATE", "CREATE", "BEGIN")):
                one()

        synchronize = os.fsync

        def fsync(file: Any) -> None:
            one()
            synchronize(file)

        connect = sqlite3.connect

        def traced(*arguments: Any, **settings: Any) -> sqlite3.Connection:
            made: sqlite3.Connection = connect(*arguments, **settings)
            made.set_trace_callback(statement)
            return made

        sqlite3.connect = sqlite3.dbapi2.connect = traced  # type: ignore[assignment]
        os.fsync = fsync  # type: ignore[assignment]
        sys.addaudithook(hook)
        if told is not None:
            ending = os._exit

            def leave(code: int) -> None:
                told.write_text(str(count), "utf-8")
                ending(code)

            os._exit = leave  # type: ignore[assignment]

    return first


def prepare(folder: Path) -> None:
    """A folder with the inputs of all three."""
    clear(folder)
    village(folder, tempting=10, deserving=4, examined=1, principles=3)
    (folder / "paper.md").write_text(PAPER, "utf-8")


def rows(work: Path) -> Sequence[Row]:
    """Kill at the moments that were not yet tried."""
    from benchmarks.house import Kept

    preload()
    kept = Kept(work / "kill.jsonl")
    seen = kept.read()
    folder = work / "case"
    with serving(work / "port") as address:
        for verb, command in VERBS.items():
            given = [each.format(address=f"{address}/v1") for each in command]
            moments = [f"{verb} {number}" for number in range(MOMENTS)]
            if all(name in seen for name in moments):
                continue
            # Once to warm the disk's cache, once to count.
            for _ in range(2):
                prepare(folder)
                calm = call(given, folder, timeout=TIMEOUT, first=counting(None, work / "count"))
            if calm.code not in (0, 1):
                raise RuntimeError(f"{verb} ended with {calm.code}: {calm.message}")
            wanted, events = state(folder / "out"), int((work / "count").read_text("utf-8"))
            # In an order in which any beginning is spread over the whole.
            for number in sorted(range(MOMENTS), key=lambda number: number * 37 % MOMENTS):
                name = moments[number]
                if name in seen:
                    continue
                rng = random.Random(f"{SEED}/{name}")
                prepare(folder)
                share = (number // 2 + rng.random()) / (MOMENTS / 2)
                if number % 2:
                    at = max(1, round(share * events))
                    killed = call(given, folder, timeout=TIMEOUT, first=counting(at))
                else:
                    killed = call(given, folder, kill_after=share * calm.seconds)
                before = asked(address, f"plain@{verb}")
                again = call(given, folder, timeout=TIMEOUT)
                left = list(differences(wanted, state(folder / "out")))
                sound = call(("ledger", "verify", "out"), folder)
                seen[name] = {
                    "id": name, "by": "files" if number % 2 else "time", "share": round(share, 3),
                    "killed": killed.code == -signal.SIGKILL, "code": again.code,
                    "calm": calm.code, "message": again.message[:500], "differences": left[:10],
                    "sound": sound.code == 0, "verify": sound.out[-300:] if sound.code else "",
                    "asked": asked(address, f"plain@{verb}") - before,
                }  # fmt: skip
                kept.add(seen[name])
                if not well(seen[name]):
                    print(json.dumps(seen[name])[:1500], file=sys.stderr, flush=True)
    return table(work)


def table(work: Path) -> Sequence[Row]:
    """The rows of what was tried so far."""
    from benchmarks.house import Kept

    return _table(list(Kept(work / "kill.jsonl").read().values()))


def well(case: Mapping[str, Any]) -> bool:
    """Whether the same command ended as it does undisturbed, with the same records."""
    return case["code"] == case["calm"] and not case["differences"] and bool(case["sound"])


def _table(cases: Sequence[Mapping[str, Any]]) -> list[Row]:
    found = []
    for verb in VERBS:
        own = [case for case in cases if case["id"].split()[0] == verb]
        if not own:
            continue
        hits = sum(well(case) for case in own)
        found.append(
            single(f"kill -9 of {verb}: the same command ends with the same records", hits,
                   unit=f"of {len(own)} moments", n=len(own), seeds=(SEED,), target="all",
                   met=hits == len(own))
        )  # fmt: skip
    if {case["id"].split()[0] for case in cases} < set(VERBS):
        return found  # the row over all verbs stays as it was until all are tried again
    late = sum(not case["killed"] for case in cases)
    found.append(
        single("kill -9: moments at which the command had ended already", late,
               unit="moments", n=len(cases), seeds=(SEED,))
    )  # fmt: skip
    return found
