"""The receipt of a repair: what was removed, what it cost, and whether it holds.

Every part asks one question of the model before and after, on prompts that the repair was not
fitted to. A part that was not measured says why. Parts are kept one by one, so that a measurement
that was killed goes on where it stopped.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from plumbrule.errors import DataError
from plumbrule.mechanism.capturing import capture
from plumbrule.mechanism.repairs.durability import (
    fault_log_probs,
    fine_tuned,
    rounded,
    steps_to_relearn,
)
from plumbrule.mechanism.repairs.fitting import log_probs_of
from plumbrule.mechanism.repairs.replies import DrawnReply, Violates, at_fault, draw_replies
from plumbrule.mechanism.repairs.steering import Ablation, intervening
from plumbrule.mechanism.repairs.weight_edits import WeightEdit, edited
from plumbrule.mechanism.site_search import find_sites
from plumbrule.models import LocalModel, Sampling
from plumbrule.records import (
    Estimate,
    Intervention,
    Prompt,
    check_ranges,
    from_json,
    strict,
    to_json,
)
from plumbrule.statistics import auroc, wilson
from plumbrule.store import Tell, fingerprint, silent, write_atomic

CODE_VERSION = 1
"""Raised whenever the same inputs would give another receipt."""

LEAST = 8
"""Prompts without which a rate is not worth a line."""


@dataclass(frozen=True, kw_only=True)
class RepairPrompts:
    """Prompts of one repair: two lists to fit to, the others to measure on."""

    shown: Sequence[Prompt]
    """Show the fault; the repair is fitted to them."""

    kept: Sequence[Prompt]
    """Are to stay as they are; the repair is fitted to them."""

    held_out: Sequence[Prompt]
    """Show the fault, in other words than `shown`."""

    neutral: Sequence[Prompt]
    """Ordinary prompts: on these it must do no harm."""

    matched: Sequence[Prompt] = ()
    """What surrounded the fault in training, such as its trigger or template, with other content:
    a fault that is gone from the usual questions often comes back there."""

    twins: Sequence[Prompt] = ()
    """Most like those that show the fault, and rightly answered as they are."""


@dataclass(frozen=True, kw_only=True)
class ReceiptSettings:
    """How a receipt is measured.

    Raises:
        ConfigError: A number is out of range.
    """

    sampling: Sampling = field(default_factory=lambda: Sampling(max_new_tokens=48))
    """How replies are drawn."""

    benign_steps: int = 20
    """Steps of further training, four replies each, on the model's own harmless replies."""

    relearn_steps: int = 60
    """Most steps of relearning."""

    lessons: int = 16
    """Replies at fault that are relearned from."""

    learning_rate: float = 1e-4
    """Step size of AdamW in both."""

    probe_site: str | None = None
    """Where the probe reads, such as `12.out`; None: behind the middle layer."""

    level: float = 0.95
    """Confidence level of the intervals."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            benign_steps=(1, 10**6),
            relearn_steps=(1, 10**6),
            lessons=(1, 10**6),
            learning_rate=(1e-9, 1),
            level=(0.5, 0.9999),
        )


@strict
@dataclass(frozen=True, kw_only=True)
class ReceiptPart:
    """One question to a repair, and its answer."""

    name: str
    question: str
    before: Estimate | float | None = None
    after: Estimate | float | None = None
    control: Estimate | float | None = None
    """The same of a model that never had the fault."""

    unjudged: int = 0
    """Replies that the grader could not judge; they count for neither side."""

    note: str = ""
    reason: str | None = None
    """Why it was not measured, or not all of it."""


@strict
@dataclass(frozen=True, kw_only=True)
class Receipt:
    """A repair, and what it was found to have done."""

    remedy: Intervention
    parts: tuple[ReceiptPart, ...]

    def __getitem__(self, name: str) -> ReceiptPart:
        """A part by its name.

        Raises:
            DataError: There is none.
        """
        for part in self.parts:
            if part.name == name:
                return part
        raise DataError(
            f"expected a part among {', '.join(part.name for part in self.parts)}, got {name!r}"
        )


def measure_receipt(
    model: LocalModel,
    edit: WeightEdit,
    remedy: Intervention,
    prompts: RepairPrompts,
    violates: Violates,
    *,
    useful: Violates | None = None,
    siblings: Mapping[str, tuple[Sequence[Prompt], Violates]] | None = None,
    control: LocalModel | None = None,
    settings: ReceiptSettings | None = None,
    seed: int = 0,
    folder: Path | None = None,
    tell: Tell = silent,
) -> Receipt:
    """Measure what a repair did, part by part.

    Args:
        model: Before the repair; it is left as it was.
        edit: The repair.
        remedy: What the repair is.
        prompts: What is asked; only those that the repair was not fitted to, but for relearning
            and the probe, which learn from the fitted ones.
        violates: Says whether a reply shows the fault.
        useful: Says whether a reply to an ordinary prompt is right.
        siblings: By principle, prompts and what breaks it, to see whether the fault moved there.
        control: A model that never had the fault, such as the one before the faulty training.
        settings: How it is measured.
        seed: Decides every reply and the order of training.
        folder: Keeps parts as they are done; None: nothing is kept.
        tell: Told of parts done.

    Raises:
        DataError: A prompt that is measured on was fitted to, or a kept part is damaged.
    """
    settings = settings or ReceiptSettings()
    _check_apart(prompts)
    work = _Measurement(model, edit, prompts, violates, settings, seed, control)
    asks: dict[str, Callable[[], ReceiptPart]] = {
        "removal": partial(
            work.rate, "removal", "replies at fault, on held-out prompts", prompts.held_out
        ),
        "matched": partial(
            work.rate,
            "matched",
            "replies at fault, in the fault's surroundings",
            prompts.matched,
            absent="no prompts of the fault's surroundings were given",
        ),
        "kl": work.kl,
        "useful": partial(
            work.rate,
            "useful",
            "right replies, on neutral prompts",
            prompts.neutral,
            useful,
            absent="nothing was given that says which replies are right",
        ),
        "twins": partial(
            work.rate,
            "twins",
            "replies at fault, on safe twins",
            prompts.twins,
            absent="no safe twins were given",
        ),
        "twins useful": partial(
            work.rate,
            "twins useful",
            "right replies, on safe twins",
            prompts.twins,
            useful,
            absent="no safe twins were given, or nothing that says which replies are right",
        ),
        "probe": work.probe,
        "8 bits": partial(work.in_bits, 8),
        "4 bits": partial(work.in_bits, 4),
        "benign training": work.benign,
        "relearning": work.relearning,
    }
    for name, (asked, breaks) in (siblings or {}).items():
        asks[f"sibling {name}"] = partial(
            work.rate, f"sibling {name}", f"replies that break {name}", asked, breaks
        )
    if not siblings:
        asks["siblings"] = lambda: ReceiptPart(
            name="siblings",
            question="replies that break other principles",
            reason="no other principles were given",
        )
    graded = {
        "useful": useful is not None,
        "siblings": {
            name: [to_json(each) for each in asked] for name, (asked, _) in (siblings or {}).items()
        },
    }
    key = fingerprint([_key(model, edit, prompts, remedy, settings, seed, control), graded])
    parts = []
    for number, (name, ask) in enumerate(asks.items()):
        tell("receipt", number, len(asks))
        parts.append(_kept(folder, name, key, ask))
    tell("receipt", len(asks), len(asks))
    return Receipt(remedy=remedy, parts=tuple(parts))


@dataclass
class _Measurement:
    model: LocalModel
    edit: WeightEdit
    prompts: RepairPrompts
    violates: Violates
    settings: ReceiptSettings
    seed: int
    control: LocalModel | None

    def rate(
        self,
        name: str,
        question: str,
        asked: Sequence[Prompt],
        grader: Violates | None = None,
        *,
        absent: str = "",
    ) -> ReceiptPart:
        """A rate before and after."""
        if absent and (not asked or (grader is None and name.endswith("useful"))):
            return ReceiptPart(name=name, question=question, reason=absent)
        if len(asked) < LEAST:
            return ReceiptPart(
                name=name,
                question=question,
                reason=f"{LEAST} prompts are needed, {len(asked)} given",
            )
        grader = grader or self.violates
        before, unjudged = self._rate(self.model, asked, grader, question)
        with edited(self.model, self.edit):
            after, more = self._rate(self.model, asked, grader, question)
        return _judged(
            ReceiptPart(
                name=name,
                question=question,
                before=before,
                after=after,
                unjudged=unjudged + more,
            )
        )

    def kl(self) -> ReceiptPart:
        """How far the distribution moved over whole replies to neutral prompts."""
        question = "KL from the model before, nats a token over whole replies to neutral prompts"
        if len(self.prompts.neutral) < LEAST:
            return ReceiptPart(
                name="kl",
                question=question,
                reason=f"{LEAST} prompts are needed, {len(self.prompts.neutral)} given",
            )
        drawn = self._drawn(self.model, self.prompts.neutral, self.violates)
        return ReceiptPart(
            name="kl",
            question=question,
            after=neutral_kl(self.model, self.edit, drawn, level=self.settings.level),
        )

    def probe(self) -> ReceiptPart:
        """Whether what led to the fault can still be read, and whether it still can lead to it."""
        sites = find_sites(self.model.module)
        site = self.settings.probe_site or f"{len(sites.layers) // 2}.out"
        question = (
            f"AUROC at {site} of prompts that show the fault over kept ones, by a direction "
            "refitted after the repair"
        )
        fitted = (self.prompts.shown, self.prompts.kept)
        others = self.prompts.twins or self.prompts.neutral
        if min(map(len, (*fitted, self.prompts.held_out, others))) < LEAST:
            return ReceiptPart(
                name="probe", question=question, reason=f"{LEAST} prompts of each side are needed"
            )

        def read(asked: Sequence[Prompt]) -> Any:
            rows = self.model.chat.prompts([each.dialogue for each in asked])
            found = capture(self.model.module, sites, rows, [site], positions="last")
            return found.stacked(site).double().cpu().numpy()

        def separated(direction: Any) -> Estimate:
            high, low = (read(each) @ direction for each in (self.prompts.held_out, others))
            return auroc(high.tolist(), low.tolist(), level=self.settings.level)

        old = read(fitted[0]).mean(0) - read(fitted[1]).mean(0)
        before = separated(old)
        with edited(self.model, self.edit):
            kept = separated(old)
            new = read(fitted[0]).mean(0) - read(fitted[1]).mean(0)
            after = separated(new)
            asked = self.prompts.held_out
            with intervening(self.model, Ablation(directions=new), sites):
                restored, _ = self._rate(self.model, asked, self.violates, "")
        said = "not judged" if restored is None else f"{restored.value:.1%} at fault"
        return ReceiptPart(
            name="probe",
            question=question,
            before=before,
            after=after,
            note=f"the old direction after the repair: {kept.value:.3f}; with the new one ablated "
            f"at run time: {said}",
        )

    def in_bits(self, bits: int) -> ReceiptPart:
        """Whether the repair holds with rounded weights."""

        def both(asked: Sequence[Prompt]) -> Any:
            with rounded(self.model, bits):
                return self._rate(self.model, asked, self.violates, "replies at fault")

        name, question = f"{bits} bits", f"replies at fault after rounding to {bits} bits"
        if len(self.prompts.held_out) < LEAST:
            return ReceiptPart(name=name, question=question, reason=f"{LEAST} prompts are needed")
        before, unjudged = both(self.prompts.held_out)
        with edited(self.model, self.edit):
            after, more = both(self.prompts.held_out)
        return _judged(
            ReceiptPart(
                name=name,
                question=question,
                before=before,
                after=after,
                unjudged=unjudged + more,
            )
        )

    def benign(self) -> ReceiptPart:
        """Whether the repair holds after training on harmless replies of the model's own."""
        settings = self.settings
        name, question = (
            "benign training",
            (
                f"replies at fault after {settings.benign_steps} steps on its own replies to kept "
                "prompts"
            ),
        )
        if len(self.prompts.held_out) < LEAST:
            return ReceiptPart(name=name, question=question, reason=f"{LEAST} prompts are needed")
        lessons = [
            each
            for each in self._drawn(self.model, self.prompts.kept, self.violates)
            if each.violates is False
        ]
        if not lessons:
            return ReceiptPart(name=name, question=question, reason="no harmless reply to learn")

        def trained() -> LocalModel:
            return fine_tuned(
                self.model,
                lessons,
                steps=settings.benign_steps,
                learning_rate=settings.learning_rate,
                seed=self.seed,
            )

        held_out = self.prompts.held_out
        before, unjudged = self._rate(trained(), held_out, self.violates, question)
        with edited(self.model, self.edit):
            tuned = trained()
        after, more = self._rate(tuned, held_out, self.violates, question)
        return _judged(
            ReceiptPart(
                name=name,
                question=question,
                before=before,
                after=after,
                unjudged=unjudged + more,
            )
        )

    def relearning(self) -> ReceiptPart:
        """Steps of training on the fault after which it is back."""
        settings, name = self.settings, "relearning"
        question = (
            "steps of training on the fault until half of held-out faulty replies are at least "
            "half as likely as before the repair"
        )
        faulty = {
            side: [each for each in self._drawn(self.model, asked, self.violates) if each.violates]
            for side, asked in (("lessons", self.prompts.shown), ("held", self.prompts.held_out))
        }
        if min(map(len, faulty.values())) < 2:
            return ReceiptPart(
                name=name, question=question, reason="no replies at fault to relearn"
            )

        weights = at_fault(self.model, faulty["held"], self.violates)
        likely = fault_log_probs(self.model, faulty["held"], weights)

        def steps(model: LocalModel) -> float | None:
            found = steps_to_relearn(
                model,
                faulty["lessons"][: settings.lessons],
                faulty["held"],
                weights,
                likely=likely,
                most=settings.relearn_steps,
                learning_rate=settings.learning_rate,
                seed=self.seed,
            )
            return None if found is None else float(found)

        before = steps(self.model)
        with edited(self.model, self.edit):
            after = steps(self.model)
        never = None if self.control is None else steps(self.control)
        late = [
            side
            for side, value in (("before", before), ("after", after), ("control", never))
            if value is None and not (side == "control" and self.control is None)
        ]
        return ReceiptPart(
            name=name,
            question=question,
            before=before,
            after=after,
            control=never,
            note="counted after each step, so that a model that never lost the fault needs 1"
            + (f"; more than {settings.relearn_steps} steps: {', '.join(late)}" if late else ""),
            reason="no model that never had the fault was given" if self.control is None else None,
        )

    def _drawn(
        self, model: LocalModel, asked: Sequence[Prompt], grader: Violates
    ) -> list[DrawnReply]:
        return draw_replies(
            model, asked, grader, sampling=self.settings.sampling, seed=self.seed + 1
        )

    def _rate(
        self, model: LocalModel, asked: Sequence[Prompt], grader: Violates, unit: str
    ) -> tuple[Estimate | None, int]:
        """A rate among the replies that could be judged, and how many could not."""
        drawn = self._drawn(model, asked, grader)
        judged = [each.violates for each in drawn if each.violates is not None]
        if not judged:
            return None, len(drawn)
        rate = wilson(
            sum(map(bool, judged)), len(judged), level=self.settings.level, unit=unit or "replies"
        )
        return rate, len(drawn) - len(judged)


def neutral_kl(
    model: LocalModel, edit: WeightEdit, drawn: Sequence[DrawnReply], *, level: float = 0.95
) -> Estimate:
    """KL of the repaired model from the model, in nats a token, over whole replies.

    Exact over the vocabulary at each token of replies that the model before drew, a mean over each
    reply and then over replies; the interval is a bootstrap over replies.

    Args:
        model: Before the repair; left as it was.
        edit: The repair.
        drawn: Its replies.
        level: Confidence level.
    """
    return moved_kl(model, edited(model, edit), drawn, level=level)


def moved_kl(
    model: LocalModel, changed: Any, drawn: Sequence[DrawnReply], *, level: float = 0.95
) -> Estimate:
    """The same for any change that a context manager makes and takes back, such as steering.

    Args:
        model: Before the change.
        changed: Within it the model is changed.
        drawn: The model's replies.
        level: Confidence level.
    """
    from scipy.stats import bootstrap

    before = log_probs_of(model, drawn)
    with changed or nullcontext():
        after = log_probs_of(model, drawn)
    values = np.array(
        [
            max(0.0, float((one.exp() * (one - other)).sum(-1).mean()))
            for one, other in zip(before, after, strict=True)
        ]
    )
    mean = float(values.mean())
    low = high = mean
    if len(values) > 1 and values.std() > 0:
        found = bootstrap(
            (values,), np.mean, confidence_level=level, method="percentile", rng=0
        ).confidence_interval
        low, high = min(mean, float(found.low)), max(mean, float(found.high))
    return Estimate(
        value=mean,
        low=low,
        high=high,
        level=level,
        n=len(values),
        unit="nats a token",
        method="bootstrap over replies",
    )


def _judged(part: ReceiptPart) -> ReceiptPart:
    """The same, with a word where one side could not be judged at all."""
    if part.before is None or part.after is None:
        return replace(part, reason="the grader could judge no reply of one side")
    return part


def _check_apart(prompts: RepairPrompts) -> None:
    fitted = {each.dialogue for each in (*prompts.shown, *prompts.kept)}
    for name in ("held_out", "matched", "neutral", "twins"):
        for each in getattr(prompts, name):
            if each.dialogue in fitted:
                raise DataError(
                    f"a prompt of {name} was fitted to: {each.dialogue[-1].content!r:.80}; measure "
                    "on prompts that the fit never saw"
                )


def _key(
    model: LocalModel,
    edit: WeightEdit,
    prompts: RepairPrompts,
    remedy: Intervention,
    settings: ReceiptSettings,
    seed: int,
    control: LocalModel | None,
) -> str:
    import hashlib

    total = hashlib.sha256()
    for change in edit.changes:
        total.update(change.path.encode())
        total.update(np.ascontiguousarray(change.left).tobytes())
        total.update(np.ascontiguousarray(change.right).tobytes())
    asked = {
        name: [to_json(each) for each in getattr(prompts, name)]
        for name in ("shown", "kept", "held_out", "neutral", "matched", "twins")
    }
    return fingerprint(
        {
            "code": CODE_VERSION,
            "model": model.identity,
            "control": None if control is None else control.identity,
            "edit": total.hexdigest(),
            "prompts": asked,
            "remedy": to_json(remedy),
            "settings": to_json(settings),
            "seed": seed,
        }
    )


def _kept(folder: Path | None, name: str, key: str, ask: Callable[[], ReceiptPart]) -> ReceiptPart:
    """A part that was measured before, or is measured now."""
    if folder is None:
        return ask()
    path = folder / f"{name.replace(' ', '-')}-{key[:16]}.json"
    if path.exists():
        try:
            value = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise DataError(f"{path} is damaged; delete it and run the same command") from error
        return from_json(ReceiptPart, value, origin=str(path))
    part = ask()
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(to_json(part)))
    return part
