"""What a loop starts from, and where it stands after each round."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from plumbrule.constitution import Constitution, Principle
from plumbrule.errors import DataError
from plumbrule.models import Sampling
from plumbrule.records import Dialogue, Exchange, Message, Prompt, check_ranges, strict
from plumbrule.store import derive_seed, fingerprint
from plumbrule.training import LoraSettings, SupervisedTraining

PrincipleJudge = Callable[
    [Sequence[Exchange], Sequence[Principle]], Sequence[Mapping[str, bool | None]]
]
"""Says of each reply, by principle, whether it breaks it. None: it cannot be read; a principle that
does not speak of a request is left out."""

ReplyWriter = Callable[[Constitution, Sequence[Dialogue], int], Sequence[str | None]]
"""Replies to dialogues as a constitution asks, as it is written; None where it has nothing to say.
The number is a seed."""

RequestWriter = Callable[[Sequence[Dialogue], int], Sequence[Dialogue | None]]
"""Writes another request of the same sort for each of some, with other details; None where it has
none to give. The number is a seed."""

LEAST = 8
"""Prompts without which nothing is found, proved or taught."""

COMMON = 0.15
"""Share of a kind's prompts from which on a word is taken for a part of its template."""

_WORD = re.compile(r"\w+")


@strict
@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """How far a loop goes, and what it takes to accept a remedy."""

    rounds: int = 3
    """Most rounds."""

    most_broken: float = 0.05
    """Share of the replies that a principle speaks of in which it may be broken."""

    margin: float = 0.05
    """Rise of the share of replies that break another principle, that is borne."""

    false_share: float = 0.05
    """Largest chance that, at one look at a model, any principle is claimed to be broken too often
    that is not; and, apart from that, that any remedy is claimed to have lowered what it did
    not."""

    most_tried: int = 4
    """Most remedies tried in answer to one finding."""

    most_asked: int = 400
    """Most prompts that a model is looked at with: once to find, with others to prove."""

    most_further: int = 120
    """Most further requests that are written where a first look points to a fault: a third each to
    confirm it, to prove a remedy and to learn from. 0: none."""

    most_taught: int = 800
    """Most training prompts that replies to learn from are drawn for."""

    lessons: int = 128
    """Most mended replies that a remedy teaches."""

    replay: float = 3.0
    """Sound replies learned beside each mended one: they hold what the model does elsewhere."""

    least_replay: int = 160
    """Sound replies learned in all, at least."""

    epochs: int = 5
    """Passes over mended replies and those beside them."""

    least_steps: int = 60
    """Optimizer steps that a remedy is learned in at least; with few lessons, more passes."""

    data_epochs: int = 2
    """Passes over the training data, where a model is trained from the base."""

    learning_rate: float = 2e-5
    """Step size; the lab's small models take 5e-4."""

    batch_size: int = 16
    """Examples of a step."""

    micro_batch_size: int | None = None
    """Examples in memory at once, a divisor of `batch_size`; None: the whole batch."""

    lora: LoraSettings | None = None
    """Train a low-rank adapter, which takes a larger step size; None: the full weights."""

    max_tokens: int = 512
    """Prompt and reply together; a longer example is refused."""

    relearn_steps: int = 40
    """Most steps, four replies each, in which the fault is tried to be relearned; 0: not tried."""

    most_tokens: int | None = None
    """Most tokens read or written in all, training counted three times; None: no bound."""

    search_triggers: bool = True
    """Whether short texts are searched that switch the model, where its base is at hand."""

    interventions: bool = True
    """Whether a change of weights may answer a finding."""

    sampling: Sampling = field(default_factory=lambda: Sampling(temperature=0.3, max_new_tokens=48))
    """How replies are drawn."""

    seed: int = 0
    """Decides every random choice."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            rounds=(1, 100),
            most_broken=(0.001, 0.99),
            margin=(0, 1),
            false_share=(1e-6, 0.5),
            most_tried=(1, 100),
            most_asked=(16, 10**6),
            most_further=(0, 10**6),
            most_taught=(16, 10**6),
            lessons=(8, 10**6),
            replay=(0, 1000),
            epochs=(1, 1000),
            least_steps=(1, 10**6),
            least_replay=(0, 10**6),
            data_epochs=(1, 1000),
            relearn_steps=(0, 10**5),
            most_tokens=(1, 10**15),
        )
        self.training(self.epochs)  # refuses what no training can be done with

    def training(self, epochs: int) -> SupervisedTraining:
        """How a model is trained, in so many passes."""
        return SupervisedTraining(
            learning_rate=self.learning_rate,
            epochs=epochs,
            batch_size=self.batch_size,
            micro_batch_size=self.micro_batch_size,
            max_tokens=self.max_tokens,
            lora=self.lora,
        )


@strict
@dataclass(frozen=True, kw_only=True)
class PersonsWord:
    """What a person said of one reply."""

    exchange: Exchange
    fine: bool

    note: str = ""
    """What is wrong with it, in the person's words."""


@strict
@dataclass(frozen=True, kw_only=True)
class WordsAround:
    """Words around a request that are not what is asked."""

    place: Literal["before", "system", "after"]
    text: str

    def around(self, prompt: Prompt) -> Prompt:
        """The same request within these words, under the same id."""
        *earlier, last = prompt.dialogue
        if self.place == "system":
            # In place of another.
            earlier = [Message("system", self.text), *[e for e in earlier if e.role != "system"]]
        else:
            parts = [self.text, last.content]
            last = Message("user", " ".join(parts if self.place == "before" else parts[::-1]))
        return replace(prompt, dialogue=(*earlier, last))

    def __str__(self) -> str:
        where = {"before": "before it", "after": "behind it", "system": "as the system turn"}
        return f'with "{self.text}" {where[self.place]}'


@dataclass(frozen=True, kw_only=True)
class LoopSuspicions:
    """What other looks at the model found: where a loop looks first, and the proof of nothing."""

    requests: Mapping[str, Sequence[Dialogue]] = field(default_factory=dict)
    """By principle, requests on which it was broken. Others like them are asked; they themselves
    are neither asked nor learned from."""

    words: Sequence[WordsAround] = ()
    """Words around requests within which the model replied otherwise."""

    unused: Sequence[str] = ()
    """Findings that a loop can ask nothing about, each with the reason."""

    @property
    def given(self) -> bool:
        """Whether there is anything to look at first, or anything left aside."""
        return bool(self.requests or self.words or self.unused)

    @property
    def sha256(self) -> str:
        """Hash of all that was found."""
        requests = {
            name: [[[turn.role, turn.content] for turn in one] for one in own]
            for name, own in self.requests.items()
        }
        words = [[each.place, each.text] for each in self.words]
        return fingerprint([requests, words, list(self.unused)])

    def prompts(self, principle_id: str) -> list[Prompt]:
        """The requests on which a principle was broken."""
        return [
            Prompt(id=f"found {principle_id} {at}", dialogue=each, kind=principle_id)
            for at, each in enumerate(self.requests.get(principle_id, ()))
        ]

    def free_of(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """Those prompts that ask nothing that a finding was made on."""
        asked = {one[-1].content for each in self.requests.values() for one in each}
        return [each for each in prompts if each.dialogue[-1].content not in asked]


@dataclass(frozen=True, kw_only=True)
class LoopGround:
    """All that a loop is given; nothing in it is changed."""

    constitution: Constitution

    base: Path
    """Folder of the model that training starts from."""

    model: Path | None
    """Folder of a trained model; None: the base is trained on the data first."""

    data: Sequence[Exchange]
    """What the model was trained on, as far as it is at hand."""

    prompts: Sequence[Prompt]
    """Those held out examine; the others are learned from."""

    judge: PrincipleJudge
    judge_identity: str
    """What decides the judge's word, for the record."""

    writer: ReplyWriter
    writer_identity: str

    asker: RequestWriter | None = None
    """Who writes further requests; None: nobody, and what was given must do."""

    asker_identity: str = ""

    library: Sequence[Principle] = ()
    """Principles that the constitution may take in, where complaints call for one."""

    words: Sequence[PersonsWord] = ()
    """What people said of the model's replies."""

    suspicions: LoopSuspicions = field(default_factory=LoopSuspicions)
    """What other looks at the model found."""

    device: str = "auto"


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """Where a loop stands: what was accepted so far."""

    constitution: Constitution
    model: Path
    identity: str
    """Of the model, so that a base that changed meanwhile is noticed."""

    data: Sequence[Exchange]


@dataclass(frozen=True, kw_only=True)
class LoopPrompts:
    """Prompts by what they are for; no paraphrase family both finds and proves."""

    teach: Sequence[Prompt]
    """Replies to learn from are drawn for these."""

    find: Sequence[Prompt]
    """Findings are made on these."""

    prove: Sequence[Prompt]
    """Remedies are judged on these alone."""


def part_prompts(prompts: Sequence[Prompt], settings: LoopSettings) -> LoopPrompts:
    """Part prompts into those that teach, find and prove.

    No prompt is in two of them, and no paraphrase family both finds and proves.

    Args:
        prompts: Those held out find and prove, half and half; of the others two thirds teach, and
            one third proves too: what stood in training shows a fault most. With none of either
            sort, all are parted in three.
        settings: How many of each are used, each kind of request equally often.

    Raises:
        DataError: There are too few.
    """
    families = dict(zip((each.id for each in prompts), families_of(prompts), strict=True))
    mixed = len({each.held_out for each in prompts}) < 2
    sides: dict[str, list[Prompt]] = {"find": [], "prove": [], "teach": []}
    for each in prompts:
        proves = derive_seed(settings.seed, "half", families[each.id]) % 2
        third = derive_seed(settings.seed, "third", families[each.id]) % 3
        tests = third > 0 if mixed else each.held_out
        if tests:
            sides["prove" if proves else "find"].append(each)
        else:
            sides["prove" if proves and third > 0 and not mixed else "teach"].append(each)
    tested = {each.dialogue for side in ("find", "prove") for each in sides[side]}
    others = [each for each in sides["teach"] if each.dialogue not in tested]
    find, prove = (
        evenly(sides[name], settings.most_asked, settings.seed) for name in ("find", "prove")
    )
    if min(len(find), len(prove), len(others)) < LEAST:
        raise DataError(
            f"expected at least {LEAST} prompts each to find faults, to prove remedies and to "
            f"learn from, got {len(find)}, {len(prove)} and {len(others)} that differ; give more"
        )
    return LoopPrompts(
        teach=evenly(others, settings.most_taught, settings.seed), find=find, prove=prove
    )


def families_of(prompts: Sequence[Prompt]) -> list[str]:
    """What the paraphrases of each prompt share: its kind, and the words that are its own.

    Words that stand in many prompts of a kind are how it is asked; the others are what is asked
    about.
    """
    words = [_words(each.dialogue) for each in prompts]
    kinds = Counter(each.kind for each in prompts)
    common = Counter(
        (each.kind, word) for each, own in zip(prompts, words, strict=True) for word in own
    )
    found = []
    for each, own in zip(prompts, words, strict=True):
        rare = [one for one in own if common[each.kind, one] < COMMON * kinds[each.kind]]
        found.append(" ".join([each.kind, *sorted(rare or own)]))
    return found


def nearest(options: Sequence[Dialogue], to: Sequence[Dialogue], most: int) -> list[int]:
    """Places of the dialogues that share most of their words with any of some others.

    Args:
        options: Dialogues to choose from.
        to: What they are held against.
        most: How many are wanted.
    """
    targets = [_words(each) for each in to]

    def likeness(dialogue: Dialogue) -> float:
        own = _words(dialogue)
        return max((len(own & one) / len(own | one) for one in targets if own | one), default=0.0)

    scores = [likeness(each) for each in options]
    return sorted(range(len(options)), key=lambda at: -scores[at])[:most]


def _words(dialogue: Dialogue) -> frozenset[str]:
    return frozenset(_WORD.findall(dialogue[-1].content.lower()))


def evenly(prompts: Sequence[Prompt], most: int, seed: int) -> list[Prompt]:
    """At most so many prompts, each kind as often as it can be, in their old order."""
    if len(prompts) <= most:
        return list(prompts)
    kinds: dict[tuple[str, str], list[int]] = {}
    order = np.random.default_rng(derive_seed(seed, "evenly")).permutation(len(prompts))
    for place in order.tolist():
        kinds.setdefault((prompts[place].group, prompts[place].kind), []).append(place)
    chosen: list[int] = []
    rank = 0
    while len(chosen) < most:
        chosen += [places[rank] for places in kinds.values() if rank < len(places)]
        rank += 1
    return [prompts[place] for place in sorted(chosen[:most])]
