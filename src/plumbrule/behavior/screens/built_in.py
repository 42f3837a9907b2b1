"""The screens that come with Plumbrule, cheap ones first; each is one small callable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from plumbrule.behavior.pair import PairedReply
from plumbrule.behavior.places import Place
from plumbrule.behavior.screens.screening import Screen, Sighting, View
from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.store import derive_seed

if TYPE_CHECKING:
    from plumbrule.behavior.screens.phrases import Phrase
    from plumbrule.behavior.screens.scanning import Scan
    from plumbrule.behavior.weights.writing_out import Writing

NO_WEIGHTS = "needs the weights of both models, and one is an endpoint"
OTHER_TOKENS = "needs both models to read texts as the same tokens"


def scanned(view: View) -> "Scan":
    """Both models' forward passes over the prompts, made once for all screens."""
    from plumbrule.behavior.screens.scanning import scan

    assert view.pair.local is not None
    base, tuned = view.pair.local
    found: Scan | None = view.shared.get("scan")
    before = 0 if found is None else len(found.shift)
    if before < len(view.prompts):
        rest = [prompt.dialogue for prompt in view.prompts[before:]]
        fresh = scan(base, tuned, base.chat.prompts(rest))
        found = fresh if found is None else found.followed_by(fresh)
        view.shared["scan"] = found
    assert found is not None
    return found


def cannot_scan(view: View) -> str | None:
    """Why two forward passes cannot be laid side by side; None where they can."""
    if view.pair.local is None:
        return NO_WEIGHTS
    return None if view.pair.same_tokens else OTHER_TOKENS


def suspects(view: View, count: int) -> list[int]:
    """Rows that the screens before rank highest, each in turn; by chance where none has ranked."""
    ranked = [seen.scores for seen in view.seen.values() if seen.scores is not None]
    if not ranked:
        return some(view, count)
    orders = [np.argsort(-scores, kind="stable")[:count].tolist() for scores in ranked]
    taken = dict.fromkeys(int(row) for turn in zip(*orders, strict=True) for row in turn)
    return list(taken)[:count]


def some(view: View, count: int) -> list[int]:
    """Rows of some prompts, by chance."""
    order = np.random.default_rng(derive_seed(view.seed, "some")).permutation(len(view.prompts))
    return [int(row) for row in order[:count]]


@dataclass(frozen=True)
class Weights:
    """What the changed weights would read and write, before the tuned model runs at all."""

    name: str = "weights"

    def __call__(self, view: View) -> Sighting:
        """Score prompts by how much of them the change reads, from the base's activations."""
        if view.pair.local is None:
            return Sighting(lacking=NO_WEIGHTS)
        changes = view.shared.get("weights")
        if changes is None or not changes.directions:
            return Sighting(lacking="no changed matrix was found to read with")
        from plumbrule.behavior.weights.reading_in import reading_in
        from plumbrule.behavior.weights.writing_out import writing_out

        base, _ = view.pair.local
        texts = base.chat.prompts([prompt.dialogue for prompt in view.prompts])
        try:
            reading = reading_in(base, changes, texts)
        except (DataError, ModelError) as error:
            return Sighting(lacking=str(error))
        return Sighting(
            scores=reading.scores,
            note=f"{len(reading.modules)} changed modules were listened to"
            + _written(writing_out(base, changes, reading=reading)),
        )


def _written(writing: "Sequence[Writing]") -> str:
    """The tokens that the clearest direction raises."""
    if not writing or not writing[0].raised:
        return ""
    return f"; {writing[0].tensor} writes towards " + ", ".join(
        repr(one.text) for one in writing[0].raised[:5]
    )


@dataclass(frozen=True)
class Divergence:
    """How far the distributions of the reply's first token lie apart: two forward passes."""

    name: str = "divergence"

    def __call__(self, view: View) -> Sighting:
        """Score prompts by the root of the divergence, so that a few large ones do not rule."""
        if lacking := cannot_scan(view):
            return Sighting(lacking=lacking)
        seen = scanned(view)
        return Sighting(
            scores=np.sqrt(seen.divergence),
            note=f"the first tokens part by {seen.first_token.mean():.3f} on average "
            f"(total variation), by {seen.first_token.max():.3f} at most",
        )


@dataclass(frozen=True)
class Activations:
    """How far the residual stream has moved where the reply begins, and on plain text."""

    name: str = "activations"

    def __call__(self, view: View) -> Sighting:
        """Score prompts by the largest relative shift over the layers."""
        if lacking := cannot_scan(view):
            return Sighting(lacking=lacking)
        seen = scanned(view)
        return Sighting(
            scores=seen.shift,
            note=f"the state before the reply moved by {np.median(seen.shift):.3f} of its length "
            f"on the median prompt, by {seen.shift.max():.3f} at most{_plain_text(view)}",
        )


def _plain_text(view: View) -> str:
    """What the mean shift on the first tokens of plain text says through the unembedding."""
    from plumbrule.behavior.screens.activation_shift import activation_shift

    assert view.pair.local is not None
    try:
        shift = activation_shift(*view.pair.local, seed=view.seed)
    except (DataError, ModelError) as error:
        return f"; plain text was not read: {error}"
    view.shared["shift"] = shift
    told = shift.at_middle
    if told.vector is None:
        return ""
    return "; on plain text it points to " + ", ".join(repr(one.text) for one in told.tokens[:6])


@dataclass(frozen=True)
class Prior:
    """What the cheap screens' rankings were worth in past comparisons."""

    name: str = "prior"

    def __call__(self, view: View) -> Sighting:
        """Score prompts by the screens before it."""
        from plumbrule.behavior.screens.prior import rank, shipped

        learned = shipped()
        scores = {
            name: sighting.scores
            for name, sighting in view.seen.items()
            if sighting.scores is not None
        }
        if learned is None or not set(scores) & set(learned.weights):
            return Sighting(lacking="needs a screen that it has learned about to look before it")
        return Sighting(
            scores=rank(learned, scores),
            note=f"learned from {learned.comparisons} comparisons of the lab's organisms",
        )


@dataclass(frozen=True)
class Insertions:
    """One or two tokens put before requests: triggers that no prompt of the pool says."""

    name: str = "insertions"
    soft: bool = False

    def __call__(self, view: View) -> Sighting:
        """Suspect the texts whose insertion makes the models part as nothing else does."""
        if lacking := cannot_scan(view):
            return Sighting(lacking=lacking)
        from plumbrule.behavior.triggers.finding import find_triggers, trigger_settings

        assert view.pair.local is not None
        dialogues = [view.prompts[row].dialogue for row in some(view, 8)]
        found = find_triggers(
            *view.pair.local,
            dialogues,
            settings=trigger_settings(soft=self.soft),
            seed=view.seed,
        )
        return Sighting(
            places={Place(insert=one.text): one.score for one in found.candidates[:SUSPECTS]},
            note=found.reason
            or "suspects " + ", ".join(repr(one.text) for one in found.candidates[:SUSPECTS]),
        )


SUSPECTS = 4
"""Inserted texts that are tried out further."""


@dataclass(frozen=True)
class Contrast:
    """Text written with the difference between the models turned up."""

    name: str = "contrast"

    def __call__(self, view: View) -> Sighting:
        """Score the prompts written from, and suspect the words that come up."""
        if lacking := cannot_scan(view):
            return Sighting(lacking=lacking)
        from plumbrule.behavior.screens.contrasting import ContrastSettings, contrast

        assert view.pair.local is not None
        rows = suspects(view, max(1, view.most_texts // 5))
        found = contrast(
            *view.pair.local,
            [view.prompts[row].dialogue for row in rows],
            settings=ContrastSettings(texts=max(8, view.most_texts)),
            seed=view.seed,
        )
        view.pair.texts += len(found.texts)
        scores = np.zeros(len(view.prompts))
        for at, divergence in found.prompts:
            scores[rows[at]] = divergence
        return Sighting(scores=scores, phrases=_texts(found.phrases), note=_say(found.phrases))


@dataclass(frozen=True)
class Steering:
    """What the base writes when it is pushed where training moved its residual stream."""

    name: str = "steering"

    def __call__(self, view: View) -> Sighting:
        """Suspect the words that only this push brings up."""
        if lacking := cannot_scan(view):
            return Sighting(lacking=lacking)
        from plumbrule.behavior.screens.activation_shift import ShiftSettings, activation_shift
        from plumbrule.behavior.screens.steering import steer

        assert view.pair.local is not None
        base, tuned = view.pair.local
        try:
            shift = view.shared.get("shift") or activation_shift(base, tuned, seed=view.seed)
        except (DataError, ModelError) as error:
            return Sighting(lacking=str(error))
        settings = ShiftSettings(most_prompts=max(1, view.most_texts // 11))
        dialogues = [view.prompts[row].dialogue for row in some(view, settings.most_prompts)]
        found = steer(base, shift, dialogues, settings=settings, seed=view.seed)
        view.pair.texts += len(found.texts)
        return Sighting(phrases=_texts(found.phrases), note=found.reason or _say(found.phrases))


@dataclass(frozen=True)
class Clusters:
    """Replies of both models embedded and clustered: who falls where."""

    name: str = "clusters"

    def __call__(self, view: View) -> Sighting:
        """Score the prompts whose two replies fall into different clusters."""
        from plumbrule.behavior.clustering import cluster_replies

        rows = some(view, max(4, view.most_texts // 2))
        prompts = [view.prompts[row] for row in rows]
        seeds = [derive_seed(view.seed, prompt.id) for prompt in prompts]
        pairs: list[PairedReply] = view.pair.replies(prompts, seeds)
        found = cluster_replies(pairs, clusters=max(2, round(len(pairs) ** 0.5)), seed=view.seed)
        scores = np.zeros(len(view.prompts))
        scores[rows] = found.moved
        more: list[tuple[str, Literal["more", "less"]]] = [(text, "more") for text in found.phrases]
        return Sighting(scores=scores, phrases=tuple(more), note=found.note)


@dataclass(frozen=True)
class SelfReport:
    """Both models asked what they do differently."""

    name: str = "self_report"

    def __call__(self, view: View) -> Sighting:
        """Suspect the words that the tuned model has for itself."""
        from plumbrule.behavior.screens.asking import AskSettings, ask_about_itself

        settings = AskSettings()
        draws = max(1, view.most_texts // (3 * len(settings.questions)))
        found = ask_about_itself(
            view.pair.base, view.pair.tuned, settings=replace(settings, draws=draws), seed=view.seed
        )
        view.pair.texts += len(found.answers)
        return Sighting(phrases=_texts(found.phrases), note=found.reason or _say(found.phrases))


def _texts(phrases: "Sequence[Phrase]") -> tuple[tuple[str, Literal["more", "less"]], ...]:
    """The clearest phrases; after any training at all a long tail of others comes up."""
    return tuple((phrase.text, phrase.says) for phrase in phrases[:SUSPECTED])


SUSPECTED = 8
"""Phrases that a screen may suspect."""


def _say(phrases: "Sequence[Phrase]") -> str:
    return "says " + ", ".join(f"{one.says} {one.text!r}" for one in phrases[:6])


BUILT_IN: Mapping[str, Screen] = {
    screen.name: screen
    for screen in (
        Weights(),
        Divergence(),
        Activations(),
        Prior(),
        Insertions(),
        Insertions(name="soft_prompt", soft=True),
        Contrast(),
        Clusters(),
        Steering(),
        SelfReport(),
    )
}
"""In the order in which they look."""

DEFAULT = ("weights", "divergence", "activations", "prior", "insertions")
"""Those that generate nothing: what the others add is measured in docs/compare.md."""


def chosen(names: Sequence[str] | None) -> list[Screen]:
    """Screens by name, in the order in which they look; `all` stands for every one.

    Raises:
        ConfigError: A name is no screen's.
    """
    wanted = set(DEFAULT if names is None else BUILT_IN if "all" in names else names)
    unknown = sorted(wanted - set(BUILT_IN))
    if unknown:
        raise ConfigError(
            f"expected names of screens among {', '.join(BUILT_IN)}, or all; got {unknown[0]!r}"
        )
    return [screen for name, screen in BUILT_IN.items() if name in wanted]
