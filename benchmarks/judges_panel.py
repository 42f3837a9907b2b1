"""Ensembles, broken critics and hybrid feedback, against planted judges and real pairs.

Usage: python -m benchmarks.judges_panel [--seeds 100] [--part hybrid] [--json FILE]

(a) Panels of five judges, one of which answers the reverse: the error of what they say together,
by reliabilities learned without labels, against that of the judge who turns out best.
(b) Critics broken in a known way: whether each is named before it teaches, and whether the remedy
that is recommended from the known replies is the best one on replies that nobody has seen.
(c) Rewards learned from a tenth of the human labels and a model's, against all human labels and
against the model's alone, on simulated pairs and on pairs of real dialogues.

Where `benchmarks.judge_lab` exists, (a) and (b) are repeated on its items and judges.
"""

import argparse
import gzip
import importlib.util
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import expit

from benchmarks.rows import Row, estimated, show, single, with_earlier
from plumbrule.constitution import Constitution, CritiqueExample, Principle
from plumbrule.judging import KnownReply, TrialAnswer, known_replies, load_prompts
from plumbrule.judging.diagnosis import CriticKind, diagnose
from plumbrule.judging.ensembles import Ensemble, learn_reliabilities
from plumbrule.judging.remedies import Remedy, try_remedies
from plumbrule.judging.routing import (
    Labeler,
    learn_router,
    mix_labels,
    pair_features,
    route,
)
from plumbrule.records import Estimate, Message, Preference
from plumbrule.statistics import wilson

PAIRS = Path(__file__).resolve().parents[2] / "shared" / "data" / "hh_rlhf_harmless_test.jsonl.gz"
Rng = np.random.Generator


def mean_of(values: Sequence[float], unit: str) -> Estimate:
    """Mean over seeds with Student's interval at 95%."""
    given = np.asarray(values, float)
    half = float(stats.t.isf(0.025, len(given) - 1)) * float(given.std(ddof=1)) / len(given) ** 0.5
    middle = float(given.mean())
    return Estimate(
        value=middle, low=middle - half, high=middle + half, level=0.95, n=len(given),
        unit=unit, method="Student's t over seeds",
    )  # fmt: skip


# (a) ensembles


def panel(
    rng: Rng, accuracies: np.ndarray, items: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, votes of judges that err by themselves, and their specificities and sensitivities.

    Both lie up to 8 points to either side of the accuracies.
    """
    truth = (rng.random(items) < rng.uniform(0.3, 0.6)).astype(float)
    tilt = rng.uniform(-0.08, 0.08, len(accuracies))
    rates = np.clip(np.stack([accuracies - tilt, accuracies + tilt]), 0.01, 0.99)
    right = rng.random((items, len(accuracies))) < rates[truth.astype(int)]
    return truth, np.where(right, truth[:, None], 1 - truth[:, None]), rates


def learned(votes: np.ndarray, **more: Any) -> Ensemble:
    """The ensemble of judges 0, 1, ..."""
    names = [str(at) for at in range(votes.shape[1])]
    return learn_reliabilities(votes, names=names, **{"resamples": 0, **more})


def wrong(says: np.ndarray, truth: np.ndarray) -> float:
    """Share of items on which a probability is on the wrong side."""
    return float(((says > 0.5) != truth).mean())


def ensembles(seeds: int, items: int = 400) -> list[Row]:
    """Rows of (a)."""
    gain, best_by_names, majority, found, accused, disputed = [], [], [], 0, 0, []
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 1])
        honest, against = rng.uniform(0.65, 0.9, 4), rng.uniform(0.1, 0.3)
        accuracies = rng.permutation([*honest, against])
        truth, votes, _ = panel(rng, accuracies, items)
        said = learned(votes)
        own = (votes != truth[:, None]).mean(axis=0)
        error = wrong(said.probability, truth)
        gain.append(error - float(own.min()))
        best_by_names.append(float(own[int(said.best)] - own.min()))
        majority.append(wrong(votes.mean(axis=1), truth) - float(own.min()))
        turned = [int(each.name) for each in said.members if each.answers_reverse]
        found += turned == [int(accuracies.argmin())]
        worst = np.argsort(np.abs(said.probability - 0.5))[: items // 5]
        missed = (said.probability > 0.5) != truth
        disputed.append(missed[worst].sum() / max(missed.sum(), 1))
        _, votes, _ = panel(rng, rng.uniform(0.55, 0.9, 5), items)
        accused += any(each.answers_reverse for each in learned(votes).members)
    together = mean_of(gain, "share of items")
    rows = [
        estimated(
            "ensemble of 5, one adversarial: its error minus the best judge's",
            together, target="<= 0", met=together.high <= 0, seeds=range(seeds),
        ),
        estimated(
            "ensemble of 5 by majority vote: its error minus the best judge's",
            mean_of(majority, "share of items"), seeds=range(seeds),
        ),
        estimated(
            "the judge named best: its error minus the best judge's",
            mean_of(best_by_names, "share of items"), seeds=range(seeds),
        ),
        estimated(
            "adversary named, and nobody else", wilson(found, seeds, unit="panels"),
            target=">= 0.95", met=found >= 0.95 * seeds, seeds=range(seeds),
        ),
        estimated(
            "no adversary: somebody accused", wilson(accused, seeds, unit="panels"),
            target="<= 0.05", met=accused <= 0.05 * seeds, seeds=range(seeds),
        ),
        estimated(
            "errors among the 20% most disputed items",
            mean_of(disputed, "share of errors"), seeds=range(seeds),
        ),
    ]  # fmt: skip
    return [*rows, covered(4 * seeds, items), *copied(seeds, items), *shared_errors(seeds, items)]


def covered(seeds: int, items: int) -> Row:
    """Whether intervals of what was learned without labels hold what is true."""
    inside = []
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 9])
        accuracies = np.append(rng.uniform(0.65, 0.9, 4), rng.uniform(0.1, 0.3))
        _, votes, rates = panel(rng, accuracies, items)
        said = learned(votes, resamples=100)
        for at, member in enumerate(said.members):
            for kind, shown in ((1, member.sensitivity), (0, member.specificity)):
                inside.append(shown.low <= rates[kind, at] <= shown.high)
    share = float(np.mean(inside))
    return single(
        "sensitivity and specificity inside their intervals", share, unit="share", n=len(inside),
        target=">= 0.94", met=share >= 0.94, seeds=range(seeds),
    )  # fmt: skip


def copied(seeds: int, items: int) -> list[Row]:
    """Three copies of a middling judge beside two better ones."""
    extra, vote = [], []
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 2])
        truth, votes, _ = panel(rng, np.array([0.7, 0.85, 0.85]), items)
        many = votes[:, [0, 0, 0, 1, 2]]
        once = wrong(learned(votes).probability, truth)
        extra.append(wrong(learned(many).probability, truth) - once)
        vote.append(wrong(many.mean(axis=1), truth) - once)
    shown = mean_of(extra, "share of items")
    return [
        estimated(
            "a judge given three times: error minus that with it once", shown,
            target="<= 0.005", met=shown.value <= 0.005, seeds=range(seeds),
        ),
        estimated(
            "a judge given three times, by majority vote: error minus that with it once",
            mean_of(vote, "share of items"), seeds=range(seeds),
        ),
    ]  # fmt: skip


def shared_errors(seeds: int, items: int) -> list[Row]:
    """Nine judges of like skill that share their errors: what evidence says of real ones."""
    gain, anchored, worth, told, truly = [], [], [], [], []
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 3])
        truth = (rng.random(items) < 0.5).astype(float)
        common = rng.normal(size=(items, 1))
        hard = math.sqrt(0.6) * common + math.sqrt(0.4) * rng.normal(size=(items, 9))
        errs = hard > stats.norm.isf(rng.uniform(0.15, 0.25, 9))
        votes = np.where(errs, 1 - truth[:, None], truth[:, None])
        said = learned(votes)
        rest = slice(100, None)
        known = np.where(np.arange(items) < 100, truth, np.nan)
        knows = learned(votes, known=known)
        gain.append(wrong(said.probability, truth) - float(errs.mean(axis=0).min()))
        own = errs[rest].mean(axis=0)
        anchored.append(wrong(knows.probability[rest], truth[rest]) - float(own.min()))
        worth.append(said.effective_votes or math.nan)
        told.append(knows.effective_votes or math.nan)
        rho = np.corrcoef(errs.T)[np.triu_indices(9, 1)].mean()
        truly.append(9 / (1 + 8 * rho))
    return [
        estimated(
            "nine judges with shared errors: error minus the best judge's",
            mean_of(gain, "share of items"), seeds=range(seeds),
        ),
        estimated(
            "the same with 100 of 400 replies known, on the others",
            mean_of(anchored, "share of items"), seeds=range(seeds),
        ),
        estimated(
            "their effective votes, from the truth", mean_of(truly, "votes"), seeds=range(seeds)
        ),
        estimated(
            "their effective votes, with 100 replies known", mean_of(told, "votes"),
            seeds=range(seeds),
        ),
        estimated(
            "their effective votes, learned with none known", mean_of(worth, "votes"),
            seeds=range(seeds),
        ),
    ]  # fmt: skip


# (b) broken critics

LAW = Constitution(
    name="planted", version="1",
    principles=tuple(
        Principle(
            id=f"p{at}", text=f"Keep {at}.", tier=0,
            critique_examples=tuple(
                CritiqueExample(
                    request=f"{at} {number}?", reply=f"broken {at} {number}" + " w" * broken,
                    critique="It is.", revision=f"kept {at} {number}" + " w" * kept,
                )
                for number, (broken, kept) in enumerate(((0, 7), (8, 1), (3, 5), (6, 2)))
            ),
        )
        for at in range(16)
    ),
)  # fmt: skip
"""As large as the shipped constitution: 16 principles with four examples each."""


@dataclass(frozen=True, kw_only=True)
class Skill:
    """How a way of judging answers: log-odds = lean + skill * (+1 broken, -1 kept) + noise."""

    skill: float
    lean: float = 0.0
    length: float = 0.0
    """Log-odds for each standard deviation of length."""

    def __call__(self, replies: Sequence[KnownReply], rng: Rng) -> list[float | None]:
        """Log-odds of each reply."""
        truth = np.array([1.0 if each.broken else -1.0 for each in replies])
        length = (np.array([len(each.reply) for each in replies]) - 18) / 5
        noise = rng.normal(size=len(replies))
        return list(self.lean + self.skill * truth + self.length * length + noise)


GUESSES, FAIR = Skill(skill=0.0), Skill(skill=1.0)
CRITICS: dict[str, tuple[CriticKind, Skill, dict[str, Skill]]] = {
    "says no issue": (
        "says no issue", Skill(skill=0.05, lean=-4),
        {"examples": GUESSES, "items": Skill(skill=0.2), "classifier": Skill(skill=0.4),
         "larger": FAIR},
    ),
    "says no issue, knows better": (
        "says no issue", Skill(skill=1.1, lean=-5),
        {"examples": Skill(skill=0.7, lean=-4), "items": Skill(skill=0.6),
         "classifier": Skill(skill=0.4), "larger": Skill(skill=0.7)},
    ),
    "says issue": (
        "says issue", Skill(skill=0.05, lean=4),
        {"examples": Skill(skill=0.2), "items": FAIR, "classifier": Skill(skill=0.4),
         "larger": Skill(skill=0.5, lean=2)},
    ),
    "judges length": (
        "judges length", Skill(skill=0.0, length=2.0),
        {"examples": Skill(skill=0.1, length=2.0), "items": Skill(skill=0.3, length=0.5),
         "classifier": FAIR, "larger": Skill(skill=0.5, length=1.0)},
    ),
    "says no issue, learns": (
        "says no issue", Skill(skill=0.0, lean=-4),
        {"examples": FAIR, "items": GUESSES, "classifier": Skill(skill=0.3),
         "larger": Skill(skill=0.5, lean=-2)},
    ),
}  # fmt: skip
"""Critic → how it must be named, how it answers, how each remedy answers. The best remedy is a
different one each time."""

FAIR_CRITICS = (Skill(skill=0.6), Skill(skill=1.0), Skill(skill=0.8, lean=-0.7), Skill(skill=2.0))


def answers_of(skill: Skill, known: Sequence[KnownReply], rng: Rng) -> list[TrialAnswer]:
    """What a critic says of known replies."""
    odds = skill(known, rng)
    return [
        TrialAnswer(known=each, log_odds=value, covered=1.0)
        for each, value in zip(known, odds, strict=True)
    ]


def fixed(skill: Skill, replies: Sequence[KnownReply], rng: Rng) -> Callable[..., list[Any]]:
    """A scorer that says the same of a reply each time it is asked."""
    told = dict(zip(replies, skill(replies, rng), strict=True))
    return lambda _, asked: [told[each] for each in asked]


def critics(seeds: int) -> list[Row]:
    """Rows of (b)."""
    known = [each for each in known_replies(LAW) if each.broken is not None]
    named = dict.fromkeys(CRITICS, 0)
    passed = dict.fromkeys(CRITICS, 0)
    wins = dict.fromkeys(CRITICS, 0)
    accused, gained = 0, []
    for seed in range(seeds):
        for at, (name, (kind, skill, others)) in enumerate(CRITICS.items()):
            rng = np.random.default_rng([seed, 4, at])
            found = diagnose(answers_of(skill, known, rng))
            named[name] += found.kind == kind
            passed[name] += found.kind == "works"
            ways = {"as it is": skill, "border": skill, **others}
            own = fixed(skill, known, rng)
            remedies = [
                Remedy(
                    name=way,
                    score=own if each is skill else fixed(each, known, rng),
                    border=way != "as it is",
                )
                for way, each in ways.items()
            ]
            told = try_remedies(known, remedies, seed=seed).recommended
            truly = {
                way: float(
                    stats.norm.cdf(each.skill / math.hypot(1.0, each.length))
                    if way != "as it is"
                    else (
                        stats.norm.cdf(each.skill + each.lean)
                        + stats.norm.cdf(each.skill - each.lean)
                    )
                    / 2
                )
                for way, each in ways.items()
            }
            wins[name] += told in truly and truly[told] >= max(truly.values()) - 1e-9
            gained.append(truly.get(told, truly["as it is"]) - truly["as it is"])
        rng = np.random.default_rng([seed, 5])
        accused += sum(
            diagnose(answers_of(each, known, rng)).kind != "works" for each in FAIR_CRITICS
        )
    rows = [
        estimated(
            f'critic that {name}: named "{CRITICS[name][0]}"',
            wilson(named[name], seeds, unit="critics"), seeds=range(seeds),
        )
        for name in CRITICS
    ]  # fmt: skip
    missed = sum(passed.values())
    most = [name for name in CRITICS if wins[name] > 0.5 * seeds]
    return [
        *rows,
        single(
            "broken critics found to work", missed, unit="critics", n=seeds * len(CRITICS),
            target="0", met=missed == 0, seeds=range(seeds),
        ),
        estimated(
            "fair critics found not to work",
            wilson(accused, seeds * len(FAIR_CRITICS), unit="critics"),
            target="<= 0.05", met=accused <= 0.05 * seeds * len(FAIR_CRITICS), seeds=range(seeds),
        ),
        *(
            estimated(
                f"critic that {name}: the recommended remedy is the best",
                wilson(wins[name], seeds, unit="trials"), seeds=range(seeds),
            )
            for name in CRITICS
        ),
        single(
            "kinds of critics of which the recommended remedy wins in most trials", len(most),
            unit="of 5", n=seeds, target=">= 4", met=len(most) >= 4, seeds=range(seeds),
        ),
        estimated(
            "accuracy that the recommended remedy gains", mean_of(gained, "share of replies"),
            seeds=range(seeds),
        ),
    ]  # fmt: skip


# (c) hybrid feedback


def fit_reward(
    features: Any, probability: np.ndarray, weight: np.ndarray, strength: float = 1.0
) -> Any:
    """A Bradley-Terry reward, linear in features: soft labels are two weighted hard ones."""
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    stack = sparse.vstack if sparse.issparse(features) else np.vstack
    both = stack([features, features])
    labels = np.repeat([True, False], len(probability))
    weights = np.concatenate([probability * weight, (1 - probability) * weight])
    kept = weights > 0
    return LogisticRegression(C=strength, fit_intercept=False, max_iter=500).fit(
        both[kept], labels[kept], sample_weight=weights[kept]
    )


def hybrid_labels(
    features: np.ndarray, human: np.ndarray, model_says: np.ndarray, allowed: int, seed: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Soft labels and weights from so many human labels, and the model's on all pairs.

    Half of the human labels go to pairs drawn by chance, from which the router is learned; the
    other half where it sends people.
    """
    rng = np.random.default_rng([seed, 7])
    count = len(human)
    drawn = rng.permutation(count)[: allowed // 2]
    agrees = (model_says > 0.5) == human
    router = learn_router(features[drawn], agrees[drawn], seed=seed)
    expected = router.expected(features)
    rest = np.setdiff1d(np.arange(count), drawn)
    sent = route(expected[rest], people=allowed - len(drawn))
    people = [*drawn.tolist(), *rest[[each == "person" for each in sent]].tolist()]
    # Whoever is asked, the model was asked too: all of these are doubly labeled by now. What they
    # agree on over all says nothing, as half of them were chosen for disagreement.
    again = learn_router(features[people], agrees[people], seed=seed)
    expected = (router if again.model is None else again).expected(features)
    given: dict[str, tuple[Labeler, bool]] = {str(at): ("person", bool(human[at])) for at in people}
    labels = mix_labels([str(at) for at in range(count)], model_says, expected, given)
    return (
        np.array([each.probability for each in labels]),
        np.array([each.weight for each in labels]),
        len(people),
    )


def hybrid_simulated(seed: int, *, biased: float = 1.0) -> dict[str, float]:
    """One seed of the simulation: accuracy of three rewards on held-out pairs.

    Pairs differ by twelve features; people prefer by a true reward, with noise. The judge knows the
    reward but, where a request is of one of two kinds in eight, prefers the longer reply.
    """
    rng = np.random.default_rng([seed, 6])
    count, fresh = 2000, 5000
    reward = rng.normal(size=12)
    reward[0] = 0.0  # length is worth nothing to people
    x = rng.normal(size=(count + fresh, 12))
    kind = rng.integers(8, size=len(x))
    human = rng.random(len(x)) < expit(1.5 * x @ reward)
    style = (kind < 2) & (biased > 0)
    odds = np.where(style, 3.0 * x[:, 0], 1.2 * x @ reward) + rng.normal(size=len(x))
    says = expit(odds)
    about = np.column_stack([np.eye(8)[kind], np.abs(odds), x[:, 0] * np.sign(odds)])
    train, test = slice(0, count), slice(count, None)
    soft, weight, people = hybrid_labels(about[train], human[train], says[train], 200, seed)
    ones = np.ones(count)
    rewards = {
        "people": fit_reward(x[train], human[train].astype(float), ones),
        "model": fit_reward(x[train], (says[train] > 0.5).astype(float), ones),
        "hybrid": fit_reward(x[train], soft, weight),
    }
    found = {
        name: float((each.predict(x[test]) == human[test]).mean()) for name, each in rewards.items()
    }
    return {**found, "share": people / count}


def real_pairs(path: Path) -> list[tuple[str, str, str]]:
    """Dialogue, chosen and rejected last reply."""
    found = []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            pair = json.loads(line)
            split = [pair[side].rpartition("\n\nAssistant:") for side in ("chosen", "rejected")]
            if split[0][0] == split[1][0] and split[0][2] != split[1][2]:
                found.append((split[0][0], split[0][2].strip(), split[1][2].strip()))
    return found


def hybrid_real(
    pairs: Sequence[tuple[str, str, str]], seed: int, factor: float | None, labeled: int
) -> dict[str, float]:
    """One seed on real pairs: a reward on bags of words, people's choice as the human label.

    Args:
        pairs: Real ones.
        seed: Of the split and of who stands first.
        labeled: Of the 1,400 pairs that the model labels, those that people alone label; hybrid
            has a tenth of them.
        factor: Of a planted judge: it says what people say with a chance of 0.85, but prefers the
            longer of two replies whose lengths differ by more than this factor. None: a judge
            trained on 300 other pairs, and then leaning to the longer reply.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    rng = np.random.default_rng([seed, 8])
    order = rng.permutation(len(pairs))
    swap = rng.random(len(pairs)) < 0.5
    sides = [
        (said, two, one) if swap[at] else (said, one, two)
        for at, (said, one, two) in enumerate(pairs)
    ]
    other, train, test = order[:300], order[300:1700], order[1700:]
    human = ~swap
    words = TfidfVectorizer(min_df=3, sublinear_tf=True, ngram_range=(1, 2))
    words.fit([text for at in [*other, *train] for text in sides[at][1:]])
    bags = words.transform([each[1] for each in sides]) - words.transform(
        [each[2] for each in sides]
    )
    bags = bags.tocsr()
    longer = np.array(
        [math.log1p(len(one.split())) - math.log1p(len(two.split())) for _, one, two in sides]
    )
    if factor is None:
        own = fit_reward(bags[other], human[other].astype(float), np.ones(len(other)), 0.3)
        odds = own.decision_function(bags)
        says = expit(odds / odds.std() + 1.0 * longer / longer.std())
    else:
        agrees = rng.random(len(sides)) < 0.85
        style = np.abs(longer) > math.log(factor)
        first = np.where(style, longer > 0, human == agrees)
        says = np.where(first, 0.5 + 0.5 * rng.random(len(sides)), 0.5 * rng.random(len(sides)))
    about = pair_features(
        [
            Preference(
                id=str(at), dialogue=(Message("user", said),), first=one, second=two,
                probability=float(says[at]), by_principle={}, order_disagreement={},
                constitution_sha256="", source="ai", labeler="judge", method="planted",
            )
            for at, (said, one, two) in enumerate(sides)
        ]
    )  # fmt: skip
    soft, weight, people = hybrid_labels(
        about[train], human[train], says[train], labeled // 10, seed
    )
    ones = np.ones(len(train))
    rewards = {
        "people": fit_reward(
            bags[train[:labeled]], human[train[:labeled]].astype(float), ones[:labeled], 0.3
        ),
        "model": fit_reward(bags[train], (says[train] > 0.5).astype(float), ones, 0.3),
        "hybrid": fit_reward(bags[train], soft, weight, 0.3),
    }
    found = {
        name: float((each.predict(bags[test]) == human[test]).mean())
        for name, each in rewards.items()
    }
    agree = float(((says[train] > 0.5) == human[train]).mean())
    return {**found, "share": people / labeled, "judge": agree}


def hybrid_rows(name: str, found: Sequence[dict[str, float]], target: bool = True) -> list[Row]:
    """The three rewards of one setting, over seeds."""
    seeds = range(len(found))
    first = mean_of([each["hybrid"] - each["people"] for each in found], "share of pairs")
    second = mean_of([each["hybrid"] - each["model"] for each in found], "share of pairs")
    rows = [
        estimated(
            f"{name}: accuracy of the reward from {said}",
            mean_of([each[way] for each in found], "share of pairs"), seeds=seeds,
        )
        for way, said in (
            ("people", "all human labels"), ("model", "the model's labels"), ("hybrid", "hybrid"),
        )
    ]  # fmt: skip
    return [
        *rows,
        single(
            f"{name}: human labels used", float(np.mean([each["share"] for each in found])),
            unit="share", n=len(found), seeds=seeds,
        ),
        estimated(
            f"{name}: hybrid minus all human labels", first, seeds=seeds,
            target=">= -0.01" if target else "", met=first.value >= -0.01 if target else None,
        ),
        estimated(
            f"{name}: hybrid minus the model's labels", second, seeds=seeds,
            target="> 0" if target else "", met=second.low > 0 if target else None,
        ),
    ]  # fmt: skip


def hybrid(seeds: int) -> list[Row]:
    """Rows of (c)."""
    many = range(5 * seeds // 2)  # cheap, and a few seeds on which the router errs decide the mean
    rows = hybrid_rows("simulated", [hybrid_simulated(seed) for seed in many])
    fair = [hybrid_simulated(seed, biased=0.0) for seed in many]
    rows += hybrid_rows("simulated, a judge without bias", fair, target=False)
    if not PAIRS.exists():
        print(f"real pairs: skipped, there is no {PAIRS.name}")
        return rows
    pairs = real_pairs(PAIRS)
    for factor, labeled, said in (
        (4.0, 1400, "real pairs, a judge that goes by length from a factor of 4"),
        (4.0, 700, "the same, people alone label half of the pairs"),
        (None, 700, "the same, a judge trained on 300 pairs and leaning to length"),
    ):
        found = [hybrid_real(pairs, seed, factor, labeled) for seed in range(seeds)]
        agree = mean_of([each["judge"] for each in found], "share of pairs")
        rows.append(estimated(f"{said}: the judge agrees with people", agree, seeds=range(seeds)))
        rows += hybrid_rows(said, found)
    return rows


def lab_rows(seeds: int) -> list[Row]:
    """(a) and (b) on the items and judges of `benchmarks.judge_lab`, where it exists."""
    if importlib.util.find_spec("benchmarks.judge_lab") is None:
        print("judge_lab: skipped, there is no such module")
        return []
    lab = importlib.import_module("benchmarks.judge_lab")
    prompts = load_prompts("default")
    rule = Principle(id="p", text="Do not break it.", tier=0)
    from plumbrule.judging.panels import EnsembleMember, ask_members

    gain, found, named = [], 0, 0
    for seed in range(seeds):
        items = lab.items(300, seed)
        truth = np.array([float(each.broken) for each in items])
        kinds = [("fair", 0.5), ("fair", 0.6), ("fair", 0.7), ("fair", 0.8), ("adversarial", 0.6)]
        members = [
            EnsembleMember(
                name=str(at), prompts=prompts,
                model=lab.planted_judge(kind, strength=strength, seed=1000 * seed + at),
            )
            for at, (kind, strength) in enumerate(kinds)
        ]  # fmt: skip
        asked = [(rule, each.request, each.reply) for each in items]
        votes = ask_members(members, asked, seeds=[seed] * len(items))
        said = learned(votes)
        own = ((votes > 0.5) != truth[:, None]).mean(axis=0)
        gain.append(wrong(said.probability, truth) - float(own.min()))
        found += [each.name for each in said.members if each.answers_reverse] == ["4"]
        known = [
            KnownReply(principle_id="p", request=e.request, reply=e.reply, broken=e.broken)
            for e in items[:150]
        ]
        for kind, expected in (
            ("lenient", "says no issue"), ("strict", "says issue"),
            ("length_only", "judges length"),
        ):  # fmt: skip
            judge = EnsembleMember(
                name=kind, prompts=prompts, model=lab.planted_judge(kind, strength=1.0, seed=seed)
            )
            odds = ask_members([judge], asked[:150], seeds=[seed] * 150)[:, 0]
            answers = [
                TrialAnswer(
                    known=each,
                    log_odds=None if math.isnan(p) else float(np.log(p / (1 - p))),
                    covered=1.0,
                )
                for each, p in zip(known, np.clip(odds, 1e-9, 1 - 1e-9), strict=True)
            ]
            named += diagnose(answers).kind == expected
    shown = mean_of(gain, "share of items")
    return [
        estimated(
            "judge_lab: error of the ensemble minus the best judge's", shown, target="<= 0",
            met=shown.high <= 0, seeds=range(seeds),
        ),
        estimated("judge_lab: adversary named alone", wilson(found, seeds, unit="panels")),
        estimated(
            "judge_lab: broken critics named", wilson(named, 3 * seeds, unit="critics"),
            target="1", met=named == 3 * seeds, seeds=range(seeds),
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--part", choices=["ensembles", "critics", "hybrid", "lab"], default=None)
    given = parser.parse_args()
    few = max(5, given.seeds // 5)
    parts: dict[str, Callable[[], list[Row]]] = {
        "ensembles": lambda: ensembles(given.seeds),
        "critics": lambda: critics(given.seeds),
        "hybrid": lambda: hybrid(few),
        "lab": lambda: lab_rows(few),
    }
    table = [row for name in parts if given.part in (None, name) for row in parts[name]()]
    table = with_earlier(table, given.json) if given.part else table
    show("Ensembles, broken critics, hybrid feedback", table, given.json)
