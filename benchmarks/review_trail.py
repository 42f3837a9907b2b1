"""Tamper with recorded reviews in every way we can think of: `python -m benchmarks.review_trail`.

Each tampering is done to a fresh copy of a review's folder by someone who knows its form: who
recomputes ids and hashes, renames files and renumbers rows, but cannot touch the ledger's head.
Counted is how many were noticed, and how many were noticed where they happened.
"""

import argparse
import json
import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.rows import Row, estimated, show, single
from plumbrule.ledger.chain import GENESIS, seal
from plumbrule.oversight import (
    Case,
    Opinion,
    Reliability,
    ReviewCost,
    Rule,
    Span,
    Task,
    answer_questions,
    overrule,
    review,
    send_back,
    verify_review,
)
from plumbrule.oversight.records import FREE
from plumbrule.statistics import clopper_pearson
from plumbrule.store import canonical, fingerprint

COUNT, QUICK_COUNT = 1000, 100
PARTS = 4
PLACE = tuple[str, ...]
"""What the places of the problems must contain, each at least once."""


@dataclass(frozen=True)
class Drawn:
    """A specialist whose opinion is drawn from its seed."""

    name: str
    kind: Any
    version: str = "1"
    most: ReviewCost = FREE

    def check(self, case: Case) -> Opinion:
        """Say something, and quote a word for it."""
        rng = random.Random(case.seed)
        quote = case.quote(rng.choice(case.text.split()))
        asked = f" You asked: {case.question}" if case.question else ""
        return Opinion(
            verdict=rng.choice(["pass", "pass", "fail", "uncertain"]),
            rationale=f"Weighed {len(case.text)} characters of {case.task.id}.{asked}",
            confidence=round(rng.random(), 3),
            evidence=(quote,) if quote else (),
        )


SPECIALISTS = (Drawn("counts", "tool"), Drawn("judge", "model"))
RULE = Rule(reliabilities={"judge": Reliability(sensitivity=0.8, specificity=0.9)})


def make_review(folder: Path, *, seed: int) -> Path:
    """A review of a few parts, with an overruling and a question that was answered."""
    text = " ".join(f"word{seed}x{number}" for number in range(60))
    width = len(text) // PARTS

    def cut(task: Task, sources: Any) -> Sequence[Task]:
        return [
            Task(
                id=f"root/part{number}",
                asks=f"Is part {number} right?",
                spans=(Span(source="text", start=number * width, end=(number + 1) * width),),
                specialists=("counts", "judge"),
            )
            for number in range(PARTS if task.id == "root" else 0)
        ]

    whole = Task(id="root", asks="Is it right?", specialists=("judge",))
    review(whole, {"text": text}, SPECIALISTS, folder=folder, decompose=cut, rule=RULE, seed=seed)
    overrule(folder, "root/part1", "pass", person="Ada", reason="Read it twice.")
    send_back(folder, "root/part2", "What of the last word?", person="Ben", to=["judge"])
    answer_questions(folder, SPECIALISTS)
    return folder


@dataclass
class Rows:
    """The rows of a ledger, and a way to put others in their place."""

    path: Path

    def read(self) -> list[dict[str, Any]]:
        """All rows in order."""
        with closing(sqlite3.connect(self.path)) as database:
            database.row_factory = sqlite3.Row
            found = database.execute("SELECT * FROM entries ORDER BY position").fetchall()
        return [dict(row) for row in found]

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        """Replace them all."""
        names = list(rows[0])
        marks = ", ".join("?" * len(names))
        with closing(sqlite3.connect(self.path)) as database, database:
            database.execute("DELETE FROM entries")
            database.executemany(
                f"INSERT INTO entries ({', '.join(names)}) VALUES ({marks})",
                [[row[name] for name in names] for row in rows],
            )


def chained(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same contents with positions, links and hashes made anew."""
    previous, done = GENESIS, []
    for at, row in enumerate(rows, 1):
        sealed = seal(at, previous, row["key"], row["kind"], row["payload"], row["written_at"])
        previous = str(sealed.hash)
        done.append(vars(sealed))
    return done


def of_kind(rows: Sequence[dict[str, Any]], kind: str) -> list[int]:
    """Indices of the rows of a kind."""
    return [index for index, row in enumerate(rows) if row["kind"] == f"review {kind}"]


def record_in(row: dict[str, Any]) -> dict[str, Any]:
    """The record in a row."""
    record: dict[str, Any] = json.loads(row["payload"])["record"]
    return record


def with_id(record: dict[str, Any]) -> dict[str, Any]:
    """A record whose id is the hash of its contents again."""
    return {**record, "id": fingerprint({**record, "id": ""})[:32]}


def one_byte(path: Path, rng: random.Random) -> None:
    """Change one byte of a file."""
    data = bytearray(path.read_bytes())
    at = rng.randrange(len(data))
    data[at] ^= rng.randrange(1, 256)
    path.write_bytes(bytes(data))


def change_file(folder: Path, other: Path, rng: random.Random) -> PLACE:
    """One byte of one report's file."""
    path = rng.choice(sorted((folder / "reports").iterdir()))
    one_byte(path, rng)
    return (path.name,)


def change_decision_file(folder: Path, other: Path, rng: random.Random) -> PLACE:
    """One byte of one decision's file."""
    path = rng.choice(sorted((folder / "decisions").iterdir()))
    one_byte(path, rng)
    return (path.name,)


def change_source(folder: Path, other: Path, rng: random.Random) -> PLACE:
    """One byte of the text that was reviewed."""
    path = next((folder / "sources").iterdir())
    one_byte(path, rng)
    return (path.name,)


def change_row(folder: Path, other: Path, rng: random.Random) -> PLACE:
    """One character of a report's row."""
    ledger = Rows(folder / "ledger.db")
    rows = ledger.read()
    row = rows[rng.choice(of_kind(rows, "report"))]
    text = row["payload"]
    at = rng.randrange(len(text))
    letter = rng.choice([each for each in 'abc019"}' if each != text[at]])
    row["payload"] = text[:at] + letter + text[at + 1 :]
    ledger.write(rows)
    return (f"entry {row['position']}",)


def drop_file(folder: Path, other: Path, rng: random.Random) -> PLACE:
    """A report's file."""
    path = rng.choice(sorted((folder / "reports").iterdir()))
    path.unlink()
    return (path.name,)


def drop_everywhere(folder: Path, other: Path, rng: random.Random) -> PLACE:
    """A report's file and row, those after it renumbered and sealed anew or not."""
    ledger = Rows(folder / "ledger.db")
    rows = ledger.read()
    at = rng.choice(of_kind(rows, "report"))
    name = record_in(rows[at])["id"]
    (folder / "reports" / f"{name}.json").unlink()
    del rows[at]
    if rng.random() < 0.5:
        ledger.write(chained(rows))
    else:
        ledger.write(rows)
    return (name,)


def insert_file(folder: Path, other: Path, rng: random.Random) -> PLACE:
    """A report file of another review."""
    path = rng.choice(sorted((other / "reports").iterdir()))
    shutil.copy(path, folder / "reports" / path.name)
    return (path.name,)


def insert_everywhere(folder: Path, other: Path, rng: random.Random) -> PLACE:
    """A report of another review in place of this one's, everything sealed anew."""
    ledger, theirs = Rows(folder / "ledger.db"), Rows(other / "ledger.db").read()
    rows = ledger.read()
    at = rng.choice(of_kind(rows, "report"))
    new = theirs[rng.choice(of_kind(theirs, "report"))]
    name = record_in(new)["id"]
    shutil.copy(other / "reports" / f"{name}.json", folder / "reports")
    if rng.random() < 0.5:
        (folder / "reports" / f"{record_in(rows[at])['id']}.json").unlink()
        rows[at] = {**new, "key": rows[at]["key"]}
    else:
        rows.insert(at, {**new, "key": new["key"] + " "})
    ledger.write(chained(rows))
    return (f"entry {at + 1}",)


def swap_files(folder: Path, other: Path, rng: random.Random) -> PLACE:
    """The contents of two reports' files."""
    first, second = rng.sample(sorted((folder / "reports").iterdir()), 2)
    mine, theirs = first.read_bytes(), second.read_bytes()
    first.write_bytes(theirs)
    second.write_bytes(mine)
    return first.name, second.name


def swap_contents(folder: Path, other: Path, rng: random.Random) -> PLACE:
    """What two reports say, in their rows and files, with ids and hashes made anew."""
    ledger = Rows(folder / "ledger.db")
    rows = ledger.read()
    places = of_kind(rows, "report")
    kept = ("task_id", "specialist", "round", "answers", "review_id", "kind", "version")
    while True:
        first, second = rng.sample(places, 2)
        mine, theirs = record_in(rows[first]), record_in(rows[second])
        if mine["verdict"] != theirs["verdict"]:
            break
    new = []
    for at, says, own in ((first, theirs, mine), (second, mine, theirs)):
        record = with_id({**says, **{name: own[name] for name in kept}})
        rows[at]["payload"] = canonical({"record": record})
        (folder / "reports" / f"{own['id']}.json").unlink()
        (folder / "reports" / f"{record['id']}.json").write_text(canonical(record) + "\n")
        new.append(record["id"])
    ledger.write(chained(rows))
    return new[0], new[1]


def reorder(folder: Path, other: Path, rng: random.Random) -> PLACE:
    """Two reports' rows change places, sealed anew or only renumbered."""
    ledger = Rows(folder / "ledger.db")
    rows = ledger.read()
    first, second = rng.sample(of_kind(rows, "report"), 2)
    rows[first], rows[second] = rows[second], rows[first]
    for at, row in enumerate(rows, 1):
        row["position"] = at
    ledger.write(rows)
    return f"entry {first + 1}", f"entry {second + 1}"


def reseal_report(folder: Path, other: Path, rng: random.Random) -> PLACE:
    """Another verdict in a report: file, id, row and all hashes made anew; the head unchanged."""
    ledger = Rows(folder / "ledger.db")
    rows = ledger.read()
    at = rng.choice(of_kind(rows, "report"))
    before = record_in(rows[at])
    verdict = rng.choice([each for each in ("pass", "fail") if each != before["verdict"]])
    record = with_id({**before, "verdict": verdict})
    rows[at]["payload"] = canonical({"record": record})
    (folder / "reports" / f"{before['id']}.json").unlink()
    (folder / "reports" / f"{record['id']}.json").write_text(canonical(record) + "\n")
    ledger.write(chained(rows))
    return (record["id"],)


def reseal_decision(folder: Path, other: Path, rng: random.Random) -> PLACE:
    """Another text or outcome of a decision: file, id, row and all hashes made anew."""
    ledger = Rows(folder / "ledger.db")
    rows = ledger.read()
    at = rng.choice(of_kind(rows, "decision"))
    before = record_in(rows[at])
    changed = {"text": "I did not mean it."}
    if before["action"] == "overrule" and rng.random() < 0.5:
        changed = {"outcome": "fail"}
    record = with_id({**before, **changed})
    name = "{number:04d}-{id}.json"
    rows[at]["payload"] = canonical({"record": record})
    (folder / "decisions" / name.format(**before)).unlink()
    (folder / "decisions" / name.format(**record)).write_text(canonical(record) + "\n")
    ledger.write(chained(rows))
    return (record["id"],)


WAYS: tuple[Callable[[Path, Path, random.Random], PLACE], ...] = (
    change_file, change_row, change_decision_file, change_source, drop_file, drop_everywhere,
    insert_file, insert_everywhere, swap_files, swap_contents, reorder, reseal_report,
    reseal_decision,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One tampering and what came of it."""

    way: str
    noticed: bool
    placed: bool
    expected: PLACE
    found: tuple[str, ...]
    seconds: float


def tamper(count: int, *, seed: int) -> list[Tried]:
    """Tamper `count` times, with fresh copies of two reviews."""
    rng, tried = random.Random(seed), []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        reviews = [make_review(place / f"review{number}", seed=seed + number) for number in (0, 1)]
        for number in range(count):
            way, mine = WAYS[number % len(WAYS)], rng.randrange(2)
            copy = place / "copy"
            shutil.copytree(reviews[mine], copy)
            expected = way(copy, reviews[1 - mine], rng)
            started = time.perf_counter()
            found = verify_review(copy)
            seconds = time.perf_counter() - started
            places = [problem.place for problem in found.problems]
            placed = all(any(each in place for place in places) for each in expected)
            tried.append(
                Tried(
                    way=way.__name__,
                    noticed=not found.sound,
                    placed=placed,
                    expected=expected,
                    found=tuple(map(str, found.problems)),
                    seconds=seconds,
                )
            )
            shutil.rmtree(copy)
    return tried


def false_alarms(count: int, *, seed: int) -> int:
    """How many untouched reviews are called tampered with."""
    with tempfile.TemporaryDirectory() as name:
        folders = [make_review(Path(name) / str(each), seed=seed + each) for each in range(count)]
        return sum(not verify_review(folder).sound for folder in folders)


def rows(*, quick: bool = False) -> list[Row]:
    """Shares of tamperings noticed and placed, by way."""
    tried = tamper(QUICK_COUNT if quick else COUNT, seed=0)
    clean = 5 if quick else 30
    alarms = false_alarms(clean, seed=10_000)
    table = [
        share("tampered reviews noticed", [each.noticed for each in tried], target="all"),
        share("tampered reviews, place named", [each.placed for each in tried], target="all"),
    ]
    for way in WAYS:
        own = [each.placed for each in tried if each.way == way.__name__]
        table.append(share(f"place named, {way.__name__.replace('_', ' ')}", own, target=""))
    table.append(
        single(
            "untouched reviews called tampered with", float(alarms), unit="reviews", n=clean,
            target="0", met=alarms == 0,
        )
    )  # fmt: skip
    slowest = max(each.seconds for each in tried)
    table.append(single("slowest verification", slowest, unit="seconds", n=len(tried)))
    return table


def share(measure: str, hits: Sequence[bool], *, target: str) -> Row:
    """A row of a share with its exact interval."""
    estimate = clopper_pearson(sum(hits), len(hits), unit="of tamperings")
    return estimated(measure, estimate, target=target, met=all(hits) if target else None)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    show("The trail of a review", rows(quick=given.quick), given.json)


if __name__ == "__main__":
    main()
