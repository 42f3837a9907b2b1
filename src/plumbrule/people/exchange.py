"""Items and labels as files: JSON lines, Label Studio, and tables for spreadsheets.

A file is read whole and checked line by line before anything is written, so that nothing is half
imported.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from plumbrule.errors import ConfigError, DataError
from plumbrule.people.database import LabelQueue
from plumbrule.people.queue import inclusion_probabilities, settle, side_order
from plumbrule.people.records import QueueEvent, QueueItem, turned
from plumbrule.records import problems_of, to_json
from plumbrule.store import write_atomic

LARGEST_FILE = 256 * 2**20
"""Bytes of a file of items or labels."""

FORMATS = {".jsonl": "JSON lines", ".json": "Label Studio", ".csv": "spreadsheet"}
"""What the end of a file's name says it holds."""

LABEL_STUDIO_CONFIG = """<View>
  <Header value="$principle"/>
  <Text name="request" value="$request"/>
  <Text name="left" value="$left"/>
  <Text name="right" value="$right"/>
  <Choices name="answer" toName="left" choice="single" required="true">
    <Choice value="pass"/><Choice value="fail"/><Choice value="not_applicable"/>
  </Choices>
  <TextArea name="reason" toName="left"/>
</View>
"""
"""Labeling interface for Label Studio. For pairs the choices are `left`, `right` and `tie`; for
grades the line of the right side is left out."""

_RISKY = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
"""How a cell begins that a spreadsheet may run as a formula; and our own mark for such cells."""

_ON_PAGE = {"first": "left", "second": "right"}
_FROM_PAGE = {"left": "first", "right": "second"}

_ITEM_FIELDS = {
    "principle", "text", "request", "reply", "first", "second", "tier", "judged",
    "difficulty", "source", "known",
}  # fmt: skip


def read_items(
    path: Path, principles: Mapping[str, tuple[str, int]] | None = None
) -> list[QueueItem]:
    """Read what people are to be asked about: JSON lines.

    Args:
        path: One object per line: `principle` (its id), `request`, and `reply` to grade or `first`
            and `second` to compare. Optional: `text` of the principle, `tier`, `judged` (what
            judges said, one probability each), `difficulty`, `source`, `known` (the answer, where
            it is known).
        principles: Text and tier by id, of a constitution; they fill what a line leaves out.

    Raises:
        DataError: A line is no item, or an item comes twice; the line is named.
    """
    items: list[QueueItem] = []
    seen: dict[str, str] = {}
    for origin, row in _json_lines(path):
        try:
            item = _item(row, principles or {})
        except (DataError, ConfigError) as error:
            raise DataError(f"{origin}: {error}") from error
        if item.id in seen:
            raise DataError(f"{origin} is the same item as {seen[item.id]}; leave one out")
        seen[item.id] = origin
        items.append(item)
    if not items:
        raise DataError(f"expected items in {path}, one JSON object a line, got none")
    return items


def _item(row: Mapping[str, Any], principles: Mapping[str, tuple[str, int]]) -> QueueItem:
    strange = sorted(set(row) - _ITEM_FIELDS)
    if strange:
        raise DataError(
            f"an item has no field {strange[0]!r:.60}; its fields are "
            f"{', '.join(sorted(_ITEM_FIELDS))}"
        )
    if ("reply" in row) == ("first" in row or "second" in row):
        raise DataError("an item has a `reply` to grade, or `first` and `second` to compare")
    name = row.get("principle")
    text, tier = principles.get(str(name), (None, None))
    value = {
        "principle_id": name,
        "principle": row.get("text", text),
        "request": row.get("request"),
        "replies": [row["reply"]] if "reply" in row else [row.get("first"), row.get("second")],
        "tier": row.get("tier", tier),
        "judged": row.get("judged", []),
        "difficulty": row.get("difficulty"),
        "source": row.get("source", ""),
        "known": row.get("known"),
    }
    if value["principle"] is None:
        raise DataError(
            f"the text of principle {name!r:.60} is not known; give it as `text`, or a "
            "constitution that has it with --constitution"
        )
    item: QueueItem = _validated(_ITEM, value)
    return item


def _validated(adapter: TypeAdapter[Any], value: object) -> Any:
    """Read a record strictly: a number in quotes is none, true is not 1."""
    try:
        return adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise DataError(problems_of(error)) from error
    except ValueError as error:
        raise DataError(str(error)) from error


_ITEM: TypeAdapter[QueueItem] = TypeAdapter(QueueItem)
_LABEL: TypeAdapter[QueueEvent] = TypeAdapter(QueueEvent)


# Out


def export_labels(queue: LabelQueue, path: Path) -> int:
    """Write every label that was not taken back, in the form that the file's name ends with.

    Args:
        queue: The queue.
        path: `.jsonl`: one label per line, with its item, annotator, seconds, order, reason and
            inclusion probability. `.json`: tasks with completed annotations for Label Studio.
            `.csv`: one label per row, safe to open in a spreadsheet.

    Returns:
        Labels written.

    Raises:
        ConfigError: The name ends with none of these.
        StorageError: The disk did not take it.
    """
    form = _form(path)
    items = {item.id: item for item in queue.items()}
    events = queue.events()
    labels = queue.labels()
    if form == "JSON lines":
        chance = inclusion_probabilities(queue.placements(), events)
        by_item: dict[str, list[QueueEvent]] = {}
        for label in labels:
            by_item.setdefault(label.item_id, []).append(label)
        rows = [
            {
                **_line(items[label.item_id], label),
                "inclusion_probability": chance.get(label.item_id),
                "settled": settle(by_item[label.item_id]),
            }
            for label in labels
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
    elif form == "Label Studio":
        text = json.dumps(_studio(items, labels), indent=1) + "\n"
    else:
        text = _table([_cells(items[label.item_id], label.order, label) for label in labels])
    write_atomic(path, text)
    return len(labels)


def export_tasks(queue: LabelQueue, path: Path, annotator: str) -> int:
    """Write what still waits for labels, to be labeled elsewhere; who wrote what is not in it.

    Args:
        queue: The queue.
        path: `.json` for Label Studio, or `.csv` with an empty column `answer`.
        annotator: For whom; decides which side is on the left, and what that person has done.

    Returns:
        Tasks written.

    Raises:
        ConfigError: The name ends with neither.
        StorageError: The disk did not take it.
    """
    form = _form(path)
    if form == "JSON lines":
        raise ConfigError(
            f"tasks go to Label Studio as .json or to a spreadsheet as .csv, got {path.name}; "
            "rename it"
        )
    labels = queue.labels()
    counts: dict[str, int] = {}
    for label in labels:
        counts[label.item_id] = counts.get(label.item_id, 0) + 1
    own = {label.item_id for label in labels if label.annotator == annotator}
    waiting = [
        item
        for item, place in zip(queue.items(), queue.placements(), strict=True)
        if item.id not in own and (place.known or counts.get(item.id, 0) < place.needed)
    ]
    seed = queue.settings.seed
    orders = [side_order(item, annotator, seed) for item in waiting]
    if form == "Label Studio":
        tasks = [{"data": _page(item, order)} for item, order in zip(waiting, orders, strict=True)]
        text = json.dumps(tasks, indent=1) + "\n"
    else:
        text = _table(
            [_cells(item, order, None) for item, order in zip(waiting, orders, strict=True)]
        )
    write_atomic(path, text)
    return len(waiting)


def enter_into_ledger(queue: LabelQueue, ledger: str | Path) -> int:
    """Enter each event of a queue's history into a ledger, once.

    Args:
        queue: The queue.
        ledger: A run's folder, its `ledger.db`, or a database URL.

    Returns:
        Events in the ledger.

    Raises:
        LedgerError: The ledger holds other contents under the same keys, or was tampered with.
    """
    from plumbrule.ledger import Ledger

    first = queue.items()[0].id[:12]
    events = queue.events()
    with Ledger.open(ledger) as book:
        for event in events:
            book.record(f"label {first} {event.number}", "label", to_json(event))
    return len(events)


def _line(item: QueueItem, label: QueueEvent) -> dict[str, Any]:
    """A label with its item, in the words of the item."""
    replies = (
        {"reply": item.replies[0], "broken": {"fail": True, "pass": False}.get(str(label.answer))}
        if item.kind == "grade"
        else {"first": item.replies[0], "second": item.replies[1]}
    )
    return {
        "item": item.id,
        "principle": item.principle_id,
        "request": item.request,
        **replies,
        "answer": label.answer,
        "annotator": label.annotator,
        "seconds": label.seconds,
        "order": list(label.order),
        "reason": label.reason,
        "spans": [{"reply": s.reply, "start": s.start, "end": s.end} for s in label.spans],
        "via": label.via,
        "at": label.at,
    }


def _page(item: QueueItem, order: Sequence[int]) -> dict[str, Any]:
    """An item as a page shows it."""
    sides = [item.replies[place] for place in order]
    return {
        "item": item.id,
        "kind": item.kind,
        "order": "".join(str(place + 1) for place in order),
        "principle_id": item.principle_id,
        "principle": item.principle,
        "request": item.request,
        "left": sides[0],
        "right": sides[1] if len(sides) == 2 else "",
    }


def _said(label: QueueEvent) -> str:
    """An answer in the words of the page: sides are left and right."""
    answer = turned(str(label.answer), label.order)
    return _ON_PAGE.get(answer, answer)


def _studio(items: Mapping[str, QueueItem], labels: Sequence[QueueEvent]) -> list[dict[str, Any]]:
    """Tasks of Label Studio with their annotations. One order a task, that of its first label."""
    tasks: dict[str, dict[str, Any]] = {}
    for label in labels:
        page = _page(items[label.item_id], label.order)
        task = tasks.setdefault(label.item_id, {"data": page, "annotations": []})
        order = [int(place) - 1 for place in task["data"]["order"]]
        values: dict[str, tuple[str, dict[str, list[str]]]] = {
            "answer": ("choices", {"choices": [_said(replace(label, order=tuple(order)))]})
        }
        if label.reason:
            values["reason"] = ("textarea", {"text": [label.reason]})
        task["annotations"].append(
            {
                "completed_by": {"email": label.annotator},
                "lead_time": label.seconds,
                "created_at": label.at,
                "was_cancelled": False,
                "result": [
                    {"from_name": name, "to_name": "left", "type": kind, "value": value}
                    for name, (kind, value) in values.items()
                ],
            }
        )
    return list(tasks.values())


def _cells(item: QueueItem, order: Sequence[int], label: QueueEvent | None) -> dict[str, str]:
    page = {name: str(value) for name, value in _page(item, order).items()}
    seconds = "" if label is None or label.seconds is None else f"{label.seconds:.1f}"
    return {
        **page,
        "answer": "" if label is None else _said(label),
        "reason": "" if label is None else label.reason,
        "annotator": "" if label is None else label.annotator,
        "seconds": seconds,
    }


_COLUMNS = (
    "item", "kind", "order", "principle_id", "principle", "request", "left", "right", "answer",
    "reason", "annotator", "seconds",
)  # fmt: skip


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, _COLUMNS)
    writer.writeheader()
    writer.writerows({name: safe_cell(text) for name, text in row.items()} for row in rows)
    return written.getvalue()


def safe_cell(text: str) -> str:
    """A cell that no spreadsheet runs as a formula.

    Example:
        >>> safe_cell("=1+1"), safe_cell("plain"), safe_cell("'quoted")
        ("'=1+1", 'plain', "''quoted")
    """
    return f"'{text}" if text.startswith(_RISKY) else text


def unsafe_cell(text: str) -> str:
    """The text that `safe_cell` made safe.

    Example:
        >>> unsafe_cell(safe_cell("'=1")), unsafe_cell("don't")
        ("'=1", "don't")
    """
    return text[1:] if text.startswith("'") and text[1:].startswith(_RISKY) else text


# In


def import_labels(queue: LabelQueue, path: Path, *, annotator: str | None = None) -> int:
    """Take over labels from a file, all or none; those that the queue has already are passed over.

    Args:
        queue: The queue they belong to: each names its item.
        path: `.jsonl`, `.json` of Label Studio, or `.csv`, as `export_labels` and `export_tasks`
            write them.
        annotator: Whose labels they are, where the file does not say.

    Returns:
        How many were new.

    Raises:
        DataError: A line names an unknown item, an answer that does not fit, a probability outside
            0 to 1, nobody who said it, or is none at all. It is named; nothing was imported.
        ConfigError: The name ends with none of these.
        StorageError: The database did not take it; nothing was imported.
    """
    read: dict[str, Callable[[Path], Iterator[tuple[str, dict[str, Any]]]]] = {
        "JSON lines": _json_lines,
        "Label Studio": _studio_rows,
        "spreadsheet": _table_rows,
    }
    form = _form(path)
    labels = []
    for origin, row in read[form](path):
        try:
            label = _label(row, annotator, sides=form != "JSON lines")
        except (DataError, ConfigError) as error:
            raise DataError(f"{origin}: {error}. Nothing was imported") from error
        if label is not None:
            labels.append((origin, label))
    if not labels:
        raise DataError(f"expected labels in {path}, got none; fill in the answers first")
    return queue.add_labels(labels)


def _label(row: Mapping[str, Any], annotator: str | None, *, sides: bool) -> QueueEvent | None:
    """A row as a label; None where nobody has answered it yet."""
    if row.get("answer") in (None, ""):
        return None
    who = row.get("annotator") or annotator
    if not who:
        raise DataError("nobody is named who said so; give --who NAME")
    for name in ("inclusion_probability", "probability"):
        value = row.get(name)
        if value is not None and not (
            isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
        ):
            raise DataError(f"`{name}` lies between 0 and 1, got {value!r:.40}")
    if "first" in row and row.get("first") == row.get("second"):
        raise DataError("both sides of a pair are identical: nobody can prefer one of them")
    order = row.get("order") or [0]
    if isinstance(order, str):
        if not set(order) <= set("12") or len(order) > 2:
            raise DataError(f"`order` must be 1, 12 or 21, the left reply first; got {order!r:.40}")
        order = [int(place) - 1 for place in order]
    if not isinstance(order, list):
        raise DataError(f"`order` is a list such as [0, 1], got {order!r:.40}")
    answer = row["answer"]
    if sides and isinstance(answer, str):
        answer = turned(_FROM_PAGE.get(answer, answer), order)
    label: QueueEvent = _validated(
        _LABEL,
        {
            "number": 0,
            "item_id": row.get("item"),
            "annotator": who,
            "action": "label",
            "answer": answer,
            "seconds": row.get("seconds"),
            "order": order,
            "reason": row.get("reason") or "",
            "spans": row.get("spans") or [],
            "via": "adjudication" if row.get("via") == "adjudication" else "import",
        },
    )
    return label


def _json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            origin = f"{path}, line {number}"
            yield origin, _object(_parsed(line, origin), origin)


def _table_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(LARGEST_FILE)
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        missing = sorted({"item", "answer"} - set(reader.fieldnames or ()))
        if missing:
            raise DataError(
                f"expected a table with the columns item and answer, {path} lacks "
                f"{' and '.join(missing)}; export it with `plumbrule label export --tasks`"
            )
        for row in reader:
            origin = f"{path}, line {reader.line_num}"
            if None in row:
                raise DataError(f"{origin} has more cells than the first line has names")
            cells: dict[str, Any] = {name: unsafe_cell(text or "") for name, text in row.items()}
            seconds = cells.pop("seconds", "")
            try:
                cells["seconds"] = float(seconds) if seconds else None
            except ValueError as error:
                raise DataError(f"{origin}: seconds is a number, got {seconds!r:.40}") from error
            for name in ("inclusion_probability", "probability"):
                cells.pop(name, None)
            cells["answer"] = cells["answer"].strip().lower()
            yield origin, cells
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num} is no row of a table: {error}") from error


def _studio_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Annotations of tasks as Label Studio exports them, in its JSON form."""
    tasks = _parsed(_text(path), str(path))
    if not isinstance(tasks, list):
        raise DataError(
            f"expected a list of tasks in {path}, got {type(tasks).__name__}; export it from Label "
            "Studio as JSON"
        )
    for number, task in enumerate(tasks, 1):
        origin = f"{path}, task {number}"
        data = _object(_object(task, origin).get("data"), f"the data of {origin}")
        for annotation in task.get("annotations") or []:
            one = _object(annotation, f"an annotation of {origin}")
            if one.get("was_cancelled"):
                continue
            yield (
                origin,
                {
                    "item": data.get("item"),
                    "order": data.get("order"),
                    "annotator": _name(one.get("completed_by")),
                    "seconds": one.get("lead_time"),
                    **_results(one.get("result"), origin),
                },
            )


def _results(results: Any, origin: str) -> dict[str, Any]:
    """Answer and reason of an annotation."""
    found: dict[str, Any] = {"answer": None, "reason": ""}
    for result in results if isinstance(results, list) else []:
        one = _object(result, f"a result of {origin}")
        value = _object(one.get("value"), f"a value of {origin}")
        if one.get("from_name") == "answer":
            choices = value.get("choices")
            if not isinstance(choices, list) or len(choices) != 1:
                raise DataError(f"{origin}: an answer is one choice, got {choices!r:.60}")
            found["answer"] = choices[0]
        elif one.get("from_name") == "reason":
            texts = value.get("text") or ""
            found["reason"] = "\n".join(map(str, texts)) if isinstance(texts, list) else texts
    return found


def _name(who: object) -> str | None:
    """Who completed an annotation: an address, a name or a number."""
    if isinstance(who, dict):
        who = who.get("email") or who.get("username") or who.get("id")
    return None if who in (None, "") else str(who)


def _form(path: Path) -> str:
    if path.suffix.lower() not in FORMATS:
        known = ", ".join(f"{end} ({what})" for end, what in FORMATS.items())
        raise ConfigError(f"the file's name says its form: {known}; got {path.name!r:.80}")
    return FORMATS[path.suffix.lower()]


def _text(path: Path) -> str:
    if not path.is_file():
        raise DataError(f"expected a file, there is none at {path}; check the path")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise DataError(f"expected at most {LARGEST_FILE >> 20} MiB, {path} has more; split it")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(
            f"expected a file that can be read, {path} cannot: {error.strerror}; check its rights"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} must be UTF-8 text: {error.reason} at byte {error.start}; save it as UTF-8"
        ) from error


def _parsed(text: str, origin: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{origin} is not JSON: {error}; got {text[:60]!r}") from error


def _object(value: object, origin: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{origin} must be a JSON object, got {type(value).__name__}")
    return value
