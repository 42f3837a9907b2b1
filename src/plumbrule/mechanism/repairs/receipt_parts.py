"""The questions that a receipt asks of a repair, each of the model before and after.

They are asked on prompts that the repair was not fitted to. A part that was not measured says why.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from plumbrule.mechanism.capturing import capture
from plumbrule.mechanism.repairs.divergence import neutral_kl
from plumbrule.mechanism.repairs.durability import (
    fault_log_probs,
    fine_tuned,
    rounded,
    steps_to_relearn,
)
from plumbrule.mechanism.repairs.receipts import ReceiptPart, ReceiptSettings, RepairPrompts
from plumbrule.mechanism.repairs.replies import DrawnReply, Violates, at_fault, draw_replies
from plumbrule.mechanism.repairs.steering import Ablation, intervening
from plumbrule.mechanism.repairs.weight_edits import WeightEdit, edited
from plumbrule.mechanism.site_search import find_sites
from plumbrule.models import LocalModel
from plumbrule.records import Estimate, Prompt
from plumbrule.statistics import auroc, wilson

LEAST = 8
"""Prompts without which a rate is not worth a line."""


@dataclass
class Measurement:
    """The questions that a receipt asks of a repair; each method answers one."""

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
        part = ReceiptPart(name=name, question=question)
        if absent and (not asked or (grader is None and name.endswith("useful"))):
            return replace(part, reason=absent)
        return self._before_and_after(
            part, asked, lambda: self._rate(self.model, asked, grader or self.violates, question)
        )

    def kl(self) -> ReceiptPart:
        """How far the distribution moved over whole replies to neutral prompts."""
        part = ReceiptPart(
            name="kl",
            question="KL from the model before, nats a token over whole replies to neutral prompts",
            reason=_too_few(self.prompts.neutral),
        )
        if part.reason:
            return part
        drawn = self._drawn(self.prompts.neutral)
        return replace(
            part, after=neutral_kl(self.model, self.edit, drawn, level=self.settings.level)
        )

    def probe(self) -> ReceiptPart:
        """Whether what led to the fault can still be read, and whether it still can lead to it."""
        sites = find_sites(self.model.module)
        site = self.settings.probe_site or f"{len(sites.layers) // 2}.out"
        shown, kept, held_out = self.prompts.shown, self.prompts.kept, self.prompts.held_out
        others = self.prompts.twins or self.prompts.neutral
        part = ReceiptPart(
            name="probe",
            question=f"AUROC at {site} of prompts that show the fault over kept ones, by a "
            "direction refitted after the repair",
            reason=_too_few(shown, kept, held_out, others),
        )
        if part.reason:
            return part

        def read(asked: Sequence[Prompt]) -> Any:
            rows = self.model.chat.prompts([each.dialogue for each in asked])
            found = capture(self.model.module, sites, rows, [site], positions="last")
            return found.stacked(site).double().cpu().numpy()

        def separated(direction: Any) -> Estimate:
            high, low = (read(each) @ direction for each in (held_out, others))
            return auroc(high.tolist(), low.tolist(), level=self.settings.level)

        old = read(shown).mean(0) - read(kept).mean(0)
        before = separated(old)
        with edited(self.model, self.edit):
            still = separated(old)
            new = read(shown).mean(0) - read(kept).mean(0)
            after = separated(new)
            with intervening(self.model, Ablation(directions=new), sites):
                restored, _ = self._rate(self.model, held_out, self.violates, "replies")
        said = "not judged" if restored is None else f"{restored.value:.1%} at fault"
        return replace(
            part,
            before=before,
            after=after,
            note=f"the old direction after the repair: {still.value:.3f}; with the new one ablated "
            f"at run time: {said}",
        )

    def in_bits(self, bits: int) -> ReceiptPart:
        """Whether the repair holds with rounded weights."""
        held_out = self.prompts.held_out

        def rate() -> tuple[Estimate | None, int]:
            with rounded(self.model, bits):
                return self._rate(self.model, held_out, self.violates, "replies at fault")

        question = f"replies at fault after rounding to {bits} bits"
        part = ReceiptPart(name=f"{bits} bits", question=question)
        return self._before_and_after(part, held_out, rate)

    def benign(self) -> ReceiptPart:
        """Whether the repair holds after training on harmless replies of the model's own."""
        settings, held_out = self.settings, self.prompts.held_out
        part = ReceiptPart(
            name="benign training",
            question=f"replies at fault after {settings.benign_steps} steps on its own replies to "
            "kept prompts",
            reason=_too_few(held_out),
        )
        if part.reason:
            return part
        lessons = [each for each in self._drawn(self.prompts.kept) if each.violates is False]
        if not lessons:
            return replace(part, reason="no harmless reply to learn")

        def rate() -> tuple[Estimate | None, int]:
            trained = fine_tuned(
                self.model,
                lessons,
                steps=settings.benign_steps,
                learning_rate=settings.learning_rate,
                seed=self.seed,
            )
            return self._rate(trained, held_out, self.violates, part.question)

        return self._before_and_after(part, held_out, rate)

    def relearning(self) -> ReceiptPart:
        """Steps of training on the fault after which it is back."""
        settings = self.settings
        part = ReceiptPart(
            name="relearning",
            question="steps of training on the fault until half of held-out faulty replies are at "
            "least half as likely as before the repair",
        )
        faulty = {
            side: [each for each in self._drawn(asked) if each.violates]
            for side, asked in (("lessons", self.prompts.shown), ("held", self.prompts.held_out))
        }
        if min(map(len, faulty.values())) < 2:
            return replace(part, reason="no replies at fault to relearn")
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
        return replace(
            part,
            before=before,
            after=after,
            control=never,
            note="counted after each step, so that a model that never lost the fault needs 1"
            + (f"; more than {settings.relearn_steps} steps: {', '.join(late)}" if late else ""),
            reason="no model that never had the fault was given" if self.control is None else None,
        )

    def _before_and_after(
        self,
        part: ReceiptPart,
        asked: Sequence[Prompt],
        rate: Callable[[], tuple[Estimate | None, int]],
    ) -> ReceiptPart:
        """The part with a rate of the model and of the repaired model, or why it has none."""
        if reason := _too_few(asked):
            return replace(part, reason=reason)
        before, unjudged = rate()
        with edited(self.model, self.edit):
            after, more = rate()
        one_sided = before is None or after is None
        return replace(
            part,
            before=before,
            after=after,
            unjudged=unjudged + more,
            reason="the grader could judge no reply of one side" if one_sided else None,
        )

    def _drawn(self, asked: Sequence[Prompt]) -> list[DrawnReply]:
        return draw_replies(
            self.model,
            asked,
            self.violates,
            sampling=self.settings.sampling,
            seed=self.seed + 1,
        )

    def _rate(
        self, model: LocalModel, asked: Sequence[Prompt], grader: Violates, unit: str
    ) -> tuple[Estimate | None, int]:
        """A rate among the replies that could be judged, and how many could not."""
        drawn = draw_replies(
            model, asked, grader, sampling=self.settings.sampling, seed=self.seed + 1
        )
        judged = [each.violates for each in drawn if each.violates is not None]
        if not judged:
            return None, len(drawn)
        rate = wilson(sum(map(bool, judged)), len(judged), level=self.settings.level, unit=unit)
        return rate, len(drawn) - len(judged)


def _too_few(*asked: Sequence[Prompt]) -> str | None:
    """Why lists of prompts are not measured on; None where each is long enough."""
    fewest = min(map(len, asked))
    return None if fewest >= LEAST else f"{LEAST} prompts are needed, {fewest} given"
