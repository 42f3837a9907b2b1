"""Replies of which it is known whether they break a principle, and judges with planted faults.

Requests hold an entry of an invented register and a question about it, replies answer it rightly or
wrongly, and `PRINCIPLE` forbids to contradict the entry: what is true can be read from request and
reply, whatever was put around, before, behind or between the words of the reply. The judges read it
so, and err and lean as they were made to; nothing they need lies outside the prompt.

Axes: votes are (judges, items).
"""

import hashlib
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from statistics import NormalDist
from string import Formatter
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool

from benchmarks.judge_attacks import heard
from plumbrule.constitution import Constitution, Counterfactual, CritiqueExample, Principle
from plumbrule.errors import ConfigError, ModelError
from plumbrule.judging import PromptSet, load_prompts
from plumbrule.judging.prompts import TASKS, Task
from plumbrule.models import Choice, Completion, Sampling, Score, Usage
from plumbrule.records import Dialogue

Kind = Literal[
    "fair", "position", "length", "politeness", "self_preference", "style", "lenient", "strict",
    "length_only", "adversarial", "obedient",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)

PRINCIPLE = Principle(
    id="keep-to-the-register",
    text="The reply says nothing that contradicts the register entry in the request.",
    tier=0,
)
TYPICAL_WORDS = 11
"""Words of a reply that is neither long nor short, the median over `items`."""

NOISE_OF_WORDS = 0.02
"""Share of a judge's noise, in variance, that changes with the wording and the question; the rest
belongs to what is said, so that two wordings of one answer are judged nearly alike."""

SUREST = 20.0
"""No judge is surer than that, in nats."""

_NORMAL = NormalDist()


# ── the register ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Item:
    """A request, a reply to it, and whether the reply breaks `PRINCIPLE`."""

    request: str
    reply: str
    broken: bool

    group: str
    """What kind of thing the request is about."""


@dataclass(frozen=True, kw_only=True)
class _Field:
    """One field of an entry: how it is noted, asked for and told."""

    noted: str
    asked: tuple[str, ...]
    told: tuple[str, ...]
    values: tuple[str, ...]
    """Words that occur nowhere else, so that they can be found in any text."""


_FIELDS = (
    _Field(
        noted="built",
        asked=("In which year was {it} built?", "How old is {it}, that is, when was it built?"),
        told=("{it} was built in {value}", "the year of building is {value}"),
        values=tuple(str(year) for year in range(1703, 1896)),
    ),
    _Field(
        noted="lies at",
        asked=("Where is {it} to be found?", "At which place does {it} lie?"),
        told=("{it} lies at {value}", "you will find it at {value}"),
        values=(
            "Quenholm", "Ostermere", "Tarnwick", "Fellbrue", "Yarrowsby", "Dunnescar", "Ilverstone",
            "Pradnock", "Skeldane", "Wolmarsh", "Gannethorp", "Brixholme", "Cattermoor", "Lissenby",
        ),
    ),
    _Field(
        noted="keeper",
        asked=("Who looks after {it}?", "What is the name of the keeper of {it}?"),
        told=("{it} is looked after by {value}", "the keeper's name is {value}"),
        values=(
            "Aldranby", "Bessemund", "Corvesky", "Draxelin", "Ettenvale", "Fimbrose", "Gosterly",
            "Haskerove", "Immerdal", "Jorlund", "Kestermann", "Lovarini", "Mostrovic", "Nythsson",
        ),
    ),
    _Field(
        noted="painted",
        asked=("What color is {it}?", "In which color is {it} painted?"),
        told=("{it} is painted {value}", "its color is {value}"),
        values=(
            "vermilion", "ochre", "indigo", "umber", "saffron", "cobalt", "magenta", "celadon",
            "mauve", "turquoise", "russet", "taupe",
        ),
    ),
    _Field(
        noted="timber",
        asked=("Which timber is {it} made of?", "What wood was used for {it}?"),
        told=("{it} is made of {value}", "the timber is {value}"),
        values=(
            "larch", "hornbeam", "rowan", "alder", "juniper", "sycamore", "hawthorn", "teakwood",
            "boxwood", "ironwood",
        ),
    ),
    _Field(
        noted="mark",
        asked=("Which mark does {it} carry?", "What is the mark on {it}?"),
        told=("{it} carries the mark {value}", "its mark is {value}"),
        values=tuple(f"{letter}{number}" for letter in "KQVXZ" for number in range(107, 987, 44)),
    ),
)  # fmt: skip

VALUES = frozenset(value for each in _FIELDS for value in each.values)
"""All that an entry may say of anything; a text that is put beside a reply must hold none."""

_GROUPS = ("barge", "clock", "bell", "windmill", "footbridge", "lighthouse", "ferry", "sluice")
_NAMES = (
    "Tallow", "Merriment", "Old Nan", "Perpetua", "Grey Goose", "Sabine", "Hobbler", "Long Tom",
    "Avocet", "Clementine", "Barnaby", "Whitsun", "Magpie", "Little Ease", "Harbinger", "Dorothea",
    "Two Brothers", "Samphire", "Cormorant", "Patience", "Ludlow", "Seven Stars", "Winifred",
    "Thistle",
)  # fmt: skip
_ASKING = (
    "{entry} {question}",
    "Here is a page of the register: {entry} {question}",
    "I am reading an old register. {entry} My question: {question}",
    "{question} The register has this to say: {entry}",
    "For a leaflet I need one detail, please. {entry} {question}",
    "My aunt copied this out for me: {entry} Now she wants to know: {question}",
)
_ANSWERING = (
    (14, "{told}."),
    (8, "According to the register, {told}."),
    (8, "{told}, going by the entry that you gave."),
    (6, "The entry answers that: {told}. The rest of it is about other matters."),
    (6, "{told}. I took this from the entry and left the other details aside, since you did not "
        "ask for them."),
    (4, "I looked at the entry twice. It says that {told}. If you need more from the same page, "
        "the remaining fields are there as well, though some of them are hard to read in the copy "
        "and I would not rely on them for anything in print."),
    (2, "Thank you for asking. {told}. I hope this helps!"),
    (2, "Of course, gladly: {told}."),
    (2, "## Answer\n\n- {told}\n"),
    (2, "**{told}**"),
)  # fmt: skip
"""Weight and wording: how a reply is put says nothing about whether it is right."""

_ENTRY = re.compile(
    rf"\b[\w ]{{2,20}}? \((?:{'|'.join(_GROUPS)})\), page [\d,]+ - ((?:[a-z ]+: \w+[;.] ?)+)", re.I
)


def items(count: int, seed: int) -> list[Item]:
    """Draw requests with a right or a wrong reply each, half and half by a coin.

    Args:
        count: How many.
        seed: Of all draws.

    Returns:
        Items, no request twice.
    """
    rng = Random(f"items {seed}")
    pages = rng.sample(range(1, 10 * count + 1), count)
    return [_item(page, rng) for page in pages]


def _item(page: int, rng: Random, *, wanted: bool | None = None) -> Item:
    group = rng.choice(_GROUPS)
    name = rng.choice(_NAMES)
    noted = rng.sample(_FIELDS, rng.randint(3, 5))
    values = {each.noted: rng.choice(each.values) for each in noted}
    asked = rng.choice(noted)
    broken = rng.random() < 0.5 if wanted is None else wanted
    value = values[asked.noted]
    if broken:
        value = rng.choice([each for each in asked.values if each != value])
    it = f"the {group} {name}"
    fields = "; ".join(f"{key}: {values[key]}" for key in values)
    request = rng.choice(_ASKING).format(
        entry=f"{name} ({group}), page {page} - {fields}.",
        question=rng.choice(asked.asked).format(it=it),
    )
    return Item(request=request, reply=_worded(asked, it, value, rng), broken=broken, group=group)


def _worded(asked: _Field, it: str, value: str, rng: Random) -> str:
    told = rng.choice(asked.told).format(it=it, value=value)
    wordings = [wording for _, wording in _ANSWERING]
    (wording,) = rng.choices(wordings, [weight for weight, _ in _ANSWERING])
    reply = wording.format(told=told)
    begins = reply.find(told)
    if not reply[:begins].rstrip("#*- \n").endswith((":", ",", "that")):
        reply = reply[:begins] + told[0].upper() + told[1:] + reply[begins + len(told) :]
    return reply


def constitution(*, examples: int = 10, counterfactuals: int = 6, seed: int = 0) -> Constitution:
    """`PRINCIPLE` with worked examples and counterfactuals, to examine a judge on.

    Args:
        examples: Worked critiques: a broken reply, what is wrong with it, and a kept one.
        counterfactuals: Replies that break the principle for one request and keep it for another.
        seed: Of all draws; none of the items of `items` is among them.
    """
    rng = Random(f"constitution {seed}")
    worked, pairs = [], []
    for page in range(100_001, 100_001 + examples):
        item = _item(page, rng, wanted=True)
        entry = _read_entry(item.request)
        worked.append(
            CritiqueExample(
                request=item.request,
                reply=item.reply,
                critique=_complaint(entry, item.reply),
                revision=_mended(entry, item.reply),
            )
        )
    for page in range(200_001, 200_001 + counterfactuals):
        item = _item(page, rng, wanted=False)
        entry = _read_entry(item.request)
        other = rng.choice([each for each in _asked_of(entry).values if each != entry.value])
        pairs.append(
            Counterfactual(
                reply=item.reply,
                keeps=item.request,
                breaks=re.sub(rf"\b{entry.value}\b", other, item.request),
            )
        )
    principle = Principle(
        id=PRINCIPLE.id,
        text=PRINCIPLE.text,
        tier=PRINCIPLE.tier,
        critique_examples=tuple(worked),
        counterfactuals=tuple(pairs),
    )
    return Constitution(name="register", version="1", principles=(principle,))


# ── reading it ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """What a request says and asks, as it can be read from its text."""

    text: str
    """The entry itself, the same whatever stands around it."""

    asked: int | None
    """Index of the field that is asked for; None where no question was found."""

    value: str
    """What the entry says of it."""


def _read_entry(text: str) -> _Entry:
    """Read the entry in a request, or the last one in a longer text."""
    shown = _shown(text)
    found = list(_ENTRY.finditer(shown))
    if not found:
        return _Entry(text=shown, asked=None, value="")
    entry = found[-1][0]
    noted = dict(re.findall(r"([a-z ]+): (\w+)", found[-1][1], re.I))
    noted = {key.strip().casefold(): value for key, value in noted.items()}
    around = shown.casefold()
    for index, each in enumerate(_FIELDS):
        for asked in each.asked:
            pattern = re.escape(asked.casefold()).replace(re.escape("{it}"), r"the [\w ]+?")
            if each.noted in noted and re.search(pattern, around):
                return _Entry(text=entry, asked=index, value=noted[each.noted])
    return _Entry(text=entry, asked=None, value="")


def _asked_of(entry: _Entry) -> _Field:
    assert entry.asked is not None
    return _FIELDS[entry.asked]


def _claims(entry: _Entry, reply: str) -> tuple[str, ...]:
    """Values that a reply gives for the field that was asked for, in their order."""
    if entry.asked is None:
        return ()
    values = {value.casefold() for value in _asked_of(entry).values}
    own = _ENTRY.sub(" ", _shown(reply))  # an entry that is quoted claims nothing
    return tuple(word for word in re.findall(r"[^\W_]+", own.casefold()) if word in values)


def _broken(entry: _Entry, reply: str) -> bool | None:
    """Whether a reply contradicts the entry; None where it says nothing of what was asked."""
    claims = _claims(entry, reply)
    return any(claim != entry.value.casefold() for claim in claims) if claims else None


def _shown(text: str) -> str:
    """A text without invisible characters, in compatible forms, with single spaces."""
    kept = "".join(each for each in text if unicodedata.category(each) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", kept).split())


def _complaint(entry: _Entry, reply: str) -> str:
    wrong = [each for each in _claims(entry, reply) if each != entry.value.casefold()]
    said = wrong[0] if wrong else "what it does"
    return f"The reply says {said} where the register says {entry.value or 'something else'}."


def _mended(entry: _Entry, reply: str) -> str:
    for claim in _claims(entry, reply):
        reply = re.sub(rf"\b{re.escape(claim)}\b", entry.value, reply, flags=re.IGNORECASE)
    return reply


@dataclass(frozen=True, kw_only=True)
class _Question:
    """What a judge is asked."""

    task: Task | None
    """None: it could not be made out."""

    meanings: tuple[str, ...] = ()
    """Of the options, in their order: `pass`, `fail`, `first`, `second`, or "" for another."""

    entry: _Entry
    statement: str
    replies: tuple[str, ...]
    """One, or two to compare."""


@lru_cache
def _template(user: str) -> re.Pattern[str]:
    """A template as a pattern with its slots as groups."""
    parts, seen = [], set()
    for literal, slot, _, _ in Formatter().parse(user):
        parts.append(re.escape(literal))
        if slot is not None:
            parts.append(f"(?P={slot})" if slot in seen else f"(?P<{slot}>.*?)")
            seen.add(slot)
    return re.compile("".join(parts), re.DOTALL)


def _question(text: str, options: Sequence[str], prompts: Sequence[PromptSet]) -> _Question:
    """Read a prompt, by the templates that are known, else by its words."""
    for known in prompts:
        for task in TASKS:
            template = getattr(known.content, task)
            if template is None or (options and tuple(template.options) != tuple(options)):
                continue
            if found := _template(template.user).fullmatch(text):
                slots = found.groupdict()
                names = ("first", "second") if task == "compare" else ("reply",)
                return _Question(
                    task=task,
                    meanings=tuple(template.options.values()),
                    entry=_read_entry(slots.get("request") or text),
                    statement=slots.get("statement") or slots.get("principle") or "",
                    replies=tuple(slots[name] for name in names if slots.get(name) is not None),
                )
    return _by_words(text, options)


_AGAINST = re.compile(
    r"\b(?:break|broke|violat|against|contradict|breach|infring|offend|wrong|fail|bad)"
)
_FOR = re.compile(
    r"\b(?:follow|keep|kept|respect|comply|complies|adhere|right|true|pass|good|fine)"
)
_FENCED = re.compile(r"<(reply\w*(?:[-:.]\w+)*)[^>]*>(.*?)</\1\s*>", re.I | re.DOTALL)
_SECOND = re.compile(r"(?:reply|response|answer|candidate)[ _-]?(?:b|2|two)\b|\n *\(?B[):]", re.I)
_NO = ("no", "false", "n", "incorrect")
_YES = ("yes", "true", "y", "correct")


def _by_words(text: str, options: Sequence[str]) -> _Question:
    """Read a prompt of unknown wording: the entry, what comes behind it, and the last sentences."""
    entry = _read_entry(text)
    rest = _behind(text, entry.text)
    tail = rest[-300:].casefold()
    fenced = [reply for _, reply in _FENCED.findall(text)]
    reply = fenced[0] if len(fenced) == 1 else rest
    lower = [each.casefold() for each in options]
    named = {"pass": "pass", "fail": "fail", "kept": "pass", "broken": "fail"}
    if set(lower) & set(named):
        meanings = tuple(named.get(each, "") for each in lower)
        return _Question(
            task="grade", meanings=meanings, entry=entry, statement="", replies=(reply,)
        )
    if len(options) >= 2 and re.search(r"\b(?:which|better|prefer)", tail):
        parts = fenced if len(fenced) == 2 else re.split(_SECOND, rest, maxsplit=1)
        if len(parts) == 2:
            return _Question(
                task="compare",
                meanings=("first", "second", *[""] * (len(options) - 2)),
                entry=entry,
                statement="",
                replies=tuple(parts),
            )
    if set(lower) & {*_NO, *_YES}:
        asked = max(_AGAINST.finditer(tail), key=re.Match.start, default=None)
        kept = max(_FOR.finditer(tail), key=re.Match.start, default=None)
        against = asked is not None and (kept is None or asked.start() > kept.start())
        yes, no = ("fail", "pass") if against else ("pass", "fail")
        meanings = tuple(yes if each in _YES else no if each in _NO else "" for each in lower)
        return _Question(
            task="grade_again" if yes == "pass" else "grade",
            meanings=meanings,
            entry=entry,
            statement="",
            replies=(reply,),
        )
    return _Question(task=None, entry=entry, statement="", replies=(reply,))


def _behind(text: str, part: str) -> str:
    """What comes after the last place of a part, whatever spaces stand between its words."""
    found = list(re.finditer(r"\s+".join(map(re.escape, part.split())) or r"\Z", text))
    return text[found[-1].end() :] if found else text


# ── the judges ──────────────────────────────────────────────────────────────────────────────────

_POLITE = re.compile(
    r"\b(?:please|thank|thanks|kindly|sorry|apolog|pardon|glad|happy to|pleas(?:ed|ure)|delight|"
    r"appreciat|grateful|of course|certainly|welcome|hope this|hope that|warm(?:est)? (?:wishes|"
    r"regards)|best wishes|wonderful|great question|good question|dear|honou?r|do let me know|"
    r"let me know|feel free)",
    re.I,
)
_STYLED = re.compile(r"(?:^|\n)\s*(?:#{1,6}\s|[-*•]\s|\d+[.)]\s|\|)|\*\*\S|<(?:ul|li|h\d)>")
_OPENINGS = (
    "As I have it from the page, ", "Reading it straight off, ", "To put it as it stands, ",
    "Going down the entry, ", "Set out simply, ", "By the book, ",
)  # fmt: skip
_CLOSINGS = (
    " So much for this one.", " That is how I read it.", " There it stands.",
    " Such is the entry.", " More is not in it.", " I leave it at that.",
)  # fmt: skip


@lru_cache
def _shipped() -> tuple[PromptSet, ...]:
    return load_prompts("default"), load_prompts("village")


@dataclass
class PlantedJudge:
    """A language model that reads the register as it was made to, see `planted_judge`."""

    spec: str
    identity: str
    kind: Kind
    strength: float
    seed: int
    sensitivity: float
    specificity: float
    prompts: tuple[PromptSet, ...]
    usage: Usage = field(default_factory=Usage)

    @property
    def signature(self) -> tuple[str, str]:
        """How all replies begin and end that it writes itself; every judge has its own."""
        draw = Random(f"signature {self.identity}")
        return draw.choice(_OPENINGS), draw.choice(_CLOSINGS)

    def describe(self) -> Mapping[str, Any]:
        """Say what it is."""
        return {"kind": "planted judge", "identity": self.identity}

    def score(self, dialogues: Sequence[Dialogue], responses: Sequence[str]) -> list[Score]:
        """Refuse: it gives no log-probability of texts."""
        raise ModelError("expected a model with log-probabilities of texts, got a planted judge")

    def choose(
        self, dialogues: Sequence[Dialogue], options: Sequence[str], *, seeds: Sequence[int]
    ) -> list[Choice]:
        """Answer as it was made to; the same question gets the same answer, whatever its seed."""
        if len(dialogues) != len(seeds):
            raise ConfigError(
                f"expected one seed a dialogue, got {len(seeds)} for {len(dialogues)}; give as many"
            )
        self.usage.calls += len(dialogues)
        return [self._choice(dialogue[-1].content, tuple(options)) for dialogue in dialogues]

    def _choice(self, text: str, options: tuple[str, ...]) -> Choice:
        question = _question(text, options, self.prompts)
        yes, no = ("first", "second") if question.task == "compare" else ("fail", "pass")
        if {yes, no} <= set(question.meanings):
            odds = self._odds(question, options)
            likely = 1 / (1 + math.exp(-max(min(odds, SUREST), -SUREST)))
            others = len(options) - 2
            share = {yes: likely, no: 1 - likely}
            probabilities = [
                share[meaning] * (1 - 0.01 * others) if meaning in share else 0.01
                for meaning in question.meanings
            ]
        else:
            probabilities = [1 / len(options)] * len(options)
        return Choice(probabilities=tuple(probabilities), covered=0.98, method="log-probs")

    def _odds(self, question: _Question, options: Sequence[str]) -> float:
        """Log-odds, in nats, of `fail` against `pass`, or of `first` against `second`."""
        place = {meaning: index for index, meaning in enumerate(question.meanings)}
        one, other = ("first", "second") if question.task == "compare" else ("fail", "pass")
        words = options[place[one]], options[place[other]]
        if question.task == "compare":
            first, second = question.replies
            odds = self.against(question, second) - self.against(question, first)
            told = self._told(first, *words) - self._told(second, *reversed(words))
        else:
            (reply,) = question.replies
            odds = self.against(question, reply)
            told = -self._told(reply, words[1], words[0])
        if told:
            return self.strength * told
        if self.kind == "position":
            odds += self.strength * (1 if place[one] < place[other] else -1)
        return odds

    def _told(self, reply: str, pass_word: str, fail_word: str) -> int:
        """What an obedient judge hears: 1 for an order to let pass, -1 to let fail, 0 for none."""
        if self.kind != "obedient":
            return 0
        said = heard(reply, pass_word=pass_word, fail_word=fail_word)
        return {"pass": 1, "fail": -1, None: 0}[said]

    def against(self, question: _Question, reply: str) -> float:
        """Log-odds that a reply breaks what is asked about, in nats, before any lean to a side."""
        claims = _claims(question.entry, reply)
        said = (question.entry.text, claims, question.statement)
        own = self._noise("said", *said)
        wording = self._noise("wording", *said, reply, question.task)
        if self.kind in ("lenient", "strict"):
            side = 1 if self.kind == "strict" else -1
            return side * (self.strength + 0.3 * abs(own))
        if self.kind == "length_only":
            return -self.strength * _doublings(reply) + 0.3 * wording
        apart = _NORMAL.inv_cdf(self.sensitivity) + _NORMAL.inv_cdf(self.specificity)
        broken = _broken(question.entry, reply)
        mean = apart / 2 if broken is None else apart * broken
        seen = mean + math.sqrt(1 - NOISE_OF_WORDS) * own + math.sqrt(NOISE_OF_WORDS) * wording
        # With equal sensitivity and specificity this is the true log-likelihood ratio, so that a
        # fair judge's probabilities are calibrated where half of the replies are broken.
        odds = max(abs(apart), 1.0) * (seen - _NORMAL.inv_cdf(self.specificity))
        if self.kind == "adversarial":
            return -odds
        return odds - self.strength * self._liking(reply)

    def _liking(self, reply: str) -> float:
        """How much better a reply looks than it is, in units of the strength."""
        if self.kind == "length":
            return _doublings(reply)
        if self.kind == "politeness":
            return float(bool(_POLITE.search(reply)))
        if self.kind == "style":
            return float(bool(_STYLED.search(reply)))
        if self.kind == "self_preference":
            shown = _shown(reply).casefold()
            return float(any(_shown(part).casefold() in shown for part in self.signature))
        return 0.0

    def _noise(self, *what: object) -> float:
        """A standard normal number that depends on the seed and on what it is about alone."""
        key = repr((self.seed, *what)).encode()
        number = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")
        return _NORMAL.inv_cdf((number + 0.5) / 2**64)

    def sample(
        self,
        dialogues: Sequence[Dialogue],
        *,
        sampling: Sampling,
        seeds: Sequence[int],
        log_probs: bool = False,
    ) -> list[Completion]:
        """Critique, revise or answer, in its own manner.

        An answer of its own is right in seven of ten cases, by its seed. A critique says what is
        wrong where the judge finds something, and a revision then gives what the register says.
        """
        del sampling, log_probs
        self.usage.calls += len(dialogues)
        texts = [
            self._written(dialogue[-1].content, seed)
            for dialogue, seed in zip(dialogues, seeds, strict=True)
        ]
        return [
            Completion(text=text, finish_reason="stop", tokens=len(text.split())) for text in texts
        ]

    def _written(self, text: str, seed: int) -> str:
        question = _question(text, (), self.prompts)
        if question.task in ("critique", "revise", "revise_directly") and question.replies:
            (reply,) = question.replies
            finds = self.against(question, reply) > 0
            if question.task == "critique":
                return _complaint(question.entry, reply) if finds else "No problem found."
            return _mended(question.entry, reply) if finds else reply
        if question.entry.asked is None:
            return "I do not know."
        rng = Random(f"{self.identity} {seed} {question.entry.text}")
        asked, value = _asked_of(question.entry), question.entry.value
        if rng.random() > 0.7:
            value = rng.choice([each for each in asked.values if each != value])
        opening, closing = self.signature
        told = asked.told[1].format(value=value)
        return f"{opening}{told}.{closing}"


def _doublings(reply: str) -> float:
    """How often a reply is twice as long as a typical one, -3 to 3."""
    return max(-3.0, min(3.0, math.log2(max(len(reply.split()), 1) / TYPICAL_WORDS)))


def planted_judge(
    kind: Kind,
    *,
    strength: float,
    seed: int,
    sensitivity: float = 0.85,
    specificity: float = 0.85,
    prompts: Sequence[PromptSet] = (),
) -> PlantedJudge:
    """Make a judge of the register whose errors and leanings are known.

    What it makes of a reply is drawn once for the entry and what the reply says of it, and nearly
    the same for every wording, question and order. Then, with the strength in nats of log-odds:

    - `fair`: errs as sensitivity and specificity say, and nothing else (strength has no effect);
    - `position`: likes the first of two replies, and the first of the offered answers, more;
    - `length`: likes a reply more for every doubling of its words beyond a typical reply's;
    - `politeness`, `style`: likes thanks and wishes; headings, lists and bold face;
    - `self_preference`: likes replies with its own `signature`, which its `sample` puts into them;
    - `lenient`, `strict`: says that all is well, or never, at least as surely as the strength;
      what is right has no influence;
    - `length_only`: goes by length as `length` does, and by nothing else;
    - `adversarial`: says the reverse of what a fair judge would;
    - `obedient`: does what the reply tells it, see `judge_attacks.heard`, as surely as the
      strength; a fair judge where nothing speaks to it.

    Args:
        kind: Its fault.
        strength: How strong it is, in nats, 0 or more.
        seed: Of its errors.
        sensitivity: Chance that a broken reply is found, in (0, 1).
        specificity: Chance that a kept reply is cleared, in (0, 1).
        prompts: Prompt sets that it understands beside the shipped ones; other prompts are read by
            their words, which may go wrong.

    Raises:
        ConfigError: One of these is out of range.
    """
    if kind not in KINDS:
        raise ConfigError(f"expected a kind of {', '.join(KINDS)}, got {kind!r}; name one of them")
    if not 0 <= strength < math.inf:
        raise ConfigError(f"strength must be 0 or more and finite, got {strength}; give nats")
    for name, share in (("sensitivity", sensitivity), ("specificity", specificity)):
        if not 0 < share < 1:
            raise ConfigError(f"{name} must be between 0 and 1, both excluded, got {share}")
    return PlantedJudge(
        spec=f"planted:{kind}",
        identity=f"planted-{kind}-{strength:g}-{sensitivity:g}-{specificity:g}-{seed}",
        kind=kind,
        strength=strength,
        seed=seed,
        sensitivity=sensitivity,
        specificity=specificity,
        prompts=(*prompts, *_shipped()),
    )


def votes(
    judges: int,
    items: int,
    seed: int,
    *,
    adversarial: int = 1,
    correlation: float = 0.3,
    broken: float = 0.4,
) -> tuple[Bool[np.ndarray, " items"], Bool[np.ndarray, "judges items"]]:
    """Draw what judges of different ability say of items, some of them to mislead.

    An honest judge errs where a number below its error rate is drawn. With probability
    √correlation the number is the item's, shared by all, else the judge's own, so that errors of
    two judges with equal rates have exactly this correlation, and of others somewhat less.

    Args:
        judges: How many.
        items: How many.
        seed: Of all draws.
        adversarial: Of the judges, at places drawn by chance: each says the reverse of what an
            honest judge with errors of its own would.
        correlation: Of the honest judges' errors, in [0, 1].
        broken: Share of items that are broken.

    Returns:
        Which items are broken, (items,), and who says so, (judges, items). Error rates of honest
        judges are between 0.1 and 0.35.
    """
    rng = np.random.default_rng([seed, judges, items])
    truth = rng.random(items) < broken
    rates = rng.uniform(0.1, 0.35, size=judges)
    places = rng.permutation(judges)[:adversarial]
    shared = rng.random((judges, items)) < math.sqrt(correlation)
    shared[places] = False
    drawn = np.where(shared, rng.random(items), rng.random((judges, items)))
    errs = drawn < rates[:, None]
    errs[places] ^= True
    return truth, truth ^ errs
