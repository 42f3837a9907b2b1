"""A finished run's folder tampered with in many ways, and whether `ledger verify` names each."""

import hashlib
import json
import os
import random
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.house_call import Called, call, preload
from benchmarks.house_materials import materials
from benchmarks.house_refusals import clear
from benchmarks.rows import Row, single
from plumbrule.ledger.chain import GENESIS, seal

COUNT, SEED = 130, 0

Tampering = Callable[[Path, random.Random], Sequence[str]]
"""Changes a folder; returns what must be named, each in some line of what is said."""


def _files(folder: Path, *patterns: str) -> list[Path]:
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return sorted(path for path in found if path.stat().st_size > 8 and not _own(path))


def _own(path: Path) -> bool:
    """Whether a file has a chain of its own or says nothing: the ledger, a lock, the log."""
    return path.name.startswith((".", "ledger.")) or path.name in ("run.lock", "progress.log")


def _some(folder: Path, rng: random.Random, *patterns: str) -> Path:
    return rng.choice(_files(folder, *(patterns or ("**/*",))))


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def one_bit(folder: Path, rng: random.Random) -> Sequence[str]:
    """One bit of any file."""
    path = _some(folder, rng)
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(data))
    return [_name(folder, path)]


def one_weight(folder: Path, rng: random.Random) -> Sequence[str]:
    """One byte of one model's weights, dates kept."""
    path = _some(folder, rng, "**/*.safetensors")
    before = path.stat()
    with path.open("r+b") as file:
        at = rng.randrange(before.st_size // 2, before.st_size)
        file.seek(at)
        old = file.read(1)
        file.seek(at)
        file.write(bytes([old[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return [_name(folder, path)]


def cut(folder: Path, rng: random.Random) -> Sequence[str]:
    """A file cut short."""
    path = _some(folder, rng)
    with path.open("r+b") as file:
        file.truncate(rng.randrange(path.stat().st_size))
    return [_name(folder, path)]


def emptied(folder: Path, rng: random.Random) -> Sequence[str]:
    """A file without contents."""
    path = _some(folder, rng)
    path.write_bytes(b"")
    return [_name(folder, path)]


def longer(folder: Path, rng: random.Random) -> Sequence[str]:
    """A newline more at a file's end."""
    path = _some(folder, rng)
    with path.open("ab") as file:
        file.write(b"\n")
    return [_name(folder, path)]


def removed(folder: Path, rng: random.Random) -> Sequence[str]:
    """A file gone."""
    path = _some(folder, rng)
    path.unlink()
    return [_name(folder, path)]


def folder_removed(folder: Path, rng: random.Random) -> Sequence[str]:
    """A stage, a model or the report gone."""
    path = rng.choice(
        sorted((*folder.glob("models/*"), *folder.glob("stages/*"), folder / "report"))
    )
    inside = [_name(folder, each) for each in _files(path, "**/*")]
    shutil.rmtree(path)
    return inside


def added(folder: Path, rng: random.Random) -> Sequence[str]:
    """A file more, beside others or in a folder of its own."""
    place = rng.choice(["report", "models/final", "stages", "new", "."])
    path = folder / place / f"more{rng.randrange(100)}{rng.choice(['.json', '.txt', ''])}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"{}")
    return [_name(folder, path)]


def copied(folder: Path, rng: random.Random) -> Sequence[str]:
    """A file doubled under another name."""
    path = _some(folder, rng)
    new = path.with_name(f"x{path.name}")
    shutil.copy(path, new)
    return [_name(folder, new)]


def swapped(folder: Path, rng: random.Random) -> Sequence[str]:
    """Two files in each other's place."""
    while True:
        first, second = (
            _some(folder, rng, "stages/**/*.jsonl"),
            _some(folder, rng, "stages/**/*.jsonl"),
        )
        if first.read_bytes() != second.read_bytes():
            break
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    return [_name(folder, first), _name(folder, second)]


def models_swapped(folder: Path, rng: random.Random) -> Sequence[str]:
    """Weights of one model in place of another's."""
    paths = _files(folder, "models/*/model.safetensors")
    first, second = rng.sample(paths, 2)
    shutil.copy(first, second)
    return [_name(folder, second)]


def renamed(folder: Path, rng: random.Random) -> Sequence[str]:
    """A file under another name."""
    path = _some(folder, rng)
    new = path.with_name(f"{path.stem}-old{path.suffix}")
    path.rename(new)
    return [_name(folder, path), _name(folder, new)]


def linked(folder: Path, rng: random.Random) -> Sequence[str]:
    """A link in place of a file, to the same bytes elsewhere."""
    path = _some(folder, rng)
    away = folder.parent / f"away-{rng.randrange(10**6)}"
    shutil.move(path, away)
    path.symlink_to(away)
    return [_name(folder, path)]


def made_a_folder(folder: Path, rng: random.Random) -> Sequence[str]:
    """A folder in place of a file."""
    path = _some(folder, rng)
    path.unlink()
    path.mkdir()
    return [_name(folder, path)]


def report_edited(folder: Path, rng: random.Random) -> Sequence[str]:
    """A number or a word of the report."""
    path = folder / "report" / rng.choice(["report.json", "index.html"])
    text = path.read_text("utf-8")
    digits = [at for at, letter in enumerate(text) if letter in "123456789"]
    at = rng.choice(digits)
    path.write_text(f"{text[:at]}{'0' if text[at] != '0' else '1'}{text[at + 1 :]}", "utf-8")
    return [_name(folder, path)]


def gate_passed(folder: Path, rng: random.Random) -> Sequence[str]:
    """The verdict turned round in the report."""
    path = folder / "report" / "report.json"
    content = json.loads(path.read_text("utf-8"))
    content["gates_passed"] = not content["gates_passed"]
    path.write_text(json.dumps(content), "utf-8")
    return ["report/report.json"]


def configuration_edited(folder: Path, rng: random.Random) -> Sequence[str]:
    """Another seed in the configuration."""
    path = folder / rng.choice(["config.yaml", "run.json"])
    text = path.read_text("utf-8")
    assert "seed" in text
    path.write_text(text.replace("seed", "sead", 1), "utf-8")
    return [_name(folder, path)]


def line_edited(folder: Path, rng: random.Random) -> Sequence[str]:
    """One word of one reply or judgment."""
    path = _some(folder, rng, "stages/**/*.jsonl")
    lines = path.read_text("utf-8").split("\n")
    at = rng.randrange(max(1, len(lines) - 1))
    lines[at] = lines[at].replace("e", "a", 1)
    path.write_text("\n".join(lines), "utf-8")
    return [_name(folder, path)]


def line_dropped(folder: Path, rng: random.Random) -> Sequence[str]:
    """One record of a stage."""
    path = _some(folder, rng, "stages/**/*.jsonl")
    lines = path.read_text("utf-8").splitlines(keepends=True)
    del lines[rng.randrange(len(lines))]
    path.write_text("".join(lines), "utf-8")
    return [_name(folder, path)]


# -- The ledger itself


def _rows(folder: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(folder / "ledger.db")) as database:
        database.row_factory = sqlite3.Row
        found = database.execute("SELECT * FROM entries ORDER BY position").fetchall()
    return [dict(row) for row in found]


def _write(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    names = list(rows[0])
    marks = ", ".join("?" * len(names))
    with closing(sqlite3.connect(folder / "ledger.db")) as database, database:
        database.execute("DELETE FROM entries")
        database.executemany(
            f"INSERT INTO entries ({', '.join(names)}) VALUES ({marks})",
            [[row[name] for name in names] for row in rows],
        )


def _sealed(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same contents with positions, links and hashes made anew."""
    previous, done = GENESIS, []
    for at, row in enumerate(rows, 1):
        made = seal(at, previous, row["key"], row["kind"], row["payload"], row["written_at"])
        previous = str(made.hash)
        done.append(vars(made))
    return done


def entry_edited(folder: Path, rng: random.Random) -> Sequence[str]:
    """A payload in the ledger."""
    rows = _rows(folder)
    at = rng.randrange(len(rows))
    rows[at]["payload"] = rows[at]["payload"].replace("{", '{"x":1,', 1).replace(",}", "}")
    _write(folder, rows)
    return [f"entry {at + 1}"]


def entry_dated(folder: Path, rng: random.Random) -> Sequence[str]:
    """Another date of an entry."""
    rows = _rows(folder)
    at = rng.randrange(len(rows))
    rows[at]["written_at"] = "2020-01-01T00:00:00+00:00"
    _write(folder, rows)
    return [f"entry {at + 1}"]


def entry_dropped(folder: Path, rng: random.Random) -> Sequence[str]:
    """An entry gone."""
    rows = _rows(folder)
    at = rng.randrange(len(rows) - 1)
    del rows[at]
    _write(folder, rows)
    return [f"entry {at + 1}"]


def end_dropped(folder: Path, rng: random.Random) -> Sequence[str]:
    """The last entries gone."""
    rows = _rows(folder)
    kept = rows[: rng.randrange(1, len(rows))]
    _write(folder, kept)
    return ["dropped"]


def entries_swapped(folder: Path, rng: random.Random) -> Sequence[str]:
    """Two entries in each other's place."""
    rows = _rows(folder)
    first, second = sorted(rng.sample(range(len(rows)), 2))
    rows[first], rows[second] = rows[second], rows[first]
    for at, row in enumerate(rows, 1):
        row["position"] = at
    _write(folder, rows)
    return ["reordered"]


def resealed(folder: Path, rng: random.Random) -> Sequence[str]:
    """An entry edited and the whole chain made anew, the head file left as it is."""
    rows = _rows(folder)
    at = rng.randrange(len(rows))
    rows[at]["key"] += "x"
    _write(folder, _sealed(rows))
    return ["head"]


def entry_added(folder: Path, rng: random.Random) -> Sequence[str]:
    """An entry more at the end, sealed rightly."""
    rows = _rows(folder)
    rows.append({**rows[-1], "key": "another", "payload": "{}"})
    _write(folder, _sealed(rows))
    return ["added"]


def head_removed(folder: Path, rng: random.Random) -> Sequence[str]:
    """The file that says where the ledger ends."""
    (folder / "ledger.head").unlink()
    return ["head"]


def head_edited(folder: Path, rng: random.Random) -> Sequence[str]:
    """A digit of the head file."""
    path = folder / "ledger.head"
    text = path.read_text("utf-8")
    at = rng.choice([at for at, letter in enumerate(text) if letter in "0123456789abcdef"])
    path.write_text(text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :], "utf-8")
    return ["head"]


def files_forgotten(folder: Path, rng: random.Random) -> Sequence[str]:
    """A file changed, and its hash in the ledger changed with it."""
    path = _some(folder, rng, "report/*", "stages/**/*.jsonl")
    old = path.read_bytes()
    path.write_bytes(old + b" ")
    before, after = hashlib.sha256(old).hexdigest(), hashlib.sha256(old + b" ").hexdigest()
    rows = _rows(folder)
    for row in rows:
        row["payload"] = row["payload"].replace(before, after)
    _write(folder, rows)
    return ["entry"]


WAYS: tuple[Tampering, ...] = (
    one_bit, one_weight, cut, emptied, longer, removed, folder_removed, added, copied, swapped,
    models_swapped, renamed, linked, made_a_folder, report_edited, gate_passed,
    configuration_edited, line_edited, line_dropped, entry_edited, entry_dated, entry_dropped,
    end_dropped, entries_swapped, resealed, entry_added, head_removed, head_edited, files_forgotten,
)  # fmt: skip


def tampered(run: Path, folder: Path) -> Iterator[tuple[str, Sequence[str], Called]]:
    """Tamper with copies of a run: the way, what must be named, and how the command ended."""
    for number in range(COUNT):
        rng = random.Random(f"{SEED}/{number}")
        way = WAYS[number % len(WAYS)]
        clear(folder)
        shutil.copytree(run, folder / "run", symlinks=True)
        expected = way(folder / "run", rng)
        yield f"{number} {way.__name__}", expected, call(("ledger", "verify", "run"), folder)


def rows(work: Path) -> Sequence[Row]:
    """Tamper, and count what was noticed and named."""
    preload()
    run = materials(work / "materials").run
    calm = call(("ledger", "verify", str(run)), work)
    noticed = placed = 0
    for name, expected, called in tampered(run, work / "case"):
        said = f"{called.out} {called.message}"
        seen = called.code == 1 and not called.traced
        named = seen and all(each in said for each in expected)
        noticed, placed = noticed + seen, placed + named
        if not named:
            print(name, called.code, expected, said[-500:], file=sys.stderr, flush=True)

    def share(measure: str, hits: int) -> Row:
        return single(measure, hits, unit=f"of {COUNT}", n=COUNT, seeds=(SEED,), target="all",
                      met=hits == COUNT)  # fmt: skip

    return [
        share("tampering with a run: ledger verify ends with 1", noticed),
        share("tampering with a run: what was done is named", placed),
        single("untouched run called tampered with", int(calm.code != 0), unit="of 1", n=1,
               target="0", met=calm.code == 0),
    ]  # fmt: skip
