"""Units of the comparison of recursive with direct evaluation, each measured once and kept."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.composites.evaluation import Evaluation, direct_values, recursive
from benchmarks.composites.labels import (
    Judging,
    Label,
    Side,
    Taught,
    draw_interactions,
    draw_works,
    label_parts,
    label_wholes,
    teach,
    truth,
)
from benchmarks.composites.reward_use import (
    PolicyReplies,
    Using,
    Values,
    draw_replies,
    make_policy,
    requests,
    train_on,
    true_shares,
    true_values,
)
from benchmarks.composites.works import Composite, Interaction
from plumbrule.models import LanguageModel
from plumbrule.store import derive_seed, fingerprint, write_atomic

KEPT = Path(__file__).parent.parent / ".cache" / "benchmarks" / "recursive_reward"
LABELS = (192, 1152)
"""The second six times the first, which is the number of parts in a work: at equal reading a whole
costs as much as that many parts."""

WORKS = 400
"""Held-out works that each evaluator judges."""

TRAINED, EXAMINED, EXAM_REPLIES = 80, 80, 1
"""Requests that a policy is trained on, held-out ones it is examined on, and replies to each."""

WHOLE_STEPS = 250
"""Optimizer steps of the reader who looks for interactions."""

CHECK_EVERY = 4
"""One label in so many is not trained on and measures how often the evaluator is right."""


def kept(name: str, key: Mapping[str, Any], measure: Callable[[], Mapping[str, Any]]) -> Any:
    """What was measured before, or is measured now."""
    path = KEPT / f"{name}-{fingerprint(dict(key))[:16]}.json"
    if not path.exists():
        started = perf_counter()
        write_atomic(path, json.dumps({**key, **measure()}))
        print(f"{name}: {perf_counter() - started:.0f} s", flush=True)
    return json.loads(path.read_text("utf-8"))


def plain(settings: Any) -> Any:
    """Settings as JSON has them."""
    return json.loads(json.dumps(asdict(settings)))


def taught(labels: Sequence[Label], side: Side, name: str, judging: Judging, seed: int) -> Taught:
    """An evaluator, trained now or before: a finished folder is taken as it is."""
    key = [plain(judging), side, seed, [[x.dialogue[0].content, x.sound] for x in labels]]
    out = KEPT / "models" / f"{name}-{fingerprint(key)[:16]}"
    return teach(labels, side=side, judging=judging, out=out, seed=seed)


def split(labels: Sequence[Label]) -> tuple[list[Label], list[Label]]:
    """Labels to train on, and labels to check by: both have sound and flawed work."""
    groups = [[x for x in labels if x.sound], [x for x in labels if not x.sound]]
    train = [x for group in groups for n, x in enumerate(group) if n % CHECK_EVERY]
    return train, [x for group in groups for x in group[::CHECK_EVERY]]


def direct_side(labels: int, seed: int, judging: Judging) -> Taught:
    """The evaluator of wholes."""
    works = draw_works(labels, seed=derive_seed(seed, "works"), judging=judging)
    return taught(label_wholes(works), "direct", f"direct-{labels}", judging, seed)


def recursive_side(
    labels: int, seed: int, judging: Judging, *, balanced: bool = True
) -> tuple[Taught, list[Label], float]:
    """The evaluator of parts, the labels that check it, and the minutes of all its labels."""
    works = draw_works(labels, seed=derive_seed(seed, "works"), judging=judging)
    drawn = label_parts(works, seed=derive_seed(seed, "parts"), balanced=balanced)
    train, check = split(drawn)
    name = f"parts-{labels}" if balanced else f"parts-{labels}-as-they-come"
    model = taught(train, "recursive", name, judging, seed)
    return model, check, sum(label.minutes for label in drawn)


def held_out(seed: int, judging: Judging) -> list[Composite]:
    """Works that both sides judge."""
    return draw_works(WORKS, seed=derive_seed(seed, "held out"), judging=judging, kept_back=True)


def texts(works: Sequence[Composite]) -> tuple[list[Any], list[str]]:
    """What was asked and what was replied."""
    return [work.dialogue for work in works], [work.reply for work in works]


def compared(side: Side, labels: int, seed: int, judging: Judging, balanced: bool = True) -> Any:
    """Teach one side with so many labels, and let it judge held-out works."""
    key = {"side": side, "labels": labels, "seed": seed, "balanced": balanced, "works": WORKS,
           "judging": plain(judging)}  # fmt: skip

    def measure() -> Mapping[str, Any]:
        test = held_out(seed, judging)
        sound = {"sound": [truth(work).sound for work in test]}
        if side == "direct":
            return sound | _judged_direct(direct_side(labels, seed, judging), test)
        model, check, minutes = recursive_side(labels, seed, judging, balanced=balanced)
        tree = recursive(model.open(), check, judging=judging, balanced=balanced)
        return sound | _judged_by_tree(tree, test) | _teaching(model) | {"minutes": minutes}

    return kept(f"{side}-{labels}-{seed}", key, measure)


def _teaching(model: Taught) -> dict[str, Any]:
    return {"trained_tokens": model.tokens, "trained_seconds": model.seconds}


def _judged_direct(model: Taught, test: Sequence[Composite]) -> dict[str, Any]:
    handle, started = model.open(), perf_counter()
    values = direct_values(handle, *texts(test))
    return {
        "values": values,
        "passed": [value > 0 for value in values],
        "undecided": 0,
        "not_checked": 0,
        "tokens": handle.usage.tokens_scored,
        "calls": len(values),
        "seconds": perf_counter() - started,
        "minutes": model.minutes,
        **_teaching(model),
    }


def _judged_by_tree(tree: Evaluation, test: Sequence[Composite]) -> dict[str, Any]:
    rewards = tree.rewards(*texts(test))
    return {
        "values": [each.value for each in rewards],
        "passed": [each.outcome == "pass" for each in rewards],
        "undecided": sum(each.outcome not in ("pass", "fail") for each in rewards),
        "not_checked": sum(each.not_checked for each in rewards),
        "tokens": sum(each.cost.tokens for each in rewards),
        "calls": sum(each.cost.calls for each in rewards),
        "seconds": sum(each.cost.seconds for each in rewards),
        "reliability": plain(tree.rule.reliabilities["parts"]),
    }


def interacting(kind: Interaction, labels: int, seed: int, judging: Judging) -> Any:
    """Works whose answers are all right: who sees that they are wrong together?"""
    key = {"kind": kind, "steps": WHOLE_STEPS, "labels": labels, "seed": seed, "works": WORKS,
           "judging": plain(judging)}  # fmt: skip

    def measure() -> Mapping[str, Any]:
        parts, check, _ = recursive_side(labels, seed, judging)
        wholes = label_wholes(
            draw_interactions(labels, seed=derive_seed(seed, kind), judging=judging, kind=kind)
        )
        learned, apart = split(wholes)
        shorter = replace(judging, steps={**judging.steps, "whole": WHOLE_STEPS})
        whole = taught(learned, "whole", f"{kind}-{labels}", shorter, seed).open()
        test = draw_interactions(
            WORKS, seed=derive_seed(seed, kind, "held out"), judging=judging, kind=kind,
            kept_back=True,
        )  # fmt: skip
        usual = held_out(seed, judging)
        alone = recursive(parts.open(), check, judging=judging)
        both = recursive(parts.open(), check, judging=judging, whole=(whole, apart))

        def passed(tree: Evaluation, works: Sequence[Composite]) -> list[bool]:
            return [each.outcome == "pass" for each in tree.rewards(*texts(works))]

        return {
            "sound": [truth(work).sound for work in test],
            "parts": passed(alone, test),
            "whole": [value > 0 for value in direct_values(whole, *texts(test))],
            "both": passed(both, test),
            "usual_sound": [truth(work).sound for work in usual],
            "usual_parts": passed(alone, usual),
            "usual_both": passed(both, usual),
            "minutes": sum(label.minutes for label in wholes),
        }

    return kept(f"{kind}-{labels}-{seed}", key, measure)


def used(labels: int, seed: int, judging: Judging, using: Using) -> Any:
    """Choose and train by both rewards, each learned from so many labels; what is true after."""
    key = {"use": labels, "seed": seed, "judging": plain(judging), "using": plain(using),
           "requests": [TRAINED, EXAMINED, EXAM_REPLIES]}  # fmt: skip

    def measure() -> Mapping[str, Any]:
        parts, check, _ = recursive_side(labels, seed, judging)
        whole: LanguageModel = direct_side(labels, seed, judging).open()
        rewards: dict[str, Values] = {
            "direct": lambda dialogues, replies: direct_values(whole, dialogues, replies),
            "recursive": recursive(parts.open(), check, judging=judging).values,
        }
        name = f"{seed}-{fingerprint(key)[:16]}"
        policy = make_policy(
            KEPT / "models" / f"policy-{name}", judging=judging, using=using, seed=seed
        )
        asked = requests(TRAINED, judging=judging, seed=derive_seed(seed, "train"), kept_back=False)
        own = draw_replies(policy, asked, using=using, replies=using.replies, seed=seed)
        policies = {"before": policy}
        for side, values in rewards.items():
            out = KEPT / "models" / f"trained-{side}-{name}"
            policies[side] = train_on(policy, own, values, using=using, out=out, seed=seed)
        exam = requests(EXAMINED, judging=judging, seed=derive_seed(seed, "exam"), kept_back=True)
        several = draw_replies(policy, exam, using=using, replies=using.replies, seed=seed + 1)
        found = _best(several, rewards)
        for side, path in policies.items():
            once = draw_replies(path, exam, using=using, replies=EXAM_REPLIES, seed=seed + 2)
            found[f"trained {side}"] = _examined(once, rewards)
        return found

    return kept(f"use-{labels}-{seed}", key, measure)


def _best(several: PolicyReplies, rewards: Mapping[str, Values]) -> dict[str, Any]:
    """What is true of the first reply, and of the one that each reward puts first."""
    true = several.table(true_values(*several.flat))
    rows = np.arange(len(true))
    found: dict[str, Any] = {
        "first": {"true": true[:, 0].tolist()},
        "possible": true.max(axis=1).tolist(),
    }
    for side, values in rewards.items():
        best = several.table(values(*several.flat)).argmax(axis=1)
        found[f"best {side}"] = {"true": true[rows, best].tolist()}
    return found


def _examined(once: PolicyReplies, rewards: Mapping[str, Values]) -> dict[str, Any]:
    """What is true of a policy's replies, and what each reward says of them."""
    flat = once.flat
    return {
        "true": true_values(*flat),
        "share": true_shares(*flat),
        **{f"reward {side}": values(*flat) for side, values in rewards.items()},
    }
