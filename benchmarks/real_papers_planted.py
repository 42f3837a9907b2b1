"""Errors planted in published papers, in the papers' own wording: which does a review find?

A plant changes one thing that a paper itself says, and only where the paper says it twice: a
p-value printed beside its statistic, a cited entry of the bibliography, a number of the summary
that the text repeats, the parts of a number that the text lists, a number that stands elsewhere in
the text. That the paper agrees with itself before, and no longer after, is checked for each plant
from the source alone, without the reader or any check of a review.

The finders of places were written from the papers that `is_sealed` leaves open. The sealed third
was not read until the checks were done, and its rows stand by themselves.
"""

import math
import random
import re
import shutil
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from scipy import stats

from benchmarks.real_papers import PAPERS
from benchmarks.rows import Row, estimated, show, single
from plumbrule.oversight.papers import ReportedFlaw, flaws_in, read_material, review_paper
from plumbrule.statistics import clopper_pearson

KINDS = {
    "p": "a p-value beside its statistic",
    "entry": "a cited entry of the bibliography",
    "summary": "a number of the summary against the text",
    "parts": "a number and the parts it is made of",
    "n": "a number said in two places of the text",
}
ENTRIES = 3
"""Entries taken out of one paper's bibliography, one at a time."""
RECALL = 0.8
SEALED_OF = 3
"""One of so many papers is sealed."""
_WORDS = "two three four five six seven eight nine ten eleven twelve"
WORDS = {word: number for number, word in enumerate(_WORDS.split(" "), start=2)}
NAMES = {number: word for word, number in WORDS.items()}
_NUMBER = r"(?<![\w.,/$^{-])(?:\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)(?![\w/^}]|\.\d|,\d)"
_COUNT = rf"(?:\b(?:{'|'.join(WORDS)})\b|{_NUMBER})"
_STATED = re.compile(rf"(?P<number>{_COUNT})(?:\s|-)(?P<noun>[a-z]+(?:[ -][a-z]+)?)", re.I)
_ITEM = re.compile(r"``?[^`\n]+`?`|\*\*[^*\n]+\*\*|(?<!\*)\*[^*\n]+\*(?!\*)")
_BULLET = re.compile(r"^\s*(?:[-*+]|\d+\.) +\S", re.M)
_LISTED = re.compile(rf"\b(?P<number>{'|'.join(WORDS)})\b[^.:\n|]*:", re.I)
_COUNTED = re.compile(rf"\b(?P<number>{'|'.join(WORDS)})\b[^.\n|]*?(?=[`*])", re.I)
_SENTENCE = re.compile(r"[.!?](?:\s|$)|\n[ \t]*\n")
_INLINE = re.compile(
    r"\b(?P<test>[tFrz])\s*\((?P<df>[\d., ]+)\)\s*=\s*(?P<value>-?[\d.]+),\s*"
    r"p\s*(?P<sign>[=<])\s*(?P<p>0?\.\d+)"
)
_OUTPUT = re.compile(r"^(?:#> ?|# )?(?P<row>[^|\n]*\|.*)$", re.M)


@dataclass(frozen=True, kw_only=True)
class Plant:
    """One change of one file."""

    kind: str
    file: str
    start: int
    end: int
    new: str
    old: str
    against: str
    """What else the paper says, which the change contradicts."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One plant, and what the review told anew."""

    paper: str
    plant: Plant
    hits: tuple[ReportedFlaw, ...]
    others: tuple[ReportedFlaw, ...]
    """New findings that are not about the plant."""


def is_sealed(paper: str) -> bool:
    """Whether a paper belongs to the third that nobody looked at before the end."""
    names = sorted(path.name for path in PAPERS.iterdir() if path.is_dir())
    ranked = sorted(names, key=lambda name: sha256(f"planted errors:{name}".encode()).hexdigest())
    return paper in ranked[: len(ranked) // SEALED_OF]


def plants(folder: Path, *, seed: int = 0) -> list[Plant]:
    """Every place of a paper where it says something twice, each with one change.

    Args:
        folder: Of the paper, `paper.md` and its bibliography.
        seed: Of what is changed into what; the places are always the same.
    """
    draw = random.Random(f"{seed}:{folder.name}")
    text = (folder / "paper.md").read_text("utf-8")
    found = [
        *_p_values(text, draw), *_entries(folder, text, draw), *_listed(text, draw),
        *_said_twice(text, draw), *_observed(text, draw),
    ]  # fmt: skip
    taken: list[Plant] = []
    for each in found:  # one change a place
        if not any(
            each.file == other.file and each.start < other.end and other.start < each.end
            for other in taken
        ):
            taken.append(each)
    return taken


def _p_values(text: str, draw: random.Random) -> Iterator[Plant]:
    for match in _INLINE.finditer(text):
        degrees = [float(each) for each in match["df"].split(",")]
        yield from _p_plant(
            text, match.span("p"), match["sign"],
            _p(match["test"], float(match["value"]), degrees), draw, match[0],
        )  # fmt: skip
    for line, row, header in _rows(text):
        yield from _row_plant(text, line, row, header, draw)


def _rows(text: str) -> Iterator[tuple[re.Match[str], dict[str, str], list[str]]]:
    """Rows of tables that print p-values, with their header; also tables that a program printed."""
    header: list[str] = []
    for line in _OUTPUT.finditer(text):
        cells = [each.strip() for each in line["row"].split("|")]
        if "p" in cells:
            header = cells
        elif "p" in header and len(cells) == len(header):
            yield line, dict(zip(header, cells, strict=True)), header


def _cell(text: str, line: re.Match[str], column: int, content: str) -> int:
    """Where the content of a cell starts."""
    before = sum(len(each) + 1 for each in line["row"].split("|")[:column])
    return text.index(content, line.start("row") + before)


def _row_plant(
    text: str, line: re.Match[str], row: dict[str, str], header: list[str], draw: random.Random
) -> Iterator[Plant]:
    printed = re.fullmatch(r"(?P<sign><?)\s*(?P<p>0?\.\d+)", row["p"])
    for name, cell in row.items():
        test = re.fullmatch(r"(?P<test>[tFz])(?:\((?P<df>[\d., ]+)\))?", name)
        if not printed or not test or not re.fullmatch(r"-?\d+\.\d+", cell):
            continue
        degrees = [float(each) for each in (test["df"] or row.get("df", "")).split(",") if each]
        if not degrees and test["test"] != "z":
            continue
        start = _cell(text, line, header.index("p"), printed["p"])
        yield from _p_plant(
            text, (start, start + len(printed["p"])), printed["sign"] or "=",
            _p(test["test"], float(cell), degrees), draw, f"{name} {cell}",
        )  # fmt: skip


def _p(test: str, value: float, degrees: Sequence[float]) -> float:
    if test == "z":
        return float(2 * stats.norm.sf(abs(value)))
    if test == "F":
        return float(stats.f.sf(value, *degrees))
    if test == "r":
        value = value * math.sqrt(degrees[0] / (1 - value**2))
    return float(2 * stats.t.sf(abs(value), degrees[0]))


def _p_plant(
    text: str, span: tuple[int, int], sign: str, p: float, draw: random.Random, against: str
) -> Iterator[Plant]:
    """Another first digit, where the paper's own p follows from its statistic."""
    printed = text[slice(*span)]
    digits = len(printed.partition(".")[2])
    near = abs(float(printed) - p) <= 0.1 * max(p, 10**-digits)
    if not (p < float(printed) if sign == "<" else near):
        return
    if sign == "<":  # "< .001" becomes something that is far too small
        if p > 1e-5:
            return
        lead, point, _ = printed.partition(".")
        new, start = f"{lead}{point}{draw.randint(101, 899)}", text.rindex("<", 0, span[0])
        yield Plant(kind="p", file="paper.md", start=start, end=span[1], new=f"= {new}",
                    old=text[start : span[1]], against=against)  # fmt: skip
        return
    at = next(each for each, digit in enumerate(printed) if digit in "123456789")
    others = [
        digit for digit in "123456789"
        if abs(float(printed[:at] + digit + printed[at + 1 :]) - p) > 0.3 * p
    ]  # fmt: skip
    new = printed[:at] + draw.choice(others) + printed[at + 1 :]
    yield Plant(kind="p", file="paper.md", start=span[0], end=span[1], new=new, old=printed,
                against=against)  # fmt: skip


def _entries(folder: Path, text: str, draw: random.Random) -> Iterator[Plant]:
    """Entries that are cited, taken out whole."""
    found = []
    for file in sorted(folder.glob("*.bib")):
        bibliography = file.read_text("utf-8")
        for match in re.finditer(r"^@\w+\s*\{\s*([^,\s]+)\s*,", bibliography, re.M):
            cited = re.search(rf"@{re.escape(match[1])}(?![\w:.-]*\w)", text)
            if cited and bibliography.count(match[1]) == 1:
                after = re.search(r"^@", bibliography[match.end() :], re.M)
                end = match.end() + after.start() if after else len(bibliography)
                found.append(
                    Plant(kind="entry", file=file.name, start=match.start(), end=end, new="",
                          old=match[1], against=cited[0])
                )  # fmt: skip
    yield from draw.sample(found, min(ENTRIES, len(found)))


def _listed(text: str, draw: random.Random) -> Iterator[Plant]:
    """A count, and as many things that the same sentence or the list after it names."""
    for match in _LISTED.finditer(text, _body(text)):
        rest = text[match.end() :]
        lines = re.split(r"\n[ \t]*\n(?!\s*[-*+] )", rest.lstrip("\n "), maxsplit=1)[0]
        bullets = len(_BULLET.findall(lines))
        if not rest[:2].strip() and bullets == WORDS[match["number"].lower()]:
            yield _count_plant(match.span("number"), text, draw, "the list after it")
    for match in _COUNTED.finditer(text, _body(text)):
        end = _SENTENCE.search(text, match.end("number"))
        items = _ITEM.findall(text[match.end("number") : end.start() if end else len(text)])
        if len(items) == len(set(items)) == WORDS[match["number"].lower()]:
            yield _count_plant(match.span("number"), text, draw, ", ".join(items))


def _count_plant(span: tuple[int, int], text: str, draw: random.Random, against: str) -> Plant:
    old = text[slice(*span)]
    return Plant(kind="parts", file="paper.md", start=span[0], end=span[1],
                 new=_next_word(old, draw), old=old, against=against)  # fmt: skip


def _next_word(word: str, draw: random.Random) -> str:
    """A number word that is one less or one more."""
    number = WORDS[word.lower()]
    new = NAMES[draw.choice([each for each in (number - 1, number + 1) if each in NAMES])]
    return new.capitalize() if word[0].isupper() else new


def _said_twice(text: str, draw: random.Random) -> Iterator[Plant]:
    """Numbers of the same things in two places; the first of them is changed.

    A number in words says the same thing twice only where the second place points back to the
    first: "the six modules", "these six modules".
    """
    summary = re.compile(r"^#+ *(?:Summary|Abstract) *\n(.*?)(?=^#)", re.M | re.S).search(text)
    abstract = re.compile(r"^abstract:.*\n(?:[ \t]+.*\n)+", re.M).search(text)
    start = abstract.start() if abstract else _body(text)
    said: dict[tuple[float, str], list[re.Match[str]]] = {}
    for match in _STATED.finditer(text, start):
        plural = re.search(r"\w+s\b", match["noun"])
        noun = plural[0] if plural else match["noun"].split()[-1]
        said.setdefault((_value(match["number"]), noun.lower()), []).append(match)
    for (number, _), places in said.items():
        if len(places) != 2 or 1900 <= number <= 2100:  # of three, two would still agree
            continue
        first, second = places
        back = re.search(r"\b(?:the|these|those|all)\s+$", text[: second.start()], re.I)
        if first["number"].lower() in WORDS and not back:
            continue
        inside = [any(part and part.start() <= each.start() < part.end()
                      for part in (summary, abstract)) for each in places]  # fmt: skip
        kind = "summary" if inside == [True, False] else "n"
        yield Plant(kind=kind, file="paper.md", start=first.start("number"),
                    end=first.end("number"), new=_other(first["number"], draw),
                    old=first["number"], against=second[0])  # fmt: skip


def _observed(text: str, draw: random.Random) -> Iterator[Plant]:
    """The number of observations beside the degrees of freedom of a correlation."""
    for line, row, header in _rows(text):
        number = next((name for name in ("n_Obs", "n", "N") if name in row), None)
        if number is None or "r" not in row or not row.get("df", "").isdigit():
            continue
        if not row[number].isdigit() or int(row[number]) != int(row["df"]) + 2:
            continue
        start = _cell(text, line, header.index(number), row[number])
        yield Plant(kind="n", file="paper.md", start=start, end=start + len(row[number]),
                    new=_other(row[number], draw), old=row[number],
                    against=f"df {row['df']}")  # fmt: skip


def _value(number: str) -> float:
    return WORDS.get(number.lower()) or float(number.replace(",", ""))


def _other(old: str, draw: random.Random) -> str:
    """A number that one digit, or the next number word, makes of another."""
    if old.lower() in WORDS:
        return _next_word(old, draw)
    at = draw.choice([each for each, digit in enumerate(old) if digit.isdigit()])
    digits = [each for each in "123456789" if each != old[at]]
    return old[:at] + draw.choice(digits) + old[at + 1 :]


def _body(text: str) -> int:
    """Where the front matter ends."""
    match = re.match(r"---\n.*?\n---\n", text, re.S)
    return match.end() if match else 0


def try_all(folder: Path, *, sealed: bool, seed: int = 0) -> list[Tried]:
    """Review each paper once as it is and once with each plant, without a model."""
    return [
        each
        for path in sorted(folder.glob("*/paper.md"))
        if is_sealed(path.parent.name) == sealed
        for each in try_plants(path, plants(path.parent, seed=seed))
    ]


def try_plants(path: Path, planted: Sequence[Plant]) -> list[Tried]:
    """Review a paper as it is, and once with each plant."""
    before = {_key(each) for each in _flaws(path)}
    tried = []
    for plant in planted:
        with tempfile.TemporaryDirectory() as name:
            copy = Path(name) / path.parent.name
            shutil.copytree(path.parent, copy)
            file = copy / plant.file
            text = file.read_text("utf-8")
            file.write_text(text[: plant.start] + plant.new + text[plant.end :], "utf-8")
            new = [each for each in _flaws(copy / path.name) if _key(each) not in before]
        hits = tuple(each for each in new if _names(each, plant))
        others = tuple(each for each in new if each not in hits)
        tried.append(Tried(paper=path.parent.name, plant=plant, hits=hits, others=others))
    return tried


def _flaws(paper: Path) -> list[ReportedFlaw]:
    with tempfile.TemporaryDirectory() as out:
        done = review_paper(read_material(paper), folder=Path(out) / "review")
    return [
        flaw
        for node in done.root.walk()
        for report in node.current
        for flaw in flaws_in(report)
        if flaw.severity != "info" and report.specialist != "reading"
    ]


def _key(flaw: ReportedFlaw) -> tuple[str, str, tuple[str, ...]]:
    return flaw.kind, flaw.message, tuple(each.text for each in flaw.quotes)


def _names(flaw: ReportedFlaw, plant: Plant) -> bool:
    """Whether a finding is about a plant: it names the key, or quotes what was changed."""
    if plant.kind == "entry":
        return plant.old.lower() in flaw.message.lower()
    said = [flaw.message, *(each.text for each in flaw.quotes)]
    return any(re.search(rf"(?<![\w.]){re.escape(plant.new)}(?!\w)", each) for each in said)


def recall_rows(tried: Sequence[Tried], *, sealed: bool, seeds: Sequence[int]) -> list[Row]:
    """Recall by kind and in all, and findings that are not about the plant."""
    which = "sealed papers" if sealed else "open papers"
    rows = []
    for kind, words in KINDS.items():
        ours = [each for each in tried if each.plant.kind == kind]
        if not ours:
            rows.append(Row(measure=f"{which}: {words}", target="", value=None, low=None, high=None,
                            unit="undefined: the papers have no such place", n=0, met=None,
                            seeds=list(seeds)))  # fmt: skip
            continue
        found = sum(bool(each.hits) for each in ours)
        rows.append(estimated(f"{which}: {words}", clopper_pearson(found, len(ours), unit="recall"),
                              seeds=seeds))  # fmt: skip
    rest = [each for each in tried if each.plant.kind != "entry"]
    if rest:
        found = sum(bool(each.hits) for each in rest)
        share = clopper_pearson(found, len(rest), unit="recall")
        rows.append(estimated(f"{which}: all kinds but entries", share, seeds=seeds))
    found = sum(bool(each.hits) for each in tried)
    others = sum(len(each.others) for each in tried)
    return [
        *rows,
        estimated(f"{which}: found of all plants",
                  clopper_pearson(found, len(tried), unit="recall"), seeds=seeds,
                  target=f">= {RECALL}", met=found >= RECALL * len(tried)),
        single(f"{which}: new findings about something else", others, unit="findings",
               n=len(tried), seeds=seeds, target="0", met=others == 0),
    ]  # fmt: skip


def main() -> None:
    """Print every plant with what was found, and the table; write the rows where asked."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--papers", type=Path, default=PAPERS, help="folder of papers")
    parser.add_argument("--sealed", action="store_true", help="the sealed third too")
    parser.add_argument("--seed", type=int, default=0, help="of what is changed into what")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    asked = parser.parse_args()
    if not asked.papers.is_dir():
        parser.error(f"expected a folder of papers, there is none at {asked.papers}; give --papers")
    rows = []
    for sealed in (False, True) if asked.sealed else (False,):
        tried = try_all(asked.papers, sealed=sealed, seed=asked.seed)
        for each in tried:
            word = "found" if each.hits else "missed"
            plant = each.plant
            print(f"{each.paper}: {word}: {plant.kind}: {plant.old!r} -> {plant.new!r} "
                  f"against {plant.against!r}")  # fmt: skip
            for other in each.others:
                print(f"    something else: {other.kind}: {other.message[:200]}")
        rows += recall_rows(tried, sealed=sealed, seeds=[asked.seed])
    show("Errors planted in published papers", rows, asked.json)


if __name__ == "__main__":
    main()
