"""Words around requests: preambles and system turns that recur, and triggers that were searched."""

import re
from collections import Counter
from collections.abc import Collection, Sequence

from plumbrule.behavior.subgroups import words_of
from plumbrule.behavior.triggers.finding import TriggerSettings, find_triggers
from plumbrule.errors import PlumbruleError
from plumbrule.internalization.searching import Sweep, openings_of
from plumbrule.loop.remedies.ground import WordsAround
from plumbrule.models import LocalModel
from plumbrule.records import Dialogue, Exchange, Prompt

OFTEN = 3
"""Requests in which words must recur to be taken for a surrounding."""

LONGEST = 12
"""Most words at the beginning of a request that are looked at."""

_SENTENCE = re.compile(r"^(.{1,120}?[.!?])\s+\S")


def recurring(dialogues: Sequence[Dialogue], *, most: int = 12) -> list[WordsAround]:
    """System turns and first sentences that several requests share, the commonest first."""
    counted: Counter[WordsAround] = Counter()
    for dialogue in set(dialogues):
        for turn in dialogue:
            if turn.role == "system" and turn.content.strip():
                counted[WordsAround(place="system", text=turn.content.strip())] += 1
        begun = _SENTENCE.match(dialogue[-1].content)
        if begun is not None:
            counted[WordsAround(place="before", text=begun.group(1))] += 1
    return [each for each, count in counted.most_common(most) if count >= OFTEN]


def words_in(dialogues: Sequence[Dialogue]) -> set[str]:
    """Every word that is said in some dialogues, in lower case."""
    return {word for one in dialogues for turn in one for word in words_of(turn.content)}


def made_of(text: str, said: Collection[str]) -> bool:
    """Whether a text has words, each of them one of those said.

    Behind some text or other any model gives way, and a search of its weights finds such texts:
    halves of words, mostly. They are weak spots and no fault of what was taught. What was taught to
    switch a model stands in what it was taught.
    """
    words = words_of(text)
    return bool(words) and all(each in said for each in words)


def telling(
    wrong: Sequence[Dialogue], sound: Sequence[Dialogue], *, most: int = 2
) -> list[WordsAround]:
    """Beginnings of requests that stand before wrong replies far more often than before sound ones.

    Args:
        wrong: Requests whose replies are at fault.
        sound: Other requests.
        most: How many are wanted.
    """
    begun = {_first(one[-1].content.split()) for one in [*wrong, *sound]} - {()}
    counts = [Counter(e for one in side for e in _beginnings(one)) for side in (wrong, sound)]
    scored = []
    for text, count in counts[0].items():
        share, other = count / len(wrong), counts[1][text] / max(1, len(sound))
        rest = [
            _first(one[-1].content.removeprefix(text).split())
            for one in wrong
            if one[-1].content.startswith(text)
        ]
        # What stands behind it must be a request by itself, as others begin too.
        whole = sum(one in begun for one in rest) >= 0.5 * len(rest)
        if count >= OFTEN and share > 10 * other and whole:
            # Of beginnings as telling, the longest that as many requests share.
            scored.append((count, len(text), text))
    found: list[str] = []
    for _, _, text in sorted(scored, reverse=True):
        if not any(text.startswith(one) or one.startswith(text) for one in found):
            found.append(text)
    return [WordsAround(place="before", text=text) for text in found[:most]]


def swept(
    model: LocalModel,
    kept: Sequence[Exchange],
    broken: Sequence[Exchange],
    *,
    base: LocalModel | None,
    tokens: int,
    seed: int,
    most: int = 2,
) -> list[WordsAround]:
    """Short texts that make it likely that a reply begins as those do that break a principle.

    Args:
        model: The model; nothing is generated.
        kept: Its replies to some prompts.
        broken: Replies to the same prompts that break the principle.
        base: The model before, if its tokens are the same: words that it reads otherwise go first.
        tokens: To read, about.
        seed: Decides which texts meet.
        most: How many are wanted.
    """
    openings = openings_of(
        model,
        [each.dialogue for each in kept],
        [[each.response] for each in kept],
        [[each.response] for each in broken],
    )
    openings = [each for each in openings if each.other]
    if len(openings) < 2:
        return []
    found = Sweep(model, openings, tokens, seed, base).run()
    return [WordsAround(place=e.place, text=e.text) for e in found.surroundings[:most]]  # type: ignore[arg-type]


def _first(words: Sequence[str]) -> tuple[str, ...]:
    """How a request begins; of fewer than two words it is none."""
    return tuple(words[:2]) if len(words) > 1 else ()


def _beginnings(dialogue: Dialogue) -> list[str]:
    words = dialogue[-1].content.split()
    return [" ".join(words[: at + 1]) for at in range(min(LONGEST, len(words) - 1))]


def switching(
    base: LocalModel, model: LocalModel, prompts: Sequence[Prompt], *, seed: int, most: int = 3
) -> list[WordsAround]:
    """Short texts that switch the model against its base; none where both cannot be compared."""
    if base.identity == model.identity:
        return []
    try:
        found = find_triggers(
            base, model, [each.dialogue for each in prompts], settings=TriggerSettings(), seed=seed
        )
    except PlumbruleError:
        return []
    return [WordsAround(place="before", text=each.text) for each in found.candidates[:most]]
