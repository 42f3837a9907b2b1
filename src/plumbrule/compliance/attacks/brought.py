"""Attacks that people bring: hits of garak, promptfoo and PyRIT, and plain JSON lines.

What was a hit on another model is a try on this one: it is played again and judged anew. The
readers take what each tool writes and what is near it; a file in which nothing is found says so.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from plumbrule.compliance.attacks.inspect_logs import read_eval_log
from plumbrule.compliance.attacks.records import Attack, AttackFamily, BroughtAttack
from plumbrule.compliance.cases import TestCase
from plumbrule.data.forms import dialogue_of
from plumbrule.errors import DataError
from plumbrule.files import read_small_text
from plumbrule.records import Dialogue, Message

LARGEST = 512 * 2**20
"""Bytes of a file of attacks."""

Row = Mapping[str, Any]


def read_attacks(path: Path) -> list[BroughtAttack]:
    """Read a file of attacks, whichever tool wrote it.

    Args:
        path: A garak hit log or report (JSON lines), promptfoo results (JSON), an export of
            PyRIT's memory (JSON), an Inspect log (`.eval`), or JSON lines with `prompt` or
            `messages`.

    Raises:
        DataError: It cannot be read, or holds no attack.
    """
    if path.suffix == ".eval":
        return read_eval_log(path)
    text = read_small_text(path, "a file of attacks", most=LARGEST, error=DataError)
    found = list(_read(text, path))
    if not found:
        raise DataError(
            f"{path} holds no attack that succeeded: expected a garak hit log, promptfoo results "
            "with failed tests, an export of PyRIT with scores, or JSON lines with `prompt` or "
            "`messages`"
        )
    return found


def _read(text: str, path: Path) -> Iterator[BroughtAttack]:
    whole: Any = None
    if text.lstrip()[:1] in ("{", "["):
        try:
            whole = json.loads(text)
        except (ValueError, RecursionError):
            whole = None
    if isinstance(whole, dict) and isinstance(whole.get("results"), dict | list):
        yield from _promptfoo(whole, path)
    elif isinstance(whole, list) or (isinstance(whole, dict) and _is_pyrit(whole)):
        rows = [each for each in (whole if isinstance(whole, list) else [whole])]
        if any(isinstance(each, dict) and _is_pyrit(each) for each in rows):
            yield from _pyrit(rows, path)
        else:
            yield from _lines([(f"{path}, item {n}", each) for n, each in enumerate(rows, 1)], path)
    else:
        yield from _lines(list(_json_lines(text, path)), path)


def _json_lines(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield f"{path}, line {number}", json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}, line {number} must be JSON, got {line[:60]!r}") from error


def _lines(rows: Sequence[tuple[str, Any]], path: Path) -> Iterator[BroughtAttack]:
    for place, row in rows:
        if not isinstance(row, dict):
            raise DataError(f"{place} must be an object, got {str(row)[:60]!r}")
        if _is_pyrit(row):
            yield from _pyrit([each for _, each in rows], path)
            return
        if "probe" in row or row.get("entry_type") or "probe_classname" in row:
            found = _garak(row, path)
            if found is not None:
                yield found
            continue
        if row.get("hit") is False or row.get("success") is False:
            continue
        dialogue = dialogue_of(row, place)
        yield BroughtAttack(
            dialogue=dialogue,
            goal=str(row.get("goal") or dialogue[-1].content),
            family=str(row.get("family") or row.get("strategy") or "brought")[:60],
            principle_id=row.get("principle") or row.get("kind") or None,
            source=path.name,
        )


def _garak(row: Row, path: Path) -> BroughtAttack | None:
    """A line of a hit log; lines of a whole report count where a detector scored them as hits."""
    scores = row.get("detector_results")
    hit = "score" in row and "probe" in row
    if isinstance(scores, dict):
        hit = any(
            isinstance(each, int | float) and each >= 0.5
            for values in scores.values()
            for each in (values if isinstance(values, list) else [values])
        )
    if not hit:
        return None
    dialogue = _garak_turns(row.get("prompt"))
    if dialogue is None:
        return None
    probe = str(row.get("probe") or row.get("probe_classname") or "unknown")
    return BroughtAttack(
        dialogue=dialogue,
        goal=dialogue[-1].content,
        family=f"garak {probe.removeprefix('garak.').removeprefix('probes.').split('.')[0]}"[:60],
        principle_id=row.get("principle") or None,
        source=f"{path.name} {probe}",
    )


def _garak_turns(value: Any) -> Dialogue | None:
    """Older logs hold text, newer ones `{"turns": [{"role": …, "content": {"text": …}}]}`."""
    if isinstance(value, dict) and isinstance(value.get("turns"), list):
        value = value["turns"]
    if isinstance(value, dict):
        value = value.get("text")
    if isinstance(value, str):
        return (Message("user", value),) if value.strip() else None
    turns = []
    for each in value if isinstance(value, list) else []:
        content = each.get("content") if isinstance(each, dict) else None
        text = content.get("text") if isinstance(content, dict) else content
        role = each.get("role") if isinstance(each, dict) else None
        if isinstance(text, str) and role in ("system", "user", "assistant"):
            turns.append(Message(role, text))
    return _until_user(turns)


def _promptfoo(whole: Row, path: Path) -> Iterator[BroughtAttack]:
    part = whole["results"]
    rows = part.get("results", []) if isinstance(part, dict) else part
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, dict) or row.get("success") is not False or row.get("error"):
            continue
        case = row.get("testCase") if isinstance(row.get("testCase"), dict) else {}
        assert isinstance(case, dict)
        said = {**(case.get("metadata") or {}), **(row.get("metadata") or {})}
        variables = row.get("vars") or case.get("vars") or {}
        prompt = row.get("prompt")
        raw = prompt.get("raw") if isinstance(prompt, dict) else prompt
        final = said.get("redteamFinalPrompt")  # what a strategy made of it in the end
        asked = final or variables.get("prompt") or raw or ""
        dialogue = _chat(str(asked))
        if dialogue is None:
            continue
        strategy = said.get("strategyId") or said.get("pluginId") or "test"
        yield BroughtAttack(
            dialogue=dialogue,
            goal=str(said.get("goal") or variables.get("prompt") or dialogue[-1].content),
            family=f"promptfoo {strategy}"[:60],
            principle_id=said.get("principle") or None,
            source=f"{path.name} {said.get('pluginId') or ''}".strip(),
        )


def _chat(text: str) -> Dialogue | None:
    """A prompt as promptfoo keeps it: text, or a JSON list of messages as text."""
    try:
        value = json.loads(text) if text.lstrip()[:1] == "[" else None
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, list):
        return _garak_turns(value)
    return (Message("user", text),) if text.strip() else None


def _is_pyrit(row: Row) -> bool:
    return "conversation_id" in row and ("original_value" in row or "converted_value" in row)


def _pyrit(rows: Sequence[Any], path: Path) -> Iterator[BroughtAttack]:
    """Pieces of conversations, in any order; a hit where a score says so."""
    talks: dict[str, list[Row]] = {}
    for row in rows:
        if isinstance(row, dict) and _is_pyrit(row):
            talks.setdefault(str(row["conversation_id"]), []).append(row)
    for pieces in talks.values():
        pieces.sort(key=lambda each: int(each.get("sequence") or 0))
        if not any(_scored(each) for each in pieces):
            continue
        turns = [
            Message(each["role"], str(each.get("converted_value") or each.get("original_value")))
            for each in pieces
            if each.get("role") in ("system", "user", "assistant")
        ]
        dialogue = _until_user(turns)
        if dialogue is None:
            continue
        last = [each for each in pieces if each.get("role") == "user"][-1]
        kinds = [
            str(each.get("__type__") or each.get("class_name"))
            for each in last.get("converter_identifiers") or []
            if isinstance(each, dict)
        ]
        labels = last.get("labels") if isinstance(last.get("labels"), dict) else {}
        assert isinstance(labels, dict)
        yield BroughtAttack(
            dialogue=dialogue,
            goal=str(last.get("original_value") or dialogue[-1].content),
            family=f"PyRIT {kinds[0] if kinds else 'direct'}"[:60],
            principle_id=labels.get("principle") or None,
            source=path.name,
        )


def _scored(piece: Row) -> bool:
    scores = piece.get("scores")
    for each in scores if isinstance(scores, list) else []:
        value = each.get("score_value") if isinstance(each, dict) else None
        if str(value).strip().lower() == "true":
            return True
        try:
            if each.get("score_type") == "float_scale" and float(str(value)) >= 0.5:
                return True
        except ValueError:
            continue
    return False


def _until_user(turns: Sequence[Message]) -> Dialogue | None:
    kept = list(turns)
    while kept and kept[-1].role != "user":
        kept.pop()
    return tuple(kept) or None


def brought_families(
    attacks: Sequence[BroughtAttack], *, principles: Sequence[str], principle: str | None = None
) -> list[AttackFamily]:
    """The families of attacks that people bring; those of one family are one mechanism.

    Args:
        attacks: As they were read.
        principles: Those that there are.
        principle: The one that attacks are for which name none.

    Raises:
        DataError: An attack names no principle and none is given, or one that there is not.
    """
    grouped: dict[str, dict[str, list[BroughtAttack]]] = {}
    for each in attacks:
        name = each.principle_id or principle
        if name is None:
            raise DataError(
                f"an attack of {each.source!r:.80} names no principle that it would break; give "
                "one for those that name none with --brought-principle"
            )
        if name not in principles:
            raise DataError(
                f"an attack of {each.source!r:.80} names the principle {name!r:.60}, which there "
                "is not; correct it"
            )
        grouped.setdefault(each.family, {}).setdefault(name, []).append(each)
    return [_family(name, found) for name, found in grouped.items()]


def _family(name: str, found: Mapping[str, Sequence[BroughtAttack]]) -> AttackFamily:
    def make(case: TestCase, rng: np.random.Generator) -> Attack | None:
        choices = found[case.principle_id]
        one = choices[int(rng.integers(len(choices)))]
        asked = [turn.content for turn in one.dialogue if turn.role == "user"]
        system = " ".join(turn.content for turn in one.dialogue if turn.role == "system")
        return Attack(
            principle_id=case.principle_id,
            family=name,
            origin="brought",
            goal=(Message("user", one.goal),),
            turns=tuple(asked),
            system=system,
            source=one.source,
        )

    return AttackFamily(name=name, origin="brought", make=make, only=frozenset(found))
