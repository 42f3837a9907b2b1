"""What a comparison will take, said before it starts: texts, tokens, minutes and memory."""

from collections.abc import Sequence
from dataclasses import dataclass

from plumbrule.behavior import CompareSettings
from plumbrule.behavior.looking import SOME
from plumbrule.behavior.pool import Pool
from plumbrule.behavior.triggers.finding import trigger_settings
from plumbrule.loop.counting import Stage
from plumbrule.loop.plan import SHARED, RunPlan, measure_speed, timed
from plumbrule.loop.sizes import comparison_bytes
from plumbrule.models import LanguageModel, LocalModel
from plumbrule.records import Dialogue, Prompt

NOISE = 16
"""Prompts with which the noise floor is measured."""


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    """Mean tokens of a prompt and most of a reply, as the base model reads them."""

    prompt: float
    reply: int
    weighs: bool
    """Whether both models' weights are at hand, so that replies can be weighed."""

    def asking(self, name: str, pairs: float, models: int = 2) -> Stage:
        """Texts that models write to so many prompts."""
        texts = round(models * pairs)
        return Stage(
            name=name,
            who="model",
            calls=texts,
            tokens_read=round(texts * self.prompt),
            tokens_written=texts * self.reply,
        )

    def weighing(self, name: str, replies: float) -> Stage:
        """Replies that both models read, none written."""
        count = round(2 * replies) if self.weighs else 0
        read = round(count * (self.prompt + self.reply))
        return Stage(name=name, who="model", calls=count, tokens_read=read)


def plan_comparison(
    base: LanguageModel,
    tuned: LanguageModel,
    prompts: Sequence[Prompt],
    *,
    settings: CompareSettings,
    judge: LanguageModel | None = None,
) -> RunPlan:
    """Count what a comparison takes at most, and measure how fast the base is here.

    Both models are taken to be as fast as the base, and to write as much. Tests are taken at all
    that the budget leaves: most comparisons end long before. What a judge is asked comes on top.

    Args:
        base: The model before, open.
        tuned: The model after, open.
        prompts: What they are to be compared on.
        settings: How to compare.
        judge: Who proposes and judges, where somebody does.

    Raises:
        DataError: There are too few prompts.
    """
    pool = Pool.of(prompts, seed=settings.seed)
    local = isinstance(base, LocalModel) and isinstance(tuned, LocalModel)
    some = [prompt.dialogue for prompt in prompts[:: max(1, len(prompts) // 64)]]
    searched = 0
    if isinstance(base, LocalModel):
        searched = 2 * trigger_settings(base, share=settings.trigger_share).most_tokens
    speed = measure_speed(base, some[:SHARED], settings.sampling)
    longest = settings.sampling.max_new_tokens
    length = longest if speed is None else max(1, round(speed.length * longest))
    most, likely = (
        timed(
            [
                stage
                for stage in _stages(
                    _Sizes(prompt=_mean_tokens(base, some), reply=reply, weighs=local),
                    settings,
                    explored=min(len(pool.explore), settings.scanned),
                    searched=searched,
                )
                if stage.calls
            ],
            {"model": speed},
            1.0,
        )
        for reply in (longest, length)
    )
    notes = [] if judge is None else ["What the judge is asked comes on top of this."]
    if speed is None:
        notes.append("The models are endpoints, whose speed is not known beforehand.")
    return RunPlan(
        stages=most,
        likely=likely,
        memory_bytes=comparison_bytes(base, tuned, judge),
        notes=tuple(notes),
    )


def _stages(
    sizes: _Sizes, settings: CompareSettings, *, explored: int, searched: int
) -> list[Stage]:
    """Every part of a comparison in order, with what it takes at most.

    Args:
        sizes: Of prompts and replies.
        settings: How to compare.
        explored: Prompts that may be looked at.
        searched: Tokens that the search for triggers reads.
    """
    certificate = [
        sizes.asking("certificate: replies", settings.certificate, models=1),
        sizes.weighing("certificate: weighed", settings.certificate),
    ]
    certificate = certificate if sizes.weighs else []
    noise = min(NOISE, max(1, settings.budget // 6), explored)
    first = sizes.asking("noise floor", noise, models=1 if sizes.weighs else 3)
    if settings.method == "exhaustive":
        return [first, sizes.asking("texts and tests", settings.budget / 2), *certificate]
    looking = settings.looking
    left = settings.budget - first.calls - settings.certificate
    pairs = max(0, min(looking.pairs, left // 4))
    stages = [first, sizes.asking("looking at replies", pairs)]
    if settings.method == "guided" and sizes.weighs:
        alone = max(0, min(looking.covered, explored - pairs, (left - 2 * pairs) // 2))
        stages += [
            sizes.weighing("replies drawn by chance, weighed", SOME),
            sizes.asking("the tuned model alone", alone, models=1),
            sizes.weighing("the tuned model's replies, weighed", pairs + alone),
        ]
        if settings.trigger_share:
            stages.append(
                Stage(name="search for triggers", who="model", calls=1, tokens_read=searched)
            )
    spent = sum(each.calls for each in stages if each.tokens_written)
    tests = max(0, settings.budget - settings.certificate - spent)
    return [*stages, sizes.asking("tests", tests / 2), *certificate]


def _mean_tokens(model: LanguageModel, dialogues: Sequence[Dialogue]) -> float:
    """Mean length of prompts; four characters a token where no tokenizer is at hand."""
    if isinstance(model, LocalModel):
        read = model.chat.prompts(dialogues)
        return sum(map(len, read)) / len(read)
    characters = sum(len(turn.content) for dialogue in dialogues for turn in dialogue)
    return characters / 4 / len(dialogues)
