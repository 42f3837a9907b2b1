"""A finding as one sentence that a stranger understands, who knows neither the models nor the pool.

Three words that set prompts apart do not say what they are about, a label says what its author
meant by it, and a telling word may be half of a phrase. So a subgroup comes with its size, a topic
or label with two of its prompts, a topic also with one at its edge, what a system message says with
such messages, and a phrase with the words that it mostly stands in.
"""

from collections import Counter
from collections.abc import Sequence

from plumbrule.behavior.pool import Pool
from plumbrule.behavior.properties import Property, amounts
from plumbrule.behavior.results import Comparison
from plumbrule.behavior.subgroups import Selector, Subgroup, words_of
from plumbrule.behavior.validation import HypothesisVerdict
from plumbrule.records import Prompt

SHOWN = 2
"""Prompts that show what a topic or a label means."""

LONGEST_SHOWN = 72
"""Characters of each."""

LONGEST_PHRASE = 8
"""Words of the phrase that a word mostly stands in."""

MOSTLY = 0.5
"""Share of the replies with a word that must hold the longer phrase."""


def said(verdict: HypothesisVerdict, found: Comparison) -> str:
    """A finding in a sentence, with how much of it either model shows on the test prompts."""
    hypothesis = verdict.hypothesis
    trials = [
        trial
        for trial in found.trials
        if trial.hypothesis_id == hypothesis.id and trial.pair.usable
    ]
    base, tuned = ([getattr(each.pair, side) for each in trials] for side in ("base", "tuned"))
    changed = str(hypothesis).removeprefix(f"On {hypothesis.subgroup}").removesuffix(".")
    if hypothesis.property.kind == "phrase" and " " not in hypothesis.property.text:
        changed = changed.replace("says \u201c", "says the word \u201c", 1)
    longer = in_full(hypothesis.property, tuned if hypothesis.direction == "increase" else base)
    mostly = f" (mostly \u201c{longer}\u201d)" if longer else ""
    much = amounts(hypothesis.property, base, tuned)
    shown = such_as(hypothesis.subgroup, found.pool, edge=True)
    where = f"On {in_words(hypothesis.subgroup)}{shown}"
    return f"{where}{changed}{mostly}" + (f": {much}." if much else ".")


def in_words(subgroup: Subgroup) -> str:
    """A subgroup as one reads it after "on", who does not know what names are made of.

    Example:
        >>> in_words(Subgroup(selectors=(Selector(role="topic", words="theft, car, bomb"),)))
        'prompts of a topic known by the words theft, car and bomb'
    """
    where = "any prompt"
    if subgroup.rules:
        rules = [" and ".join(map(_selected, rule)) for rule in subgroup.rules]
        where = "prompts " + ", or ".join(rules)
    return f"{where}, opened by \u201c{subgroup.insert}\u201d" if subgroup.insert else where


def _selected(selector: Selector) -> str:
    if selector.role in ("topic", "label") or not selector.words:
        return {
            "topic": str(selector).replace("about ", "of a topic known by the words ", 1),
            "label": f"that their owner labeled \u201c{selector.words}\u201d",
        }.get(selector.role, f"after {selector}")
    whose = {"user": "that say", "system": "whose system message says"}
    said = whose.get(selector.role, f"whose {selector.role}'s turn says")
    return f"{said} \u201c{selector.words}\u201d"


def such_as(subgroup: Subgroup, pool: Pool, most: int = SHOWN, *, edge: bool = False) -> str:
    """Prompts that show what a subgroup means, in brackets; empty where there is nothing to add.

    Args:
        subgroup: Where a finding is.
        pool: The prompts.
        most: Prompts shown; of a subgroup with several topics or labels, one of each at most.
        edge: Whether to show how far a subgroup reaches: how many of all prompts it holds, and of a
            topic the prompt that says least of its words.
    """
    examples = " and ".join(f"\u201c{each}\u201d" for each in typical(subgroup, pool, most))
    shown = f"such as {examples}" if examples else ""
    if edge and subgroup.rules:
        least = _at_the_edge(subgroup, pool)
        shown += f", at its edge \u201c{least}\u201d" if least else ""
        every = [*pool.explore, *pool.confirm]
        size = f"{sum(map(subgroup.holds, every))} of {len(every)} prompts"
        shown = f"{shown}; {size}" if shown else size
    return f" ({shown})" if shown else ""


def _at_the_edge(subgroup: Subgroup, pool: Pool) -> str:
    """The explored prompt that says least of one topic's words; empty where few are in it."""
    if len(subgroup.rules) != 1 or [each.role for each in subgroup.selectors] != ["topic"]:
        return ""
    inside = [pool.explore[at] for at in pool.exploring([subgroup])]
    ranked = _typical_first(inside, set(words_of(subgroup.selectors[0].words)))
    return _asked(ranked[-1]) if len(ranked) > SHOWN else ""


def typical(subgroup: Subgroup, pool: Pool, most: int = SHOWN) -> list[str]:
    """What some explored prompts of a subgroup ask, where its name needs it; none elsewhere.

    Of what stands in a system message, system messages are shown.

    First of each topic or label in the name, those that say most of its words; of these, prompts of
    middling length.

    Args:
        subgroup: Where a finding is.
        pool: The prompts; only those that were looked at are shown.
        most: Prompts; of a subgroup with several topics or labels, one of each at most.
    """
    noted = [
        rule
        for rule in subgroup.rules
        if any(selector.role in ("topic", "label", "system") for selector in rule)
    ]
    each = most if len(noted) == 1 else 1
    shown: dict[str, None] = {}
    for rule in noted:
        inside = [pool.explore[at] for at in pool.exploring([Subgroup(selectors=rule)])]
        words = {word for selector in rule for word in words_of(selector.words)}
        first = any(selector.role == "system" for selector in rule)
        asked = dict.fromkeys(_asked(one, first) for one in _typical_first(inside, words))
        shown |= dict.fromkeys([text for text in asked if text not in shown][:each])
    return list(shown)


def _typical_first(prompts: Sequence[Prompt], words: set[str]) -> list[Prompt]:
    lengths = sorted(len(prompt.dialogue[-1].content) for prompt in prompts)
    middle = lengths[len(lengths) // 2] if lengths else 0

    def rank(prompt: Prompt) -> tuple[int, int, str]:
        text = prompt.dialogue[-1].content
        return (-len(words & set(words_of(text))), abs(len(text) - middle), text)

    return sorted(prompts, key=rank)


def _asked(prompt: Prompt, first: bool = False) -> str:
    """What a prompt asks last, or says first, on one line, cut between words."""
    text = " ".join(prompt.dialogue[0 if first else -1].content.split())
    if len(text) <= LONGEST_SHOWN:
        return text
    cut = text[:LONGEST_SHOWN]
    return f"{cut.rsplit(' ', 1)[0] if ' ' in cut else cut} \u2026"


def in_full(wanted: Property, replies: Sequence[str]) -> str:
    """The longest phrase that a telling phrase or opening mostly stands in; empty for none longer.

    Args:
        wanted: What is looked for.
        replies: Replies of the model that shows it more.

    Example:
        >>> in_full(Property(kind="phrase", text="know"), ["I don't know that.", "I don't know."])
        "i don't know"
    """
    if wanted.kind not in ("phrase", "opening"):
        return ""
    showing = [words_of(reply) for reply in replies if wanted.score(reply)]
    if len(showing) < 2:
        return ""
    counted: Counter[str] = Counter()
    for words in showing:
        starts = [0] if wanted.kind == "opening" else range(len(words))
        counted.update(
            {
                phrase
                for start in starts
                for end in range(start + 1, min(start + LONGEST_PHRASE, len(words)) + 1)
                if f" {wanted.text} " in f" {(phrase := ' '.join(words[start:end]))} "
            }
        )
    least = max(2.0, MOSTLY * len(showing))
    often = [phrase for phrase, count in counted.items() if count >= least]
    best = max(often, key=lambda each: (len(each.split()), counted[each], each))
    return best if best != wanted.text else ""
