"""An endpoint with many habits and faults, as critic and as judge of three verbs."""

import base64
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.house_call import Called, call, preload
from benchmarks.house_inputs import PAPER
from benchmarks.house_materials import village
from benchmarks.house_quirks import BAD, GOOD, KEY, QUIRKS, asked, serving
from benchmarks.house_refusals import clear, fault
from benchmarks.rows import Row, single

TIMEOUT = 120.0
USES: Mapping[str, Sequence[str]] = {
    "judge of review": ("review", "paper.md", "--out", "out", "--judge"),
    "judge of compare": ("compare", "lab:nano", "lab:pico", "--prompts", "prompts.jsonl",
                         "--budget", "160", "--max-tokens", "6", "--out", "out", "--judge"),
    "critic of run": ("run", "--recipe", "recipe.yaml", "--judge", "lab:small", "--out", "out",
                      "--critic"),
    "judge of run": ("run", "--recipe", "recipe.yaml", "--out", "out", "--critic",
                     "{address}/v1#plain@critic of another", "--judge"),
}  # fmt: skip
"""What a model behind an endpoint is used for, each with the command that its address ends."""

MOST_TIMES = 16
"""Times the requests that a plain endpoint is sent, before one counts as asked for ever: a choice
without log-probabilities takes eight replies, and one request may be tried six times."""

LEAST_ALLOWED = 60


def hurry() -> None:
    """Shorten the pauses and the longest wait of endpoints: what is tried stays the same."""
    from plumbrule.models import calling

    made = calling.Caller.__init__

    def quickly(self: Any, *arguments: Any, **settings: Any) -> None:
        hurried = {"backoff_seconds": 0.01, "max_wait_seconds": 0.05, "timeout_seconds": 2.0}
        made(self, *arguments, **{**settings, **hurried})

    calling.Caller.__init__ = quickly  # type: ignore[method-assign]


def spellings(key: str) -> dict[str, bytes]:
    """A key as it might be written down."""
    from urllib.parse import quote

    raw = key.encode()
    based = {f"base64 {before}": base64.b64encode(b"x" * before + raw)[4:-4] for before in range(3)}
    return {
        "raw": raw, "percent": quote(key, safe="").encode(), "hex": raw.hex().encode(),
        "backwards": raw[::-1], "escaped": "".join(f"\\u{ord(x):04x}" for x in key).encode(),
        **based,
    }  # fmt: skip


def written(folder: Path, key: str) -> list[str]:
    """Files below a folder in which a key stands, in any writing."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            lower = content.lower()
            found += [
                f"{path.name}: {how}"
                for how, way in spellings(key).items()
                if way in content or way.lower() in lower
            ]
    return found


def prepare(folder: Path) -> None:
    """A folder with a small run's inputs and a paper."""
    clear(folder)
    village(folder, tempting=10, deserving=4, examined=1, principles=3)
    (folder / "paper.md").write_text(PAPER, "utf-8")


def use(address: str, quirk: str, name: str, folder: Path) -> tuple[Called, int]:
    """Use a model with a quirk for something; what came of it, and the requests."""
    prepare(folder)
    model = f"{quirk}@{name}"
    called = call(
        (*(each.format(address=address) for each in USES[name]), f"{address}/v1#{model}"),
        folder,
        timeout=TIMEOUT,
        environment={"PLUMBRULE_ENDPOINT_KEY": KEY, "TMPDIR": str(folder)},
        first=hurry,
    )
    return called, asked(address, model)


def rows(work: Path) -> Sequence[Row]:
    """Use every quirk for everything that was not yet done."""
    from benchmarks.house import Kept

    preload()
    kept = Kept(work / "endpoint.jsonl")
    seen = kept.read()
    with serving() as address:
        for name in USES:
            for quirk in QUIRKS:
                case = f"{name}: {quirk}"
                if case in seen:
                    continue
                called, requests = use(address, quirk, name, work / "case")
                most = max(
                    LEAST_ALLOWED, MOST_TIMES * seen.get(f"{name}: plain", {}).get("asked", 0)
                )
                seen[case] = {
                    "id": case, "code": called.code, "asked": requests,
                    "fault": _fault(quirk, called),
                    "for_ever": quirk != "plain" and requests > most,
                    "keys": written(work / "case", KEY), "message": called.message[:1000],
                    "said": called.out[-1500:], "seconds": round(called.seconds, 1),
                }  # fmt: skip
                kept.add(seen[case])
                if seen[case]["fault"] or seen[case]["for_ever"] or seen[case]["keys"]:
                    print(case, seen[case]["fault"], requests, seen[case]["keys"], file=sys.stderr)
    return table(work)


def table(work: Path) -> Sequence[Row]:
    """The rows of what was done so far."""
    from benchmarks.house import Kept

    seen = Kept(work / "endpoint.jsonl").read()
    cases = [f"{name}: {quirk}" for name in USES for quirk in QUIRKS]
    return _table([seen[case] for case in cases if case in seen])


def _fault(quirk: str, called: Called) -> str | None:
    ends = frozenset({0, 1} if quirk in GOOD else {0, 1, 2, 3})
    if quirk.startswith("some ") and called.code == 2 and "reply" in called.message:
        ends |= {2}  # a run may have too little left to learn from, and says so
    return fault(ends, called)


def cases_of(use: str, cases: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of the cases that are of one use."""
    return [case for case in cases if case["id"].startswith(f"{use}: ")]


def _table(cases: Sequence[Mapping[str, Any]]) -> list[Row]:
    good = [case for case in cases if case["id"].split(": ", 1)[1] in GOOD]
    bad = [case for case in cases if case["id"].split(": ", 1)[1] in BAD]

    def share(measure: str, those: Sequence[Mapping[str, Any]], hits: int) -> Row:
        return single(measure, hits, unit=f"of {len(those)}", n=len(those), target="all",
                      met=hits == len(those))  # fmt: skip

    def none(measure: str, number: int) -> Row:
        return single(measure, number, unit="uses", n=len(cases), target="0", met=number == 0)

    found = []
    for use in USES:
        for what, group in (("habits: of use", good), ("faults: one message or a verdict", bad)):
            those = cases_of(use, group)
            if those:
                well = sum(not case["fault"] for case in those)
                found.append(share(f"endpoint as {use}, {what}", those, well))
    if any(not cases_of(use, cases) for use in USES):
        return found  # rows over all uses stay as they were until all are tried again
    return [
        *found,
        none("endpoint: asked for ever", sum(case["for_ever"] for case in cases)),
        none(
            "endpoint: key found in a file, in any of 8 writings",
            sum(bool(case["keys"]) for case in cases),
        ),
        single(
            "endpoint: most requests of one use",
            max(case["asked"] for case in cases),
            unit="requests",
            n=len(cases),
        ),
    ]
