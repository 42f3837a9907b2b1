"""What a row asks, in the forms that people keep prompts and conversations in.

    prompt                      text, or messages of which the user's is last
    messages, conversations     a conversation; asked is what leads up to the user's last turn
    instruction, input          Alpaca: the input is below the instruction
    chosen, rejected            two conversations; asked is what both begin with
    question, query             text

Replies beside a prompt are left out: a run writes its own.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from plumbrule.errors import DataError
from plumbrule.records import Dialogue, Message

ROLES = ("system", "user", "assistant")
_ALSO = {
    "human": "user",
    "prompter": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "developer": "system",
}
_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")

ASKING = ("prompt", "messages", "conversations", "instruction", "question", "query", "chosen")
"""Keys that say what is asked, the one that decides first."""


def dialogue_of(row: Mapping[str, Any], place: str) -> Dialogue:
    """What a row asks.

    Raises:
        DataError: Nothing in it is a prompt, or it is none that can be answered.
    """
    key = next((key for key in ASKING if key in row), None)
    if key is None:
        raise DataError(
            f"{place} must have the key `prompt` (or {', '.join(ASKING[1:-1])}, or chosen and "
            f"rejected); got {', '.join(sorted(map(str, row))[:12]) or 'no keys'}"
        )
    if key == "prompt":
        return _with_system(row, _prompt(row["prompt"], place))
    if key in ("messages", "conversations"):
        return checked_dialogue(up_to_user(turns_of(row[key], place, key), place), place)
    if key == "instruction":
        texts = [_text(row.get(name), place, name) for name in ("instruction", "input")]
        asked = "\n\n".join(text for text in texts if text.strip())
        return _with_system(row, checked_dialogue([Message("user", asked)], place))
    if key == "chosen":
        return checked_dialogue(_common(row, place), place)
    return _with_system(
        row, checked_dialogue([Message("user", _text(row[key], place, key))], place)
    )


def _prompt(value: object, place: str) -> Dialogue:
    if isinstance(value, str):
        return checked_dialogue([Message("user", value)], place)
    if not isinstance(value, list) or not value:
        raise DataError(f"{place}: `prompt` must be text or a list of messages, got {value!r:.60}")
    return checked_dialogue(turns_of(value, place, "prompt"), place)


def _with_system(row: Mapping[str, Any], dialogue: Dialogue) -> Dialogue:
    system = row.get("system") or row.get("system_prompt")
    if isinstance(system, str) and system.strip() and dialogue[0].role != "system":
        return (Message("system", system), *dialogue)
    return dialogue


def turns_of(value: object, place: str, key: str) -> list[Message]:
    """Messages of a list, roles in our words."""
    if not isinstance(value, list) or not value:
        raise DataError(f"{place}: `{key}` must be a list of messages, got {value!r:.60}")
    return [_turn(turn, place) for turn in value]


def _turn(turn: object, place: str) -> Message:
    if not isinstance(turn, dict):
        raise DataError(f"{place}: a message must have `role` and `content`, got {turn!r:.60}")
    role = turn.get("role", turn.get("from"))
    content = turn.get("content", turn.get("value", turn.get("text")))
    if role is None or (content is None and not turn.get("tool_calls")):
        raise DataError(f"{place}: a message must have `role` and `content`, got {turn!r:.60}")
    known = _ALSO.get(role.casefold(), role.casefold()) if isinstance(role, str) else None
    if turn.get("tool_calls") or known in ("tool", "function", "observation", "function_call"):
        raise DataError(
            f"{place}: a tool takes part in this conversation, which cannot be asked here; leave "
            "such lines out"
        )
    if known not in ROLES:
        raise DataError(
            f"{place}: a message's role must be one of {', '.join(ROLES)} and its content text, "
            f"got {turn!r:.60}"
        )
    return Message(known, _content(content, place))  # type: ignore[arg-type]


def _content(value: object, place: str) -> str:
    """Text of a message, which may come in parts."""
    if isinstance(value, str):
        return value
    texts = []
    for part in value if isinstance(value, list) else [value]:
        text = part if isinstance(part, str) else None
        if isinstance(part, dict) and part.get("type", "text") in ("text", "input_text"):
            text = part.get("text")
        if not isinstance(text, str):
            raise DataError(f"{place}: a message's content must be text, got {part!r:.60}")
        texts.append(text)
    return "".join(texts)


def up_to_user(turns: Sequence[Message], place: str) -> list[Message]:
    """A conversation up to the user's last turn."""
    last = max((at for at, turn in enumerate(turns) if turn.role == "user"), default=None)
    if last is None:
        raise DataError(f"{place}: the conversation must have a turn of the user's, it has none")
    return list(turns[: last + 1])


def _common(row: Mapping[str, Any], place: str) -> list[Message]:
    """What both replies of a pair begin with."""
    return up_to_user(shared_beginning(*both_sides(row, place)), place)


def both_sides(row: Mapping[str, Any], place: str) -> tuple[list[Message], list[Message]]:
    """The conversations of a pair that holds whole ones."""
    sides = []
    for key in ("chosen", "rejected"):
        value = row.get(key)
        spoken = spoken_turns(value) if isinstance(value, str) else None
        if isinstance(value, str) and spoken is None:
            raise DataError(
                f"{place}: `{key}` must hold what it replies to, it is a reply alone; add "
                "the key `prompt`"
            )
        sides.append(spoken if spoken is not None else turns_of(value, place, key))
    return sides[0], sides[1]


def shared_beginning(first: Sequence[Message], second: Sequence[Message]) -> list[Message]:
    """The turns that two conversations have in common before they part."""
    same = 0
    while same < min(len(first), len(second)) and first[same] == second[same]:
        same += 1
    return list(first[:same])


def spoken_turns(text: str) -> list[Message] | None:
    """Turns of a text that marks them as `Human:` and `Assistant:`; None where it does not."""
    marks = list(_TURN.finditer(text))
    if not marks or text[: marks[0].start()].strip() or marks[0].group(1) != "Human":
        return None
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    turns = [
        Message("user" if mark.group(1) == "Human" else "assistant", text[mark.end() : end].strip())
        for mark, end in zip(marks, ends, strict=True)
    ]
    # A prompt often ends where the reply is to begin.
    return turns[:-1] if turns[-1] == Message("assistant", "") else turns


def _text(value: object, place: str, key: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f"{place}: `{key}` must be text, got {value!r:.60}")
    return value


def checked_dialogue(turns: Sequence[Message], place: str) -> Dialogue:
    """Turns as a dialogue that ends with something that the user asks."""
    for turn in turns:
        check_text(turn.content, place)
    if turns[-1].role != "user":
        raise DataError(f"{place}: the last message must be the user's, got {turns[-1].role!r}")
    if not turns[-1].content.strip():
        raise DataError(
            f"{place}: the last message must hold text, it is empty; remove the line or fill it in"
        )
    return tuple(turns)


def check_text(text: str, place: str) -> None:
    """Refuse text that no file can hold.

    Raises:
        DataError: It holds half a character.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: the text holds half a character ({error.reason})") from error
