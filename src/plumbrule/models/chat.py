"""Dialogues as one model wants to read them: its template, its tokens, its end of turn.

What people and models wrote is data. A text that spells a control token, such as `<|user|>`, is
broken with a space before the template sees it, so nobody but the template opens or closes a turn.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from plumbrule.errors import DataError, ModelError
from plumbrule.records import Dialogue, Message

MOST_KNOWN = 50_000
"""Dialogues whose tokens are kept: a comparison reads each prompt a dozen times, and templates are
slow to render."""

MOST_TIMES = 1000
"""Times that a template may repeat something."""

TODAY = date(2026, 1, 1)
"""The day that it is for every chat template: else the same command would ask something else each
day, and a run that goes on after midnight would go on with other prompts."""

_CLOCK = re.compile(r"\b(?:strftime_now|date_string)\b")
_MARK = "plumbrule0mark"  # plain letters and a digit: no template escapes or trims them


class Chat:
    """One tokenizer with its chat template."""

    end: int | None
    """Token that closes the assistant's turn; None where the template closes it with plain text."""

    stops: frozenset[int]
    """Tokens that end a reply."""

    reads_date: bool
    """The template writes the date: it is `TODAY` unless the template's arguments say another."""

    folds_system: bool
    """The template has no system turn: such text opens the next user turn instead."""

    def __init__(
        self,
        tokenizer: Any,
        *,
        stops: Sequence[int] = (),
        template_arguments: Mapping[str, Any] | None = None,
    ) -> None:
        """Look at what the template does with a turn.

        Args:
            tokenizer: A Hugging Face tokenizer.
            stops: End tokens that the model's own settings name.
            template_arguments: Names the template reads besides the messages.

        Raises:
            ModelError: There is no chat template, or it cannot be rendered.
        """
        self.tokenizer = tokenizer
        self._arguments = dict(template_arguments or {})
        self._known: dict[Dialogue, list[int]] = {}
        if not tokenizer.chat_template:
            raise ModelError(
                "expected a tokenizer with a chat template, found none. Models trained on plain "
                "text have none: "
                "take the instruction-tuned variant, or give a template file with "
                "chat_template=PATH."
            )
        _refuse_multiplying(tokenizer.chat_template)
        self.reads_date = asks_date(tokenizer.chat_template)
        if self.reads_date:
            self._arguments = {"date_string": TODAY.strftime("%d %b %Y"), **self._arguments}
        self._control, self._special = _breakers(tokenizer)
        self._reserved = {
            one for one, token in _added(tokenizer).items() if token.content.strip()
        } | set(tokenizer.all_special_ids)
        self._rewrites = _rewrites(tokenizer)
        self.folds_system = not self._reads_system()
        self.end = self._find_end()
        named = {tokenizer.eos_token_id, self.end, *stops} - {None}
        self.stops = frozenset(int(token) for token in named)

    def prompts(self, dialogues: Sequence[Dialogue]) -> list[list[int]]:
        """Tokens of each dialogue up to where the reply begins.

        Raises:
            DataError: A dialogue is empty, does not end with the user, or the template refuses it.
        """
        known = self._known
        fresh = [each for each in dict.fromkeys(dialogues) if each not in known]
        if len(known) + len(fresh) > MOST_KNOWN:
            known.clear()
            fresh = list(dict.fromkeys(dialogues))
        known.update(zip(fresh, self._encode([self.render(each) for each in fresh]), strict=True))
        return [list(known[each]) for each in dialogues]

    def with_replies(
        self, dialogues: Sequence[Dialogue], replies: Sequence[str]
    ) -> list[tuple[list[int], list[int]]]:
        """Tokens of each dialogue, and of the given reply as it reads right after it."""
        texts = [self.render(dialogue) for dialogue in dialogues]
        clean = [self._break(reply, self._special) for reply in replies]
        prompts = self._encode(texts)
        wholes = self._encode([text + reply for text, reply in zip(texts, clean, strict=True)])
        pairs = []
        for prompt, whole, reply in zip(prompts, wholes, clean, strict=True):
            # Where a token would grow over the border, the model still read the prompt's own
            # tokens.
            fits = whole[: len(prompt)] == prompt
            pairs.append((prompt, whole[len(prompt) :] if fits else self._encode([reply])[0]))
        return pairs

    def plain(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of texts that are in no dialogue; what spells a control token is broken."""
        return self._encode([self._break(text, self._control) for text in texts])

    def decode(self, replies: Sequence[Sequence[int]]) -> list[str]:
        """Text of each reply; control tokens leave no trace."""
        return [
            self.tokenizer.decode(
                list(reply), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
            for reply in replies
        ]

    def render(self, dialogue: Dialogue) -> str:
        """The text the model reads, up to where its reply begins."""
        if not dialogue or dialogue[-1].role != "user":
            last = f"one ending with the {dialogue[-1].role}" if dialogue else "an empty one"
            raise DataError(
                f"expected a dialogue that ends with a user's message, got {last}; "
                "a reply is drawn to what the user said last"
            )
        messages = _fold(dialogue) if self.folds_system else dialogue
        try:
            return self._apply(
                [
                    {
                        "role": message.role,
                        "content": self._break(
                            message.content,
                            self._special if message.role == "assistant" else self._control,
                        ),
                    }
                    for message in messages
                ],
                prompt=True,
            )
        except ModelError as error:
            roles = ", ".join(message.role for message in messages)
            raise DataError(
                f"the chat template refuses a dialogue of turns {roles}: {error}"
            ) from error

    def _apply(self, messages: list[dict[str, str]], *, prompt: bool) -> str:
        try:
            given = dict(self._arguments)
            if self.reads_date:
                given["chat_template"] = _clock() + self.tokenizer.get_chat_template()
            text: str = self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=prompt, **given
            )
        except Exception as error:  # a template is a program, and fails in any way there is
            what = f"{type(error).__name__}: {error}"
            raise ModelError(f"the chat template cannot be rendered: {what}") from error
        return text

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        ids: list[list[int]] = self.tokenizer(
            list(texts), add_special_tokens=False, return_attention_mask=False
        )["input_ids"]
        return ids

    def _break(self, text: str, tokens: "re.Pattern[str] | None") -> str:
        """Put a space into whatever would become a control token."""
        if tokens is None:
            return text
        # Breaking one token can leave another whole, so look again; each round leaves fewer.
        while tokens.search(text):
            text = tokens.sub(_split, text)
        # A tokenizer that rewrites text first may make a control token of what was none before.
        if self._rewrites and not self._reserved.isdisjoint(self._encode([text])[0]):
            return " ".join(text)
        return text

    def _reads_system(self) -> bool:
        turns = [{"role": "system", "content": _MARK}, {"role": "user", "content": "Hello."}]
        try:
            return _MARK in self._apply(turns, prompt=True)
        except ModelError:
            self._apply(turns[1:], prompt=True)  # a template that refuses this too is broken
            return False

    def _find_end(self) -> int | None:
        turns = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": _MARK}]
        text = self._apply(turns, prompt=False)
        if _MARK not in text:
            raise ModelError(
                "expected a chat template that shows the assistant's turn, got one that leaves it "
                "out; "
                "give another template with chat_template=PATH"
            )
        for token in self._encode([text.rpartition(_MARK)[2]])[0]:
            if token in self._reserved:
                return int(token)
            if self.tokenizer.decode([token]).strip():
                return None
        return None


def _refuse_multiplying(template: Any) -> None:
    """Refuse a template that asks for a text or a number without end, before it is rendered.

    The sandbox that it runs in bounds what is counted up to, not what is multiplied: one short line
    would take all memory, and whatever runs beside it.

    Raises:
        ModelError: It does.
    """
    from jinja2 import TemplateError, nodes
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    if not isinstance(template, str):
        return
    environment = ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"])
    try:
        tree = environment.parse(template)
    except (TemplateError, RecursionError):
        return  # rendering says what is wrong with it
    for node in tree.find_all((nodes.Pow, nodes.Mul)):
        sides = (node.left, node.right)
        far = any(
            isinstance(side, nodes.Const)
            and isinstance(side.value, int | float)
            and abs(side.value) > MOST_TIMES
            for side in sides
        )
        if isinstance(node, nodes.Pow) or far:
            raise ModelError(
                f"the chat template cannot be rendered: its line {node.lineno} multiplies without "
                "end; give another template with chat_template=PATH"
            )


@lru_cache(maxsize=1)
def _clock() -> str:
    """The start of a template that tells the day that it is here, whatever the clock says.

    The library hands no function on to a template, so this one is written in the template's own
    language: each sign of a form, such as `%Y`, is replaced by what it stands for.
    """
    now = datetime(TODAY.year, TODAY.month, TODAY.day)
    signs = [f"%-{letter}" for letter in "dmHIMSjy"]
    signs += [f"%{letter}" for letter in "aAbBcCdDeFfgGhHIjklmMnpPrRsStTuUVwWxXyYzZ"]
    text = "".join(f" | replace('{sign}', {now.strftime(sign)!r})" for sign in signs)
    return f"{{%- macro strftime_now(format) -%}}{{{{ format{text} }}}}{{%- endmacro -%}}"


def asks_date(template: Any) -> bool:
    """Whether a chat template, or one of several, writes the date."""
    texts = template.values() if isinstance(template, Mapping) else [template]
    return any(_CLOCK.search(str(text)) for text in texts)


def _added(tokenizer: Any) -> dict[int, Any]:
    """Tokens cut out of a text before anything else looks at it, by number."""
    found: dict[int, Any] = tokenizer.added_tokens_decoder
    return found


def _rewrites(tokenizer: Any) -> bool:
    """Whether control tokens are looked for in a text that was normalized before."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or backend.normalizer is None:
        return False
    return any(token.normalized for token in _added(tokenizer).values())


def _breakers(tokenizer: Any) -> tuple["re.Pattern[str] | None", "re.Pattern[str] | None"]:
    """Patterns of all control tokens, and of those that a decoded reply never shows."""
    added = list(_added(tokenizer).values())
    special = {token.content for token in added if token.special} | set(
        tokenizer.all_special_tokens
    )
    # Runs of white space are added tokens too in some vocabularies; they control nothing.
    control = special | {token.content for token in added if token.content.strip()}
    return _pattern(control), _pattern(special)


def _pattern(tokens: set[str]) -> "re.Pattern[str] | None":
    words = sorted(
        (token for token in tokens if token.strip()), key=lambda word: (-len(word), word)
    )
    return re.compile("|".join(map(re.escape, words))) if words else None


def _split(match: "re.Match[str]") -> str:
    token = match.group()
    return f"{token[0]} {token[1:]}" if len(token) > 1 else " "


def _fold(dialogue: Dialogue) -> list[Message]:
    """Move the system's text to the top of the user's turn that follows it."""
    folded: list[Message] = []
    waiting: list[str] = []
    for message in dialogue:
        if message.role == "system":
            waiting.append(message.content)
        elif message.role == "user" and waiting:
            folded.append(Message("user", "\n\n".join([*waiting, message.content])))
            waiting = []
        else:
            folded.append(message)
    return folded
