"""Labeling in a terminal: one key an answer."""

import textwrap
import time
from collections.abc import Callable

from plumbrule.people.database import LabelQueue
from plumbrule.people.records import QueueProgress, ServedItem, turned, visible

GRADE_KEYS = {"k": "pass", "1": "pass", "b": "fail", "2": "fail", "n": "not_applicable",
              "3": "not_applicable"}  # fmt: skip
PAIR_KEYS = {"l": "first", "1": "first", "r": "second", "2": "second", "t": "tie", "3": "tie"}
"""Key → answer. Of a pair, `first` is the one shown first; `turned` makes it the item's."""

GRADE_HELP = "[k]eeps it  [b]reaks it  [n]ot applicable"
PAIR_HELP = "[l] the first  [r] the second  [t]ie"
MORE_HELP = "[w]rite a reason  [s]kip  [f]lag  [u]ndo  [q]uit"


def label_in_terminal(
    queue: LabelQueue,
    annotator: str,
    *,
    adjudicate: bool = False,
    key: Callable[[], str],
    line: Callable[[str], str],
    say: Callable[[str], None],
    width: int = 80,
) -> None:
    """Ask one person, item by item, until nothing waits or the person quits.

    Every answer is on the disk before the next item is shown. Who quits gets the same item again.

    Args:
        queue: The queue.
        annotator: Who answers.
        adjudicate: Ask about items on which others differ.
        key: Waits for a key and gives it.
        line: Asks for a line of text.
        say: Shows text.
        width: Columns.

    Raises:
        StorageError: The database went away. Every answer that was acknowledged is kept.
    """
    while True:
        served = queue.serve(annotator, adjudicate=adjudicate)
        progress = queue.progress(annotator, adjudicate=adjudicate)
        if served is None:
            say(f"Nothing waits for {annotator}. {_progress(progress)}")
            return
        say(_shown(served, progress, width))
        if not _ask(queue, annotator, served, adjudicate, key, line, say):
            say(f"Stopped; the same command goes on with this item. {_progress(progress)}")
            return


def _ask(
    queue: LabelQueue,
    annotator: str,
    served: ServedItem,
    adjudicate: bool,
    key: Callable[[], str],
    line: Callable[[str], str],
    say: Callable[[str], None],
) -> bool:
    """Wait for what is done with one item; False where the person quits."""
    keys = GRADE_KEYS if served.item.kind == "grade" else PAIR_KEYS
    started, reason, item_id = time.monotonic(), served.reason, served.item.id
    while True:
        pressed = key().lower()
        if pressed in keys:
            queue.answer(
                annotator,
                item_id,
                turned(keys[pressed], served.order),
                seconds=round(time.monotonic() - started, 3),
                reason=reason,
                spans=served.spans,
            )
            return True
        if pressed == "s":
            queue.skip(annotator, item_id)
            return True
        if pressed == "f":
            queue.flag(annotator, item_id, reason=reason)
            return True
        if pressed == "u":
            if queue.undo(annotator, adjudicate=adjudicate) is not None:
                return True
            say("There is nothing to undo.")
        elif pressed == "w":
            reason = line("Reason: ").strip()
            queue.keep_draft(annotator, item_id, reason=reason, spans=served.spans)
        elif pressed in ("q", "\x04", ""):
            return False
        else:
            answers = GRADE_HELP if served.item.kind == "grade" else PAIR_HELP
            say(f"{answers}  {MORE_HELP}")


def _shown(served: ServedItem, progress: QueueProgress, width: int) -> str:
    item = served.item
    parts = [
        "─" * width,
        _progress(progress),
        "",
        f"PRINCIPLE  {_wrapped(item.principle, width)}",
        "",
        "REQUEST",
        _wrapped(item.request, width),
    ]
    names = ("REPLY",) if item.kind == "grade" else ("FIRST REPLY", "SECOND REPLY")
    for name, text in zip(names, served.shown, strict=True):
        parts += ["", name, _wrapped(text, width)]
    if served.reason:
        parts += ["", f"YOUR REASON  {_wrapped(served.reason, width)}"]
    answers = GRADE_HELP if item.kind == "grade" else PAIR_HELP
    return "\n".join([*parts, "", f"{answers}  {MORE_HELP}"])


def _wrapped(text: str, width: int) -> str:
    """Text as text: nothing in it moves the cursor or hides."""
    lines = visible(text).expandtabs(4).split("\n")
    return "\n".join(textwrap.fill(each, width, drop_whitespace=False) for each in lines)


def _progress(progress: QueueProgress) -> str:
    return (
        f"{progress.labeled} labeled by you, {progress.left} left for you; "
        f"{progress.finished} of {progress.items} items have all their labels."
    )
