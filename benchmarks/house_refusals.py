"""How the command ends on malformed inputs: with which code, and with what message."""

import random
import re
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.house_call import Called, call, call_afresh, preload
from benchmarks.house_inputs import Bad, generate
from benchmarks.house_materials import materials
from benchmarks.rows import Row, single

COUNT, SEED, AFRESH = 1000, 0, 50
TIMEOUT = 60.0

_EXPECTS = re.compile(
    r"\b(expected|must|should|needs?|takes?|give|choose|cannot|can not|no such|not a|is not|"
    r"Missing|Invalid|unexpected|required|requires|there is no|there are|holds|has no|"
    r"put|try another|check that|at most|at least|known|mend|has more|shorten|too)\b",
    re.IGNORECASE,
)
LONGEST = 1500
"""Characters of a message that is still one paragraph to a reader."""


def fault(ends: frozenset[int], called: Called) -> str | None:
    """What is wrong with how the command ended; None where it ended well.

    Args:
        ends: Codes with which it may.
        called: How it did.
    """
    if called.code is None:
        return "hangs"
    if called.traced:
        return "a traceback"
    if called.code == 70:
        return "an error that nobody foresaw"
    if called.code not in ends:
        return f"ended with {called.code}"
    if called.code in (2, 3):
        said = called.message
        if called.err.count("plumbrule: ") > 1:
            return "more than one message"
        if not said:
            return "no message"
        if "\n" in said:
            return "more than one paragraph"
        if len(said) > LONGEST:
            return "a message too long"
        if not _EXPECTS.search(said):
            return "a message that does not say what was expected"
    return None


def tried(bad: Bad, folder: Path, *, afresh: bool = False) -> Called:
    """Make an input in a folder of its own and give it to the command."""
    clear(folder)
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    bad.make(folder)
    if afresh:
        return call_afresh(bad.arguments, folder, timeout=2 * TIMEOUT)
    return call(bad.arguments, folder, timeout=TIMEOUT, unprivileged=bad.unprivileged)


def clear(folder: Path) -> None:
    """Remove a folder, also one that nobody may write."""
    if folder.exists():
        for path in (folder, *folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o777)
        shutil.rmtree(folder)


def rows(work: Path) -> Sequence[Row]:
    """Give all inputs to the command that were not given yet."""
    from benchmarks.house import Kept

    preload()
    kept = Kept(work / "inputs.jsonl")
    seen = kept.read()
    inputs = generate(materials(work / "materials"), count=COUNT, seed=SEED)
    folder = work / "case"
    for bad in inputs:
        if bad.id in seen:
            continue
        called = tried(bad, folder)
        seen[bad.id] = {
            "id": bad.id, "what": bad.what, "arguments": list(map(repr, bad.arguments)),
            "code": called.code, "fault": fault(bad.ends, called), "message": called.message[:2000],
            "seconds": round(called.seconds, 2),
        }  # fmt: skip
        kept.add(seen[bad.id])
        if seen[bad.id]["fault"]:
            print(bad.id, seen[bad.id]["fault"], bad.what, file=sys.stderr, flush=True)
    _afresh(work, inputs)
    return table(work)


def table(work: Path) -> Sequence[Row]:
    """The rows of what was done so far."""
    from benchmarks.house import Kept

    seen = Kept(work / "inputs.jsonl").read()
    again = Kept(work / "afresh.jsonl").read()
    same = [again[name]["code"] == seen[name]["code"] for name in again if name in seen]
    return _table(list(seen.values()), same)


def _afresh(work: Path, inputs: Sequence[Bad]) -> None:
    """Give a sample to a new interpreter too."""
    from benchmarks.house import Kept

    kept = Kept(work / "afresh.jsonl")
    known = kept.read()
    can = [bad for bad in inputs if not bad.unprivileged and "\udcff" not in "".join(bad.arguments)]
    for bad in random.Random(SEED).sample(can, AFRESH):
        if bad.id not in known:
            called = tried(bad, work / "case", afresh=True)
            kept.add(
                {
                    "id": bad.id,
                    "code": called.code,
                    "fault": fault(bad.ends, called),
                    "message": called.message[:2000],
                }
            )


def _table(cases: Sequence[Mapping[str, Any]], same: Sequence[bool]) -> list[Row]:
    faults = Counter(str(case["fault"]) for case in cases if case["fault"])
    count, unit = len(cases), "of inputs"

    def none(measure: str, number: int) -> Row:
        return single(
            measure, number, unit=unit, n=count, seeds=(SEED,), target="0", met=number == 0
        )

    codes = Counter(case["code"] for case in cases)
    messages = sum(
        number for name, number in faults.items() if "message" in name or "paragraph" in name
    )
    wrong = sum(number for name, number in faults.items() if name.startswith("ended with"))
    return [
        none("malformed inputs: tracebacks", faults["a traceback"]),
        none("malformed inputs: exit 70", faults["an error that nobody foresaw"]),
        none("malformed inputs: taken or judged where they must be refused", wrong),
        none("malformed inputs: hangs", faults["hangs"]),
        none("malformed inputs: no message, or not one paragraph that says what was expected",
             messages),
        single("malformed inputs: the same exit code in a new interpreter", sum(same),
               unit="of inputs", n=len(same), seeds=(SEED,), target="all", met=all(same)),
        *(
            single(f"malformed inputs: {what}", codes[code], unit=unit, n=count, seeds=(SEED,))
            for code, what in (
                (2, "refused as wrong (2)"),
                (3, "refused as a part outside failed (3)"),
                (0, "readable after all (0)"),
                (1, "readable, with a verdict of the verb (1)"),
            )
        ),
    ]  # fmt: skip
