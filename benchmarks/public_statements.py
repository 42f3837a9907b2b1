"""Statements of a public consultation whose views, spam and opinion groups are known.

`draw_statements` writes statements of people who hold planted views, in many wordings, puts spam
among them, and lets everybody vote on a few. `score` holds what a method made of them against the
truth. Two sets of views and wordings lie beside this file; whoever writes a method leaves the
sealed one unread.

Source:
    Small et al. (2021), "Polis: Scaling deliberation by mapping high dimensional opinion spaces",
    for the form: short statements, votes of agree, disagree and pass, most of them missing.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from sklearn.metrics import adjusted_rand_score

from plumbrule.errors import DataError
from plumbrule.store import derive_seed

VoteKind = Literal["agree", "disagree", "pass"]
SpamKind = Literal["ad", "url", "gibberish", "off_topic", "copy", "injection"]

GROUP_SHARES = (0.55, 0.30, 0.15)
"""Share of the people in each opinion group."""

SPAM: Mapping[SpamKind, int] = {
    "ad": 9, "url": 8, "gibberish": 8, "off_topic": 9, "copy": 8, "injection": 8,
}  # fmt: skip
"""Spam of each kind among 500 statements."""

_SIZES = (66, 58, 52, 46, 42, 38, 34, 30, 26, 22, 20, 16)
"""Statements of each view among the other 450; which view gets which size, the seed decides."""

_SPAMMERS = 8
_HELD = (0.85, 0.07, 0.08)  # agree, disagree, pass
_NOT_HELD = (0.14, 0.70, 0.16)
_ON_SPAM = (0.05, 0.55, 0.40)
_ON_CHATTER = (0.25, 0.25, 0.50)  # off topic, harmless
_CHOICES: tuple[VoteKind, ...] = ("agree", "disagree", "pass")

_PLAIN = ("{}.", "{}", "I think {}.", "In my view {}.", "{} - that is my opinion.")
_POLITE = (
    "With respect, {}.", "Thank you for asking. {}.", "If I may suggest something: {}, please.",
    "I would be grateful for one thing: {}.", "Kind regards from a pensioner: {}.",
)  # fmt: skip
_BLUNT = (
    "{}. Period.", "Honestly, {}, end of story.", "Come on, {}!", "How hard can it be: {}!!",
    "Damn it, {}.", "{}. Everything else is rubbish.",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PublicStatement:
    """What somebody wrote."""

    id: str
    person: str
    text: str


@dataclass(frozen=True, kw_only=True)
class PublicVote:
    """What somebody thinks of a statement."""

    person: str
    statement: str
    vote: VoteKind


@dataclass(frozen=True, kw_only=True)
class PlantedView:
    """A view that people hold."""

    name: str
    gist: str

    held_by: frozenset[int]
    """Opinion groups that hold it; the others mostly disagree."""

    agreeing: tuple[float, ...]
    """Expected share of `agree` among the votes of each group."""


@dataclass(frozen=True, kw_only=True)
class ConsultationTruth:
    """What is so."""

    views: Mapping[str, PlantedView]

    view_of: Mapping[str, str]
    """View of each statement that has one, copies included."""

    spam: Mapping[str, SpamKind]
    """Kind of each statement that is spam."""

    copy_of: Mapping[str, str]
    """Original of each copy."""

    group_of: Mapping[str, int]
    """Opinion group of each person; those who only send spam have none."""

    @property
    def minority(self) -> frozenset[str]:
        """Views that only one group holds, and not the largest."""
        return frozenset(name for name, view in self.views.items() if len(view.held_by) == 1)


@dataclass(frozen=True, kw_only=True)
class Consultation:
    """All that was said and voted, and what is so."""

    statements: tuple[PublicStatement, ...]
    votes: tuple[PublicVote, ...]
    truth: ConsultationTruth


@dataclass(frozen=True, kw_only=True)
class FoundView:
    """One principle that a method made, as it is scored."""

    text: str

    statements: tuple[str, ...]
    """Statements that stand behind it. Of a text and its copies, one."""

    minority: bool
    """Whether it is shown as the view of a minority."""

    shares: Mapping[str, float] | None = None
    """Share of each group, by the method's own name of it, that agrees."""


@dataclass(frozen=True, kw_only=True)
class ConsultationScore:
    """How a result compares with the truth."""

    kept: frozenset[str]
    """Planted views that a principle stands for."""

    principles: int

    repeated: int
    """Principles for a view that a larger one stands for already."""

    mixed: int
    """Principles that stand for no view, though most of their statements are no spam."""

    spam_principles: int
    """Principles most of whose statements are spam, or that have none behind them."""

    spam_statements: int
    """Spam that stands behind any principle; a copy counts only beside its original or another."""

    minority_shown: frozenset[str]
    """Kept views of a minority whose principle says so."""

    falsely_minority: frozenset[str]
    """Kept views of two groups or more whose principle is shown as a minority's."""

    group_agreement: float | None
    """Adjusted Rand index of the found groups with the planted; None where none were given."""


def draw_statements(
    seed: int, *, sealed: bool = False, people: int = 400, votes_each: int = 30
) -> Consultation:
    """Draw 500 statements, 10% of them spam, and the votes on them.

    Args:
        seed: Decides everything: sizes of views, wordings, authors, votes.
        sealed: Take the views and wordings that authors of methods have not read.
        people: Those with an opinion; a few more only send spam.
        votes_each: Statements that each person votes on, beside their own.
    """
    bank = _bank(sealed)
    rng = np.random.default_rng(derive_seed(seed, "consultation", sealed))
    group_of = _groups(people, rng)
    views = {
        name: PlantedView(
            name=name,
            gist=given["gist"],
            held_by=frozenset(given["held_by"]),
            agreeing=tuple(
                _HELD[0] if group in given["held_by"] else _NOT_HELD[0]
                for group in range(len(GROUP_SHARES))
            ),
        )
        for name, given in bank["views"].items()
    }
    genuine = _genuine(bank, rng)
    spam, originals = _spam(bank, genuine, rng)
    places = rng.permutation(len(genuine) + len(spam))
    ids = [f"s{place:03d}" for place in places]
    spammers = [f"x{number}" for number in range(_SPAMMERS)]
    statements = []
    view_of = dict(zip(ids, (view for _, view in genuine), strict=False))
    kinds = dict(zip(ids[len(genuine) :], (kind for _, kind in spam), strict=True))
    copy_of = {ids[len(genuine) + copy]: ids[original] for copy, original in originals.items()}
    for one, (text, _) in zip(ids, [*genuine, *spam], strict=True):
        authors = spammers
        if one in view_of:
            held_by = views[view_of[one]].held_by
            authors = [person for person, group in group_of.items() if group in held_by]
        person = authors[int(rng.integers(len(authors)))]
        statements.append(PublicStatement(id=one, person=person, text=text))
    view_of |= {copy: view_of[original] for copy, original in copy_of.items()}
    truth = ConsultationTruth(
        views=views, view_of=view_of, spam=kinds, copy_of=copy_of, group_of=group_of
    )
    statements.sort(key=lambda one: one.id)
    return Consultation(
        statements=tuple(statements),
        votes=tuple(_votes(statements, truth, [*group_of, *spammers], votes_each, rng)),
        truth=truth,
    )


def score(
    found: Sequence[FoundView],
    truth: ConsultationTruth,
    groups: Mapping[str, object] | None = None,
) -> ConsultationScore:
    """Hold principles against the truth.

    A principle stands for a view when at least 60% of its statements are of that view, and these
    are at least a fifth of the view's own. So neither one principle for all statements nor one
    for each keeps anything.

    Args:
        found: The principles.
        truth: What is so.
        groups: Found opinion group of each person.

    Raises:
        DataError: A principle rests on a statement that does not exist.
    """
    known = truth.view_of.keys() | truth.spam.keys()
    sizes = Counter(view for one, view in truth.view_of.items() if one not in truth.spam)
    kept: dict[str, bool] = {}
    repeated = mixed = spam_principles = 0
    cited: set[str] = set()
    for principle in sorted(found, key=lambda one: -len(one.statements)):
        behind = set(principle.statements)
        if unknown := sorted(behind - known):
            raise DataError(f"expected ids of statements, {principle.text!r} has {unknown[:3]}")
        cited |= behind
        # A copy in the place of its original is as good as the original.
        plain = {one for one in behind if truth.spam.get(one, "copy") == "copy"}
        if 2 * len(plain) <= len(behind):
            spam_principles += 1
            continue
        view, hits = Counter(truth.view_of[one] for one in sorted(plain)).most_common(1)[0]
        if hits < 0.6 * len(behind) or hits < 0.2 * sizes[view]:
            mixed += 1
        elif view in kept:
            repeated += 1
        else:
            kept[view] = principle.minority
    return ConsultationScore(
        kept=frozenset(kept),
        principles=len(found),
        repeated=repeated,
        mixed=mixed,
        spam_principles=spam_principles,
        spam_statements=_spam_behind(cited, truth),
        minority_shown=frozenset(view for view in truth.minority if kept.get(view)),
        falsely_minority=frozenset(
            view for view, minority in kept.items() if minority and view not in truth.minority
        ),
        group_agreement=None if groups is None else _agreement(groups, truth),
    )


def perfect(truth: ConsultationTruth) -> list[FoundView]:
    """What a method without a fault finds: the scorer's upper end."""
    return [
        FoundView(
            text=view.gist,
            statements=tuple(
                one for one, of in truth.view_of.items() if of == name and one not in truth.spam
            ),
            minority=name in truth.minority,
            shares={str(group): share for group, share in enumerate(view.agreeing)},
        )
        for name, view in truth.views.items()
    ]


@cache
def _bank(sealed: bool) -> Any:
    name = f"public_statements_{'sealed' if sealed else 'open'}.yaml"
    return yaml.safe_load(Path(__file__).with_name(name).read_text("utf-8"))


def _groups(people: int, rng: np.random.Generator) -> dict[str, int]:
    ends = np.round(np.cumsum(GROUP_SHARES) * people)
    order = rng.permutation(people)
    return {f"p{number:03d}": int(np.searchsorted(ends, order[number], "right"))
            for number in range(people)}  # fmt: skip


def _genuine(bank: Any, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Text and view of each statement that is none of the spam; no two texts are the same."""
    made: list[tuple[str, str]] = []
    seen: set[str] = set()
    names = list(bank["views"])
    for name, size in zip(rng.permutation(names).tolist(), _SIZES, strict=True):
        wanted = len(made) + size
        while len(made) < wanted:
            text = _worded(bank["views"][name], bank["names"], rng)
            key = " ".join(re.findall(r"\w+", text.lower()))
            if key not in seen:
                seen.add(key)
                made.append((text, name))
    return made


def _worded(view: Any, names: Sequence[str], rng: np.random.Generator) -> str:
    chance = rng.random(4)
    if chance[0] < 0.08:
        text = str(rng.choice(view["raw"]))
    else:
        core = str(rng.choice(view["positive" if chance[1] < 0.5 else "negative"]))
        core = core.format(ai=rng.choice(names))
        if chance[2] < 0.4:
            core += rng.choice([", because ", ", since ", " as "]) + str(
                rng.choice(view["reasons"])
            )
        form = str(rng.choice(_PLAIN + _POLITE + _BLUNT))
        upper = form.startswith("{}") or ". {}" in form
        text = form.format(core[0].upper() + core[1:] if upper else core)
    if chance[3] < 0.15:
        text = _mistyped(text, rng)
    elif chance[3] < 0.25:
        text = text.lower().rstrip(".")
    elif chance[3] < 0.28:
        text = text.upper()
    return text


def _mistyped(text: str, rng: np.random.Generator) -> str:
    """One to three slips: letters swapped, left out or doubled."""
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(1, len(text) - 1))
        slip = int(rng.integers(3))
        middle = (text[at + 1] + text[at], "", text[at] * 2)[slip]
        text = text[:at] + middle + text[at + (2 if slip == 0 else 1) :]
    return text


def _spam(
    bank: Any, genuine: Sequence[tuple[str, str]], rng: np.random.Generator
) -> tuple[list[tuple[str, SpamKind]], dict[int, int]]:
    """Text and kind of each spam, and which statement each copy (by its place) repeats."""
    made: list[tuple[str, SpamKind]] = []
    originals = {}
    copied = rng.choice(len(genuine), size=3, replace=False)  # few texts, copied often
    for kind, wanted in SPAM.items():
        if kind == "gibberish":
            texts = [_gibberish(rng) for _ in range(wanted)]
        elif kind == "copy":
            chosen = [int(copied[number % len(copied)]) for number in range(wanted)]
            originals = {len(made) + number: one for number, one in enumerate(chosen)}
            texts = [_copied(genuine[one][0], number) for number, one in enumerate(chosen)]
        else:
            texts = rng.permutation(bank["spam"][kind])[:wanted].tolist()
        made += [(text, kind) for text in texts]
    return made, originals


def _copied(text: str, number: int) -> str:
    """The same text, at most with other spaces, case or end."""
    return (text, f" {text} ", text.lower(), text.rstrip(".!") + "!!!")[number % 4]


def _gibberish(rng: np.random.Generator) -> str:
    rows = ("asdfghjkl", "qwertyuiop", "zxcvbnm", string.ascii_lowercase, string.digits + "!?#%")
    words = [
        "".join(rng.choice(list(rows[int(rng.integers(len(rows)))]), size=int(rng.integers(2, 10))))
        for _ in range(int(rng.integers(1, 8)))
    ]
    return " ".join(words)


def _votes(
    statements: Sequence[PublicStatement],
    truth: ConsultationTruth,
    people: Sequence[str],
    each: int,
    rng: np.random.Generator,
) -> list[PublicVote]:
    votes = []
    for person in people:
        own = [one for one in statements if one.person == person]
        drawn = rng.choice(len(statements), size=min(each, len(statements)), replace=False)
        others = [statements[at] for at in sorted(drawn) if statements[at].person != person]
        votes += [PublicVote(person=person, statement=one.id, vote="agree") for one in own]
        for one in others:
            vote = _CHOICES[int(rng.choice(3, p=_chances(one.id, person, truth)))]
            votes.append(PublicVote(person=person, statement=one.id, vote=vote))
    return votes


def _chances(statement: str, person: str, truth: ConsultationTruth) -> tuple[float, float, float]:
    """Chances of agree, disagree and pass."""
    group = truth.group_of.get(person)
    if group is None:
        return (1 / 3, 1 / 3, 1 / 3)  # who only sends spam votes at random
    view = truth.view_of.get(statement)
    if view is not None:
        return _HELD if group in truth.views[view].held_by else _NOT_HELD
    return _ON_CHATTER if truth.spam[statement] == "off_topic" else _ON_SPAM


def _spam_behind(cited: set[str], truth: ConsultationTruth) -> int:
    """Spam among statements; of a text and its copies, one is none."""
    plain = {one for one in cited if truth.spam.get(one, "copy") != "copy"}
    families = Counter(truth.copy_of.get(one, one) for one in cited - plain)
    return len(plain) + sum(number - 1 for number in families.values())


def _agreement(groups: Mapping[str, object], truth: ConsultationTruth) -> float:
    """Adjusted Rand index over everybody with an opinion; who has no found group is one of its own.

    People without a group cannot raise it by being left out.
    """
    people = sorted(truth.group_of)
    names = [str(groups[one]) if one in groups else f"none {one}" for one in people]
    return float(adjusted_rand_score([truth.group_of[one] for one in people], names))
