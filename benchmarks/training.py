"""Ways from principles and people to a model, side by side: what each reaches in the village.

`python -m benchmarks.training [--quick] [--part NAME] --json FILE` trains every arm on the same
seeds, prompts and label budget, lets the answer key read all held-out replies, and prints paired
differences with intervals over seeds. Parts: `recipes`, `ablations`, `reasons`. What an arm and a
seed came to is kept in `.cache/training/`, so that an interrupted benchmark goes on.

Everything is `lab:nano`, which is its own critic: an arm and a seed take ten to forty seconds of
one core. Of the candidates, the half of the prompts whose best and worst are farthest apart by the
reward is learned from in every arm: a bound in logits would let labels decide by their scale.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import numpy as np
import typer
from scipy import stats

from benchmarks.rows import Row, show, single, with_earlier
from benchmarks.training_figure import draw
from plumbrule.constitution import Constitution, load_constitution
from plumbrule.judging import (
    CandidatePair,
    PromptSet,
    compare,
    load_prompts,
    transcript,
)
from plumbrule.judging.comparison import combine
from plumbrule.lab import village_prompts
from plumbrule.loop.feedback import mixed_preferences
from plumbrule.loop.steps import Candidate, best_and_worst
from plumbrule.models import LocalModel, Sampling, model_folder, open_model
from plumbrule.recipes import village, village_oracle, village_pairs
from plumbrule.records import Exchange, Preference, Prompt, from_json, strict, to_json
from plumbrule.store import canonical, derive_seed, write_atomic
from plumbrule.training import (
    Revising,
    RewardModel,
    critique_and_revise,
    examples_to_imitate,
    more_to_imitate,
    pairs_to_compare,
    train_dpo,
    train_reward_model,
    train_supervised,
)

KEPT = Path(".cache/training")
FIGURE = Path("docs/recipes.svg")
MODEL = "lab:nano"
SETTINGS = village().config
COPIES = 4
"""Candidates a prompt."""

HUMAN_PAIRS = 100
"""Pairs that people label: half about help, half about harm."""

MANY = 400
"""The same where people label four times as many."""

WRONG = 0.1
"""Share of people's labels that name the worse reply; two people who err like that agree with one
another in 82% of pairs."""

ARMS = {
    "RLHF": f"RLHF, {HUMAN_PAIRS} human pairs",
    "RLHF, many": f"RLHF, {MANY} human pairs",
    "SL-CAI": "SL-CAI, no human pair",
    "RL-CAI": f"RL-CAI, {HUMAN_PAIRS // 2} human pairs about help",
    "RL-CAI, equal": f"RL-CAI, {HUMAN_PAIRS} human pairs about help",
    "hybrid": f"hybrid, {HUMAN_PAIRS} human pairs",
}


@strict
@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a model does with the held-out prompts, by the answer key."""

    harmless: tuple[bool, ...]
    """A reply to each prohibited request breaks no principle and can be read."""

    helpful: tuple[bool, ...]
    """The reply to each request that deserves help is the right one."""

    human_labels: int
    ai_labels: int

    def shares(self) -> tuple[float, float]:
        """Harmlessness and helpfulness."""
        return float(np.mean(self.harmless)), float(np.mean(self.helpful))


class SeedWorld:
    """All that the arms of one seed have in common, made when it is first needed and kept."""

    def __init__(self, seed: int, *, quick: bool) -> None:
        """Draw the prompts of a seed."""
        self.seed = seed
        self.folder = KEPT / f"{'quick' if quick else 'full'}-{seed}"
        size = 4 if quick else 1
        prompts = village_prompts(
            seed=seed,
            tempting=32 // size,
            honesty=8 // size,
            deserving=12 // size,
            examined_tempting=32 // size,
            examined_deserving=20 // size,
        )
        self.training = [each for each in prompts if not each.held_out]
        self.examined = [each for each in prompts if each.held_out]

    @cached_property
    def law(self) -> Constitution:
        """The constitution."""
        return load_constitution("village")

    @cached_property
    def words(self) -> PromptSet:
        """What a critic is asked."""
        return load_prompts("village")

    @cached_property
    def base(self) -> LocalModel:
        """The model before training."""
        return opened(model_folder(MODEL))

    def replies(
        self, model: LocalModel, prompts: Sequence[Prompt], heat: float, copies: int = 1
    ) -> list[Exchange]:
        """Draw replies, several a prompt side by side."""
        asked = [prompt for prompt in prompts for _ in range(copies)]
        drawn = model.sample(
            [prompt.dialogue for prompt in asked],
            sampling=Sampling(temperature=heat, max_new_tokens=48),
            seeds=[derive_seed(self.seed, each.id, place) for place, each in enumerate(asked)],
        )
        return [
            Exchange(
                id=prompt.id,
                dialogue=prompt.dialogue,
                response=reply.text,
                model=model.identity,
                finish_reason=reply.finish_reason,
            )
            for prompt, reply in zip(asked, drawn, strict=True)
        ]

    def kept(self, name: str, kind: type[Any], make: Callable[[], Sequence[Any]]) -> list[Any]:
        """Records of a step, from the folder where they are there."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            write_atomic(path, canonical([to_json(each) for each in make()]))
        return [from_json(kind, each, origin=name) for each in json.loads(path.read_text("utf-8"))]

    def revised_model(self, name: str, revising: Revising) -> Path:
        """SL-CAI: trained on the base's own revisions, and on its help where help is due."""
        out = self.folder / name
        if out.exists():
            return out
        tempting = [each for each in self.training if not each.deserves_help]
        deserving = [each for each in self.training if each.deserves_help]
        trails = critique_and_revise(
            self.base,
            self.replies(self.base, tempting, 0.3),
            self.law,
            prompts=self.words,
            settings=revising,
            seed=self.seed,
        )
        examples = more_to_imitate(
            examples_to_imitate(trails, self.replies(self.base, deserving, 0.3)),
            trails,
            self.law,
            prompts=self.words,
            settings=revising,
        )
        train_supervised(
            model_folder(MODEL), examples, settings=SETTINGS.supervised, out=out, seed=self.seed
        )
        return out

    def candidates(self, name: str, start: Path) -> list[Exchange]:
        """Replies of a model to the training prompts, to choose from."""
        return self.kept(
            f"{name}-candidates",
            Exchange,
            lambda: self.replies(opened(start), self.training, 1.0, COPIES),
        )

    def compared(self, both_orders: bool = True) -> list[Preference]:
        """What the base says of the revised model's candidates, where help is not simply due.

        AI labels speak of harm, as in the paper: what deserves help is left to people.
        """
        drawn = self.candidates("sl", self.revised_model("sl", SETTINGS.revising))
        due = {prompt.id for prompt in self.training if prompt.deserves_help}
        groups = [drawn[at : at + COPIES] for at in range(0, len(drawn), COPIES)]
        pairs = pairs_to_compare([group for group in groups if group[0].id not in due])
        if both_orders:
            return self.kept("compared", Preference, lambda: self.preferences(pairs))
        return self.kept("one-order", Preference, lambda: self.one_order(pairs))

    def preferences(self, pairs: Sequence[CandidatePair]) -> list[Preference]:
        """AI labels, asked in both orders."""
        seeds = [derive_seed(self.seed, "compare", pair.id) for pair in pairs]
        return compare(self.base, pairs, self.law, prompts=self.words, seeds=seeds)

    def one_order(self, pairs: Sequence[CandidatePair]) -> list[Preference]:
        """AI labels of pairs asked in the order they come in, and in no other."""
        options = self.words.template("compare").options
        first_is = list(options.values()).index("first")
        asked = [
            self.words.render(
                "compare",
                principle=principle,
                values={
                    "request": transcript(pair.dialogue),
                    "first": pair.first,
                    "second": pair.second,
                },
            )
            for pair in pairs
            for principle in self.law.principles
        ]
        said = iter(self.base.choose(asked, tuple(options), seeds=list(range(len(asked)))))
        labeled = []
        for pair in pairs:
            found = {
                principle.id: choice.probabilities[first_is]
                for principle, choice in zip(self.law.principles, said, strict=False)
                if choice.probabilities is not None
            }
            labeled.append(
                Preference(
                    id=pair.id,
                    dialogue=pair.dialogue,
                    first=pair.first,
                    second=pair.second,
                    probability=combine(found, self.law),
                    by_principle=found,
                    order_disagreement={},
                    constitution_sha256=self.law.sha256,
                    source="ai",
                    labeler=self.base.identity,
                    method="one order",
                )
            )
        return labeled

    def human_pairs(self, count: int) -> list[Preference]:
        """Pairs labeled by people who err: half about help, half about harm."""
        return village_pairs(count, seed=derive_seed(self.seed, "people"), wrong=WRONG)

    def reinforced(
        self, start: Path, drawn: Sequence[Exchange], preferences: Sequence[Preference]
    ) -> LocalModel:
        """A reward model of preferences, and training on its best against its worst candidate."""
        decided = [each for each in preferences if each.probability is not None]
        with TemporaryDirectory() as scratch:
            reward, out = Path(scratch) / "reward", Path(scratch) / "final"
            train_reward_model(start, decided, settings=SETTINGS.reward, out=reward, seed=self.seed)
            scores = RewardModel.open(reward).score(
                [each.dialogue for each in drawn], [each.response for each in drawn]
            )
            scored = [
                Candidate(exchange=each, reward=score)
                for each, score in zip(drawn, scores, strict=True)
            ]
            table = np.array(scores).reshape(-1, COPIES)
            middle = float(np.median(table.max(axis=1) - table.min(axis=1)))
            pairs = best_and_worst(scored, COPIES, least_margin=middle)
            train_dpo(start, pairs, settings=SETTINGS.dpo, out=out, seed=self.seed)
            return opened(out)

    def examine(self, model: LocalModel, *, human: int, ai: int) -> Outcome:
        """Let the answer key read what a model says to the held-out prompts."""
        found = village_oracle(self.replies(model, self.examined, 0.3))
        known = {prompt.id: prompt for prompt in self.examined}
        return Outcome(
            harmless=tuple(
                each.manner != "unreadable" and "fail" not in each.verdicts.values()
                for each in found
                if known[each.exchange_id].deserves_help is False
            ),
            helpful=tuple(
                bool(each.right) for each in found if known[each.exchange_id].deserves_help
            ),
            human_labels=human,
            ai_labels=ai,
        )


def opened(folder: Path) -> LocalModel:
    """A model on the processor, in float32."""
    model = open_model(str(folder), dtype="float32", device="cpu")
    assert isinstance(model, LocalModel)
    return model


def before(world: SeedWorld) -> Outcome:
    """The model before training."""
    return world.examine(world.base, human=0, ai=0)


def rlhf(world: SeedWorld, count: int = HUMAN_PAIRS) -> Outcome:
    """Imitate what people prefer, learn their labels as a reward, train against it."""
    pairs, name = world.human_pairs(count), f"rlhf-{count}"
    start = world.folder / name
    if not start.exists():
        preferred = [
            Exchange(
                id=each.id,
                dialogue=each.dialogue,
                response=each.first if (each.probability or 0) > 0.5 else each.second,
                model="people",
            )
            for each in pairs
        ]
        train_supervised(
            model_folder(MODEL), preferred, settings=SETTINGS.supervised, out=start, seed=world.seed
        )
    final = world.reinforced(start, world.candidates(name, start), pairs)
    return world.examine(final, human=len(pairs), ai=0)


def sl_cai(world: SeedWorld) -> Outcome:
    """Imitate one's own revisions."""
    return world.examine(opened(world.revised_model("sl", SETTINGS.revising)), human=0, ai=0)


def rl_cai(
    world: SeedWorld,
    change: Callable[[Preference], Preference] = lambda each: each,
    both_orders: bool = True,
    count: int = HUMAN_PAIRS,
) -> Outcome:
    """SL-CAI, then a reward model of AI labels and people's about help alone, as in the paper.

    Of `count` human pairs those about help; with twice as many, all that RLHF has are about help.
    """
    start = world.revised_model("sl", SETTINGS.revising)
    people = [each for each in world.human_pairs(count) if each.id.startswith("help")]
    labels = [change(each) for each in world.compared(both_orders)]
    drawn = world.candidates("sl", start)
    final = world.reinforced(start, drawn, [*labels, *people])
    return world.examine(final, human=len(people), ai=_decided(labels))


def hybrid(world: SeedWorld) -> Outcome:
    """SL-CAI, then a reward model of both, each label as sure as it was seen to be right."""
    start = world.revised_model("sl", SETTINGS.revising)
    people, labels = world.human_pairs(HUMAN_PAIRS), world.compared()
    doubled = world.kept(
        "doubled",
        Preference,
        lambda: world.preferences(
            [
                CandidatePair(
                    id=each.id, dialogue=each.dialogue, first=each.first, second=each.second
                )
                for each in people
            ]
        ),
    )
    mixed = mixed_preferences(labels, people, doubled, person_accuracy=1 - WRONG, seed=world.seed)
    drawn = world.candidates("sl", start)
    final = world.reinforced(start, drawn, mixed.preferences)
    return world.examine(final, human=len(people), ai=_decided(labels) + _decided(doubled))


def _decided(labels: Sequence[Preference]) -> int:
    return sum(each.probability is not None for each in labels)


def _hardened(each: Preference) -> Preference:
    likely = each.probability
    return replace(each, probability=None if likely is None else float(likely > 0.5))


def _clamped(each: Preference) -> Preference:
    likely = each.probability
    return replace(each, probability=None if likely is None else min(max(likely, 0.4), 0.6))


RECIPES: Mapping[str, Callable[[SeedWorld], Outcome]] = {
    "before": before,
    "RLHF": rlhf,
    "RLHF, many": lambda world: rlhf(world, MANY),
    "SL-CAI": sl_cai,
    "RL-CAI": rl_cai,
    "RL-CAI, equal": lambda world: rl_cai(world, count=2 * HUMAN_PAIRS),
    "hybrid": hybrid,
}
ABLATIONS: Mapping[str, Callable[[SeedWorld], Outcome]] = {
    "RL-CAI": rl_cai,
    "hard labels": lambda world: rl_cai(world, _hardened),
    "labels clamped to 40-60%": lambda world: rl_cai(world, _clamped),
    "one order": lambda world: rl_cai(world, both_orders=False),
}


def _reasons(where: Literal["in reply", "when asked"]) -> Callable[[SeedWorld], Outcome]:
    """SL-CAI on revisions that carry their principle's reason."""
    revising = replace(SETTINGS.revising, reasons=where)
    name = f"sl-{where.replace(' ', '-')}"
    return lambda world: world.examine(opened(world.revised_model(name, revising)), human=0, ai=0)


REASONS: Mapping[str, Callable[[SeedWorld], Outcome]] = {
    "SL-CAI": sl_cai,
    "reasons when asked": _reasons("when asked"),
}
"""A reason behind a reply is no sentence of the village, so that the answer key could not read it:
only those that answer a question of their own can be measured here."""


def outcomes(
    arms: Mapping[str, Callable[[SeedWorld], Outcome]], seeds: Sequence[int], *, quick: bool
) -> dict[str, list[Outcome]]:
    """What every arm came to on every seed; what was made before is read."""
    found: dict[str, list[Outcome]] = {name: [] for name in arms}
    for seed in seeds:
        world = SeedWorld(seed, quick=quick)
        for name, arm in arms.items():
            path = world.folder / f"outcome {name}.json"
            if not path.exists():
                write_atomic(path, canonical(dataclasses.asdict(arm(world))))
            held = json.loads(path.read_text("utf-8"))
            found[name].append(from_json(Outcome, held, origin=str(path)))
            harmless, helpful = found[name][-1].shares()
            print(
                f"seed {seed}, {name}: harmless {harmless:.3f}, helpful {helpful:.3f}", flush=True
            )
    return found


def over_seeds(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean with the 95% interval of Student's t: a seed is one observation."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("-inf"), float("inf")
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return mean, mean - half, mean + half


def _row(
    measure: str,
    values: Sequence[float],
    seeds: Sequence[int],
    *,
    unit: str,
    target: str = "",
    met: Callable[[float, float, float], bool] | None = None,
) -> Row:
    mean, low, high = over_seeds(values)
    if min(values) >= 0 and "mean over seeds" in unit:  # a share, which ends at both ends
        low, high = max(low, 0.0), min(high, 1.0)
    known = len(values) > 1
    return Row(
        measure=measure,
        target=target,
        value=mean,
        low=low if known else None,
        high=high if known else None,
        unit=unit,
        n=len(values),
        met=met(mean, low, high) if met and known else None,
        seeds=list(seeds),
    )


def _differences(
    one: Sequence[Outcome], other: Sequence[Outcome]
) -> tuple[list[float], list[float]]:
    """Harmlessness and helpfulness of the one minus the other's, seed by seed."""
    pairs = [np.subtract(a.shares(), b.shares()).tolist() for a, b in zip(one, other, strict=True)]
    return [each[0] for each in pairs], [each[1] for each in pairs]


def recipe_rows(seeds: Sequence[int], *, quick: bool) -> list[Row]:
    """Every recipe's place, and RL-CAI against the others on the same seeds."""
    found = outcomes(RECIPES, seeds, quick=quick)
    rows = []
    points = {}
    for name, each in found.items():
        label = ARMS.get(name, "before training")
        shares = [one.shares() for one in each]
        points[label] = [over_seeds([share[side] for share in shares]) for side in (0, 1)]
        for side, measure in enumerate(("harmlessness", "helpfulness")):
            rows.append(
                _row(
                    f"{measure}: {label}",
                    [share[side] for share in shares],
                    seeds,
                    unit="share of requests, mean over seeds",
                )
            )
        if name != "before":
            rows.append(
                single(
                    f"labels by AI: {label}",
                    float(np.mean([one.ai_labels for one in each])),
                    unit="pairs, mean over seeds",
                    n=len(seeds),
                    seeds=seeds,
                )
            )
    pairs = [("RL-CAI, equal", "RLHF")]
    pairs += [("RL-CAI", other) for other in ("RLHF", "RLHF, many", "SL-CAI", "hybrid")]
    for one, other in pairs:
        changes = _differences(found[one], found[other])
        held = one == "RL-CAI, equal"
        for measure, values in zip(("harmlessness", "helpfulness"), changes, strict=True):
            rows.append(
                _row(
                    f"{measure}, {ARMS[one]} minus {ARMS[other]}",
                    values,
                    seeds,
                    unit="share of requests",
                    target="interval above 0" if held else "",
                    met=(lambda _, low, __: low > 0) if held else None,
                )
            )
    if not quick:
        draw(points, FIGURE)
    return rows


def effect_rows(
    arms: Mapping[str, Callable[[SeedWorld], Outcome]], seeds: Sequence[int], *, quick: bool
) -> list[Row]:
    """Each change of the first arm against it, on the same seeds."""
    if not arms:
        return []
    found = outcomes(arms, seeds, quick=quick)
    first, *others = arms
    return [
        _row(f"{measure}, {name} minus {first}", values, seeds, unit="share of requests")
        for name in others
        for measure, values in zip(
            ("harmlessness", "helpfulness"), _differences(found[name], found[first]), strict=True
        )
    ]


def main(
    quick: Annotated[bool, typer.Option("--quick", help="The same work, smaller.")] = False,
    out: Annotated[Path | None, typer.Option("--json", help="Where rows are written.")] = None,
    part: Annotated[
        list[str] | None, typer.Option("--part", help="recipes, ablations, reasons.")
    ] = None,
    count: Annotated[int, typer.Option("--seeds", help="Seeds from 0 on.")] = 5,
) -> None:
    """Compare ways of training."""
    seeds = range(2 if quick else count)
    parts: dict[str, Callable[[], list[Row]]] = {
        "recipes": lambda: recipe_rows(seeds, quick=quick),
        "ablations": lambda: effect_rows(ABLATIONS, seeds, quick=quick),
        "reasons": lambda: effect_rows(REASONS, seeds, quick=quick),
    }
    rows = [row for name in part or parts for row in parts[name]()]
    show("Ways of training", with_earlier(rows, out) if part else rows, out)


if __name__ == "__main__":
    typer.run(main)
