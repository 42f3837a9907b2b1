"""What people said and how they voted on it: read from Polis' export or from our own JSONL.

Polis exports `comments.csv` (`comment-id`, `comment-body`, `author-id`, `agrees`, `disagrees`,
`moderated`), `participants-votes.csv` (one row per person, one column per statement) and
`votes.csv` (`comment-id`, `voter-id`, `vote`). Files are known by their header, not by their name.
Our JSONL
has one object per line: `{"id": …, "text": …}` for a statement, with `author` if known, and
`{"person": …, "statement": …, "vote": "agree" | "disagree" | "pass"}` for a vote.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Int8

from plumbrule.errors import DataError
from plumbrule.files import read_small_text

LARGEST = 2**28
"""Bytes of a file of statements or votes."""

VoteWord = Literal["agree", "disagree", "pass"]
"""What a person said of a statement."""

_SIGNS: Mapping[object, int] = {"agree": 1, "disagree": -1, "pass": 0}
_STATEMENT, _MATRIX, _VOTE = "comment-body", "participant", "voter-id"


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One sentence or a few of one person."""

    id: str
    """Unique among the statements."""

    text: str
    """As it came: hostile until it was cleaned."""

    author: str = ""
    """Who wrote it; empty where nobody knows."""

    rejected: bool = False
    """Whether a moderator took it out."""


@dataclass(frozen=True, kw_only=True)
class Vote:
    """What one person said of one statement."""

    person: str
    statement: str
    vote: VoteWord


@dataclass(frozen=True, kw_only=True, eq=False)
class PublicInput:
    """Statements and the votes on them. Axes: P people, S statements."""

    statements: tuple[Statement, ...]
    people: tuple[str, ...]
    """Who voted, in the order of the rows."""

    votes: Int8[np.ndarray, "P S"]
    """1 agrees, -1 disagrees, 0 passed or saw nothing."""

    seen: Bool[np.ndarray, "P S"]
    """Where a person voted, passes included."""

    notes: tuple[str, ...] = ()
    """What was left out or read differently from what was written."""


def public_input(
    statements: Sequence[Statement], votes: Iterable[Vote] = (), *, notes: Sequence[str] = ()
) -> PublicInput:
    """Put statements and votes together.

    Args:
        statements: Each with an id of its own.
        votes: In the order they were cast: of two by one person on one statement the later counts.
        notes: What is known already to have been left out.

    Raises:
        DataError: There is no statement, two have one id, or no vote is on any of them.
    """
    if not statements:
        raise DataError("expected statements of people, got none; give a file that holds some")
    place: dict[str, int] = {}
    for at, statement in enumerate(statements):
        if statement.id in place:
            raise DataError(
                f"each statement must have an id of its own, {statement.id!r} is used twice "
                f"({statements[place[statement.id]].text!r:.60} and {statement.text!r:.60})"
            )
        place[statement.id] = at
    cast: dict[tuple[int, int], int] = {}
    people: dict[str, int] = {}
    again = unknown = 0
    for vote in votes:
        if vote.statement not in place:
            unknown += 1
            continue
        if vote.vote not in _SIGNS:
            raise DataError(
                f"a vote must be one of {', '.join(get_args(VoteWord))}, got {vote.vote!r:.40}"
            )
        row = people.setdefault(vote.person, len(people))
        key = row, place[vote.statement]
        again += key in cast
        cast[key] = _SIGNS[vote.vote]
    if unknown and not cast:
        raise DataError(
            f"none of {unknown:,} votes is on one of the {len(place):,} statements; give the "
            "statements and the votes of one conversation"
        )
    table = np.zeros((len(people), len(place)), dtype=np.int8)
    seen = np.zeros(table.shape, dtype=bool)
    for (row, column), sign in cast.items():
        table[row, column], seen[row, column] = sign, True
    told = [*notes]
    if unknown:
        told.append(f"{count_of(unknown, 'vote')} on statements that are not there: left out")
    if again:
        told.append(f"{count_of(again, 'vote')} cast again: the later one counts")
    return PublicInput(
        statements=tuple(statements),
        people=tuple(people),
        votes=table,
        seen=seen,
        notes=tuple(told),
    )


@dataclass
class _Found:
    """What the files held, before it is put together."""

    statements: list[Statement] = field(default_factory=list)
    matrix: list[Vote] = field(default_factory=list)
    cast: list[Vote] = field(default_factory=list)
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Agrees and disagrees that Polis counted, by statement."""


def read_public_input(paths: Sequence[Path]) -> PublicInput:
    """Read what people said and how they voted.

    Args:
        paths: Files, or folders of which the files that are known are read. Votes may be missing.

    Raises:
        DataError: A file is none of the known kinds, a line of it is not what it should be, the
            signs of the votes are turned round, or there is no statement.
    """
    found = _Found()
    for path in paths:
        for file in _files(Path(path)):
            text = read_small_text(file, "statements or votes", most=LARGEST, error=DataError)
            if file.suffix.casefold() in (".jsonl", ".json", ".ndjson"):
                _read_lines(text, file, found)
            else:
                _read_table(text, file, found)
    # Polis writes both; the matrix holds what counted in the end.
    votes = found.matrix or found.cast
    notes = (
        ["votes.csv left out beside participants-votes.csv"]
        if (found.matrix and found.cast and any(path.is_dir() for path in map(Path, paths)))
        else []
    )
    if found.matrix and found.cast and not notes:
        votes = [*found.matrix, *found.cast]
    read = public_input(found.statements, votes, notes=notes)
    _check_signs(read, found.counts)
    return read


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    names = ("comments.csv", "participants-votes.csv", "votes.csv")
    # Exports put the conversation's name before these.
    files = [
        file
        for file in sorted(path.iterdir())
        if file.name.endswith(names) or file.suffix == ".jsonl"
    ]
    if not files:
        raise DataError(
            f"expected comments.csv and participants-votes.csv, or .jsonl files, in {path}; "
            "none is there"
        )
    return files


def _read_table(text: str, file: Path, found: _Found) -> None:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(rows, [])]
        if _STATEMENT in header:
            _read_comments(rows, header, file, found)
        elif _MATRIX in header and any(name.isdigit() for name in header):
            _read_matrix(rows, header, file, found)
        elif _VOTE in header and "vote" in header:
            _read_votes(rows, header, file, found)
        else:
            raise DataError(
                f"{file}: expected a header with `comment-body` (statements), `participant` and "
                "numbers of statements (votes, a row a person) or `voter-id` and `vote` (a row a "
                f"vote), got {', '.join(header[:8]) or 'an empty file'!s:.200}"
            )
    except csv.Error as error:
        raise DataError(f"{file}, line {rows.line_num} is not CSV: {error}") from error


def _read_comments(rows: Any, header: list[str], file: Path, found: _Found) -> None:
    _need(header, ("comment-id",), file)
    for row in rows:
        if not row:
            continue
        cells = _cells(row, header, file, rows.line_num)
        moderated = cells.get("moderated", "").strip()
        found.statements.append(
            Statement(
                id=_whole(cells["comment-id"]),
                text=cells[_STATEMENT],
                author=_whole(cells.get("author-id", "")),
                rejected=moderated in ("-1", "-1.0", "false"),
            )
        )
        agrees, disagrees = cells.get("agrees", ""), cells.get("disagrees", "")
        if agrees.isdigit() and disagrees.isdigit():
            found.counts[found.statements[-1].id] = int(agrees), int(disagrees)


def _read_matrix(rows: Any, header: list[str], file: Path, found: _Found) -> None:
    for row in rows:
        if not row:
            continue
        cells = _cells(row, header, file, rows.line_num)
        for name, value in cells.items():
            if name.isdigit() and value.strip():
                word = _word(value, f"{file}, line {rows.line_num}, statement {name}")
                found.matrix.append(Vote(person=cells[_MATRIX], statement=name, vote=word))


def _read_votes(rows: Any, header: list[str], file: Path, found: _Found) -> None:
    _need(header, ("comment-id",), file)
    for row in rows:
        if not row:
            continue
        cells = _cells(row, header, file, rows.line_num)
        found.cast.append(
            Vote(
                person=_whole(cells[_VOTE]),
                statement=_whole(cells["comment-id"]),
                vote=_word(cells["vote"], f"{file}, line {rows.line_num}"),
            )
        )


def _read_lines(text: str, file: Path, found: _Found) -> None:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{file}, line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place} is not JSON: {error}") from error
        if not isinstance(value, dict) or not ({"text", "vote"} & set(value)):
            raise DataError(
                f"{place} must be a statement (`id`, `text`) or a vote (`person`, `statement`, "
                f"`vote`), got {line!r:.80}"
            )
        if "text" in value:
            fields = {name: _field(value, name, place) for name in ("id", "text")}
            author = value.get("author")
            found.statements.append(
                Statement(
                    **fields,
                    author="" if author is None else str(author),
                    rejected=value.get("rejected") is True,
                )
            )
        else:
            fields = {name: _field(value, name, place) for name in ("person", "statement")}
            found.cast.append(Vote(**fields, vote=_word(value["vote"], place)))


def _field(value: Mapping[str, Any], name: str, place: str) -> str:
    held = value.get(name)
    if isinstance(held, bool) or not isinstance(held, str | int):
        raise DataError(f"{place}: `{name}` must be text or a whole number, got {held!r:.60}")
    text = str(held)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: `{name}` holds half a character; remove it") from error
    return text


def _word(value: object, place: str) -> VoteWord:
    plain = str(value).strip().casefold()
    if not isinstance(value, bool):
        if plain in ("agree", "1", "1.0"):
            return "agree"
        if plain in ("disagree", "-1", "-1.0"):
            return "disagree"
        if plain in ("pass", "0", "0.0", "-0.0"):
            return "pass"
    raise DataError(
        f"{place}: a vote must be agree, disagree or pass (1, -1 or 0), got {value!r:.40}"
    )


def _need(header: Sequence[str], names: Sequence[str], file: Path) -> None:
    missing = [name for name in names if name not in header]
    if missing:
        raise DataError(
            f"{file} must have the column `{missing[0]}`, got {', '.join(header[:12])!s:.200}"
        )


def _cells(row: list[str], header: list[str], file: Path, line: int) -> dict[str, str]:
    if len(row) != len(header):
        raise DataError(
            f"{file}, line {line} has {len(row)} cells, its header {len(header)}; a comma within a "
            "cell belongs in quotes"
        )
    return dict(zip(header, row, strict=True))


def _whole(text: str) -> str:
    """A number as Polis counts, also where a spreadsheet made 7.0 of 7."""
    plain = text.strip()
    return plain.removesuffix(".0") if plain.removesuffix(".0").isdigit() else plain


def _check_signs(read: PublicInput, counts: Mapping[str, tuple[int, int]]) -> None:
    """Refuse votes whose signs are turned round, as Polis' raw database has them."""
    ours = [
        (int((read.votes[:, at] == 1).sum()), int((read.votes[:, at] == -1).sum()))
        for at in range(len(read.statements))
    ]
    theirs = [counts.get(statement.id) for statement in read.statements]
    pairs = [(one, other) for one, other in zip(ours, theirs, strict=True) if other is not None]
    straight = sum(abs(a - c) + abs(b - d) for (a, b), (c, d) in pairs)
    turned = sum(abs(b - c) + abs(a - d) for (a, b), (c, d) in pairs)
    if read.people and pairs and turned < straight / 2:
        raise DataError(
            "the votes say -1 where comments.csv counts agreement: their signs are turned round, "
            "as in Polis' own database; give the export, or multiply the votes by -1"
        )


def count_of(number: int, noun: str) -> str:
    """A number with its noun, in the singular or the plural."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
