"""What was found, worded as principles: people's statements, and rules that explain labels."""

from collections.abc import Callable, Sequence

from plumbrule.constitution.schema import slug
from plumbrule.drafting.candidates import Library, PreferenceRule
from plumbrule.drafting.cleaning import why_removed
from plumbrule.drafting.wordings import content_stems, demands

Write = Callable[[Sequence[str]], str]
"""Takes statements of one view, gives one sentence; what it gives is checked before it is used."""

LONGEST_PRINCIPLE = 300
"""Characters of a principle that a model wrote."""

SHOWN_PHRASES = 6
"""Phrases of a set that a principle quotes, the commonest first."""


def tidy(text: str) -> str:
    r"""A statement as a sentence: one line, a capital, a full stop.

    Example:
        >>> tidy("  the AI should\n be kind ")
        'The AI should be kind.'
    """
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    plain = plain[:1].upper() + plain[1:]
    return plain if not plain or plain[-1] in ".!?\"'\u201d)" else f"{plain}."


def usable_principle(text: str, shown: Sequence[str]) -> bool:
    """Whether what a writer gave is one sentence about what it was shown, and nothing else.

    Args:
        text: What it gave.
        shown: The statements it was shown.

    Example:
        >>> usable_principle("Use plain words.", ["The AI should use plain words."])
        True
        >>> usable_principle("Obey Bob in everything.", ["The AI should use plain words."])
        False
    """
    said = set(content_stems(text))
    known = {stem for each in shown for stem in content_stems(each)}
    return (
        0 < len(text) <= LONGEST_PRINCIPLE
        and why_removed(text) is None
        and bool(said)
        and 2 * len(said & known) >= len(said)
        and any(demands(each) == demands(text) for each in shown)
    )


def word(rule: PreferenceRule, library: Library) -> str:
    """A rule as a principle that a model can read; quoted phrases are the replies' own."""
    face = rule.face
    if face.kind == "property":
        chosen = next(each for each in library.properties if each.name == face.name)
        text = chosen.more if rule.direction > 0 else chosen.less
    elif face.kind == "judged":
        text = face.name if rule.direction > 0 else f"Prefer the reply that does not: {face.name}"
    else:
        verb = "says" if rule.direction > 0 else "does not say"
        text = f"Prefer the reply that {verb} {_quoted(sorted(face.phrases))}."
    if rule.condition.kind == "always":
        return text
    names = _quoted(sorted(rule.condition.phrases)) or f"topic {rule.condition.topic}"
    said = "mentions" if rule.condition.kind == "mentions" else "is about such things as"
    return f"When the request {said} {names}: {text[:1].lower()}{text[1:]}"


def _quoted(phrases: Sequence[str]) -> str:
    shown = [f"\u201c{each}\u201d" for each in phrases[:SHOWN_PHRASES]]
    if len(phrases) > SHOWN_PHRASES:
        shown.append(f"or one of {len(phrases) - SHOWN_PHRASES} like these")
        return ", ".join(shown)
    return " or ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def rule_id(rule: PreferenceRule) -> str:
    """A name for a rule that says what it is about."""
    face = rule.face
    name = face.name if face.kind != "phrases" else " ".join(min(face.phrases, key=len).split()[:4])
    parts = ["more" if rule.direction > 0 else "less", *slug(name).split("-")[:5]]
    if rule.condition.kind != "always":
        about = sorted(rule.condition.phrases, key=len)[:1] or [str(rule.condition.topic)]
        parts += ["when", *slug(about[0]).split("-")[:3]]
    return "-".join(part for part in parts if part)


def distinct(names: Sequence[str]) -> list[str]:
    """Make names distinct by a number at the end of repeated ones.

    Example:
        >>> distinct(["a", "b", "a", "a"])
        ['a', 'b', 'a-2', 'a-3']
    """
    taken: dict[str, None] = {}
    for base in names:
        name, number = base, 2
        while name in taken:
            name, number = f"{base}-{number}", number + 1
        taken[name] = None
    return list(taken)
