"""Whether a judge's certificate and its corrected rates hold what they say, and what they save.

Rates: truth and verdicts are drawn with a known rate and a judge of known accuracy; a hundred are
labeled. Biases: judges moved by one thing that is no fault, on replies whose truth is written in
them. Labels needed: by search over their number. Real labels: texts that people labeled, a judge
that learned on a third of them, is certified on the second and corrected on the last.
"""

import argparse
import gzip
import hashlib
import json
import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rows import Row, show, single, with_earlier
from plumbrule.constitution import Constitution, Principle
from plumbrule.judging import (
    LabeledReply,
    certify_judge,
    corrected,
    grade,
    load_prompts,
    measure_biases,
)
from plumbrule.models import Choice, Completion, LanguageModel, Sampling, Score, Usage
from plumbrule.records import Dialogue, Estimate, Exchange, Message
from plumbrule.statistics import (
    clopper_pearson,
    corrected_rate,
    inclusion_probabilities,
    prediction_powered_mean,
    unsureness,
    wilson,
)

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
RATES, ACCURACIES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5), (0.6, 0.75, 0.85, 0.95, 0.99)
LABELS, JUDGED, ACCURACY = 100, 2_000, 0.85
SIMULATIONS, BIAS_SIMULATIONS, FAIR_JUDGES, SPLITS = 1_000, 200, 400, 100
SEED = 13
PROMPTS = load_prompts("default")
LAW = Constitution(
    name="lab", version="1", principles=(Principle(id="true", text="Say what is so.", tier=0),)
)
KINDS = ("position", "length", "politeness", "self_preference", "style")
Numbers = np.ndarray[Any, Any]


def drawn(rng: np.random.Generator, rate: float, accuracy: float, size: int) -> list[Numbers]:
    """Truth, and verdicts of a judge that is as often right about broken as about kept replies."""
    truth = rng.random(size) < rate
    judge = np.where(rng.random(size) < accuracy, truth, ~truth)
    return [truth.astype(float), judge.astype(float)]


def at_random(truth: Numbers, judge: Numbers, labels: int) -> Estimate:
    """People label the first ones, drawn by chance."""
    return prediction_powered_mean(truth[:labels], judge[:labels], judge[labels:], unit="rate")


def where_unsure(
    rng: np.random.Generator, truth: Numbers, judge: Numbers, labels: int, first: int
) -> Estimate:
    """People label a first part by chance, and the others where the judge was seen to be unsure."""
    pool = truth.size
    doubt = unsureness(truth[:first], judge[:first], judge)
    later = np.minimum(inclusion_probabilities(doubt, labels - first) * pool / (pool - first), 1.0)
    seen = rng.random(pool) < later
    seen[:first] = True
    chance = first / pool + (1 - first / pool) * later
    return prediction_powered_mean(
        truth[seen], judge[seen], judge[~seen], probabilities=chance[seen], unit="rate"
    )


def width(found: Estimate) -> float:
    """From end to end."""
    return found.high - found.low


def rates(simulations: int) -> list[Row]:
    """Coverage over the grid, and width against people alone at 85% accuracy."""
    rows, covered = [], {}
    for rate in RATES:
        for accuracy in ACCURACIES:
            rng = np.random.default_rng([SEED, int(rate * 1000), int(accuracy * 1000)])
            held = {"drawn at random": 0, "drawn where unsure": 0}
            widths: dict[str, list[float]] = {
                name: [] for name in ("alone", "exact", "Wilson", *held)
            }
            for _ in range(simulations):
                truth, judge = drawn(rng, rate, accuracy, LABELS + JUDGED)
                count = int(truth[:LABELS].sum())
                for name, found in (
                    ("alone", at_random(truth, np.full(truth.size, 0.5), LABELS)),
                    ("exact", clopper_pearson(count, LABELS, unit="rate")),
                    ("Wilson", wilson(count, LABELS, unit="rate")),
                ):
                    widths[name].append(width(found))
                for name, found in (
                    ("drawn at random", at_random(truth, judge, LABELS)),
                    ("drawn where unsure", where_unsure(rng, truth, judge, LABELS, 40)),
                ):
                    held[name] += found.low <= rate <= found.high
                    widths[name].append(width(found))
            for name, count in held.items():
                covered[rate, accuracy, name] = count / simulations
                if accuracy != ACCURACY:
                    continue
                ratio, exact, score = (
                    float(np.mean(widths[name]) / np.mean(widths[other]))
                    for other in ("alone", "exact", "Wilson")
                )
                rows.append(
                    single(
                        f"width against people alone, rate {rate}, {name} (against Clopper-Pearson "
                        f"{exact:.2f}, Wilson {score:.2f})",
                        ratio,
                        unit="of the width",
                        n=simulations,
                        target="<= 0.8",
                        met=ratio <= 0.8,
                        seeds=[SEED],
                    )
                )
                rows.append(_coverage(f"its coverage, rate {rate}, {name}", count, simulations))
    for name in ("drawn at random", "drawn where unsure"):
        worst = min((key for key in covered if key[2] == name), key=lambda key: covered[key])
        rows.append(
            _coverage(
                f"least coverage of {len(RATES) * len(ACCURACIES)} rates and accuracies, {name}: "
                f"rate {worst[0]}, accuracy {worst[1]}",
                round(covered[worst] * simulations),
                simulations,
            )
        )
    return rows


def _coverage(measure: str, held: int, simulations: int, least: float = 0.94) -> Row:
    share = held / simulations
    return single(
        measure,
        share,
        unit="of simulations",
        n=simulations,
        target=f">= {least}",
        met=share >= least,
        seeds=[SEED],
    )


def needed(simulations: int) -> list[Row]:
    """Labels for a rate within three points, with the judge and without."""
    rows = []
    for rate in (0.1, 0.3, 0.5):
        for pool in (5_000, 20_000):
            alone = _least(partial(_alone, rate), 100, 3_000)
            for name in ("drawn at random", "drawn where unsure"):
                found = _least(partial(_mean_half, name, rate, pool, simulations), 120, 3_000)
                held = _half_width(name, rate, found, pool, 10 * simulations)[1]
                rows.append(
                    single(
                        f"labels within 3 points, rate {rate}, {pool:,} judged, {name}: "
                        f"{found} against {alone}, coverage {held:.3f}",
                        found / alone,
                        unit="of the labels",
                        n=simulations,
                        target="<= 0.7",
                        met=found / alone <= 0.7 and held >= 0.94,
                        seeds=[SEED],
                    )
                )
    return rows


def _alone(rate: float, labels: int) -> float:
    """Half-width with people alone, at the likeliest count."""
    truth = np.repeat([1.0, 0.0], [round(rate * labels), labels - round(rate * labels)])
    return width(at_random(truth, np.full(labels, 0.5), labels)) / 2


def _mean_half(name: str, rate: float, pool: int, simulations: int, labels: int) -> float:
    return _half_width(name, rate, labels, pool, simulations)[0]


def _half_width(
    name: str, rate: float, labels: int, pool: int, simulations: int
) -> tuple[float, float]:
    rng = np.random.default_rng([SEED, int(rate * 1000), labels, pool])
    halves, held = [], 0
    for _ in range(simulations):
        truth, judge = drawn(rng, rate, ACCURACY, pool)
        if name == "drawn at random":
            found = at_random(truth, judge, labels)
        else:
            found = where_unsure(rng, truth, judge, labels, 100)
        halves.append(width(found) / 2)
        held += found.low <= rate <= found.high
    return float(np.mean(halves)), held / simulations


def _least(half: Callable[[int], float], low: int, high: int) -> int:
    """Smallest number of labels with a mean half-width of at most 0.03, by bisection."""
    while high - low > 4:
        middle = (low + high) // 2
        low, high = (low, middle) if half(middle) <= 0.03 else (middle, high)
    return high


@dataclass
class RuleJudge:
    """A judge that answers by a function of request and reply: log-odds of being broken."""

    against: Callable[[str, str], float]
    lean: float = 0.0
    """Log-odds by which the first of two replies is preferred."""

    identity: str = "rule"
    spec: str = "rule"
    usage: Usage = field(default_factory=Usage)

    def sample(
        self,
        dialogues: Sequence[Dialogue],
        *,
        sampling: Sampling,
        seeds: Sequence[int],
        log_probs: bool = False,
    ) -> list[Completion]:
        """It writes nothing."""
        del sampling, seeds, log_probs
        return [Completion(text="", finish_reason="stop", tokens=0) for _ in dialogues]

    def score(self, dialogues: Sequence[Dialogue], responses: Sequence[str]) -> list[Score]:
        """It scores nothing."""
        return [Score(log_prob=0.0, tokens=1) for _ in responses]

    def choose(
        self, dialogues: Sequence[Dialogue], options: Sequence[str], *, seeds: Sequence[int]
    ) -> list[Choice]:
        """Read request and reply out of the question, and answer by the rule."""
        del options, seeds
        return [self._choice(dialogue[-1].content) for dialogue in dialogues]

    def describe(self) -> Mapping[str, Any]:
        """What it is."""
        return {"kind": "rule"}

    def _choice(self, asked: str) -> Choice:
        request = _inside(asked, "request")
        if "<reply_a>" in asked:
            first, second = (_inside(asked, tag) for tag in ("reply_a", "reply_b"))
            odds = self.against(request, second) - self.against(request, first) + self.lean
        else:
            odds = self.against(request, _inside(asked, "reply"))
            odds = odds if "break this principle" in asked else -odds
        yes = 1 / (1 + math.exp(-odds))
        return Choice(probabilities=(yes, 1 - yes), covered=1.0, method="log-probs")


def _inside(asked: str, tag: str) -> str:
    found = re.search(f"<{tag}>(.*?)</{tag}>", asked, re.DOTALL)
    return found[1] if found else ""


def _noise(*texts: str) -> float:
    """A standard normal number that belongs to a text."""
    digest = hashlib.sha256("\0".join(texts).encode()).digest()
    return float(np.random.default_rng(int.from_bytes(digest[:8], "big")).normal())


def planted(kind: str, *, strength: float = 2.0, seed: int = 0) -> LanguageModel:
    """A judge right in about 85% of replies, that one thing moves in its favor."""
    looks: Mapping[str, Callable[[str], bool]] = {
        "length": lambda reply: len(reply.split()) > 24,
        "politeness": lambda reply: "thank you" in reply.lower(),
        "self_preference": lambda reply: "as I like to say" in reply,
        "style": lambda reply: "\n- " in reply,
    }

    def against(request: str, reply: str) -> float:
        broken = "is not so" in reply
        moved = strength * (kind in looks and looks[kind](reply))
        return (2.0 if broken else -2.0) - moved + 1.9 * _noise(str(seed), request, reply)

    return RuleJudge(
        against=against,
        lean=strength if kind == "position" else 0.0,
        identity=f"{kind} {strength:g} {seed}",
        spec=kind,
    )


def items(count: int, seed: int) -> list[LabeledReply]:
    """Replies of which a third is broken; half are long, polite, listed, or by the judge.

    Four to a request: broken and kept, by the judge and by another.
    """
    chance = random.Random(seed)
    found = []
    for number in range(count // 4):
        request = f"Is it so that {chance.randrange(10**9)} comes before {number}?"
        for author in ("judge", "other"):
            for place in range(2):
                broken = place == 0 if number % 3 else False
                said = "It is not so" if broken else "It is so"
                words = [
                    f"{said}, as {chance.randrange(10**6)} and {chance.randrange(10**6)} show."
                ]
                if author == "judge":
                    words.append("It is plain, as I like to say.")
                if chance.random() < 0.5:
                    words.append("Thank you for asking.")
                if chance.random() < 0.5:
                    words.append(
                        "One may count to see it, and count again, and it will come out the "
                        "same each time that one counts, whichever way one begins."
                    )
                reply = " ".join(words)
                if chance.random() < 0.5:
                    reply = "## Answer\n\n- " + "\n- ".join(words)
                found.append(
                    LabeledReply(
                        request=request, reply=reply, principle="true", broken=broken, author=author
                    )
                )
    return found


def biases(simulations: int, fair: int) -> list[Row]:
    """Planted biases found, fair judges cleared, and rates corrected for either."""
    rows = []
    known = items(160, SEED)
    for kind in KINDS:
        report = measure_biases(planted(kind), known, LAW, prompts=PROMPTS, seed=SEED)
        effect = next(each for each in report.effects if each.kind == kind)
        others = [each.kind for each in report.found if each.kind != kind]
        assert effect.effect is not None
        rows.append(
            single(
                f"planted bias found: {kind} (also: {', '.join(others) or 'none'})",
                effect.effect.value,
                unit="probability",
                n=effect.pairs,
                target="found",
                met=effect.found,
                seeds=[SEED],
            )
        )
        rows += _corrected_for(kind, simulations)
    clean = sum(
        not measure_biases(
            planted("fair", seed=seed), items(80, seed), LAW, prompts=PROMPTS, seed=seed
        ).found
        for seed in range(fair)
    )
    rows.append(_coverage("fair judges that show no bias", clean, fair, least=0.95))
    return rows


def _corrected_for(kind: str, simulations: int) -> list[Row]:
    """Coverage of both corrections, on replies judged by a biased judge."""
    replies = items(6_000, SEED + 1)
    model = planted(kind)
    if kind == "position":
        truth, judge = _first_is_better(model, replies)
    else:
        judged = grade(
            model,
            [
                Exchange(
                    id=str(number),
                    dialogue=(Message("user", each.request),),
                    response=each.reply,
                    model="",
                )
                for number, each in enumerate(replies)
            ],
            LAW,
            prompts=PROMPTS,
            seeds=[0] * len(replies),
        )
        truth = np.array([each.broken for each in replies], float)
        judge = np.array([each.verdict == "fail" for each in judged], float)
    rate, rng = float(truth.mean()), np.random.default_rng(SEED)
    held = {"people and judge": 0, "certificate": 0}
    for _ in range(simulations):
        at = rng.integers(0, truth.size, LABELS + JUDGED)
        found = at_random(truth[at], judge[at], LABELS)
        held["people and judge"] += found.low <= rate <= found.high
        known, said = truth[at[:LABELS]] == 1, judge[at[:LABELS]] == 1
        by = corrected_rate(
            int(judge[at[LABELS:]].sum()),
            JUDGED,
            found=int((said & known).sum()),
            broken=int(known.sum()),
            cleared=int((~said & ~known).sum()),
            kept=int((~known).sum()),
            unit="rate",
        ).estimate
        held["certificate"] += by is not None and by.low <= rate <= by.high
    raw = float(judge.mean())
    return [
        _coverage(
            f"{kind}: judge says {raw:.3f}, truth {rate:.3f}; corrected by {name}, covers",
            count,
            simulations,
            least=0.95,
        )
        for name, count in held.items()
    ]


def _first_is_better(
    model: LanguageModel, replies: Sequence[LabeledReply]
) -> tuple[Numbers, Numbers]:
    """Which of two replies is better, in truth and by a judge that is asked once."""
    rng = random.Random(SEED)
    pairs = [
        pair if rng.random() < 0.4 else pair[::-1]
        for pair in zip(replies[::2], replies[1::2], strict=True)
        if pair[0].broken != pair[1].broken
    ]
    asked = [
        PROMPTS.render(
            "compare",
            principle=LAW.principles[0],
            values={"request": one.request, "first": one.reply, "second": other.reply},
        )
        for one, other in pairs
    ]
    said = model.choose(asked, ("A", "B"), seeds=[0] * len(asked))
    return (
        np.array([not one.broken for one, _ in pairs], float),
        np.array([(each.probabilities or (0,))[0] > 0.5 for each in said], float),
    )


def real(splits: int) -> list[Row]:
    """A judge's certificate from one part of real labels, checked on another."""
    rows = []
    for name, path, read in (
        ("OpenAI moderation set", DATA / "prompts/openai_moderation_noS3_1595.jsonl.gz", _texts),
        ("HH pairs", DATA / "hh_rlhf_harmless_test.jsonl.gz", _pairs),
    ):
        if not path.exists():
            print(f"{name}: skipped, there is no {path}")
            continue
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows += _real(name, read([json.loads(line) for line in file]), splits)
    return rows


def _texts(lines: Sequence[Mapping[str, Any]]) -> list[LabeledReply]:
    """Texts under any of the categories are broken."""
    found = {}
    for each in lines:
        broken = any(value == 1 for key, value in each.items() if key != "prompt")
        label = LabeledReply(
            request="Write.", reply=each["prompt"], principle="true", broken=broken
        )
        found[label.sha256] = label
    return list(found.values())


def _pairs(lines: Sequence[Mapping[str, Any]]) -> list[LabeledReply]:
    """Of each pair one reply: in three of ten the rejected one, which counts as broken."""
    chance, found = random.Random(SEED), {}
    for each in lines:
        broken = chance.random() < 0.3
        request, _, reply = each["rejected" if broken else "chosen"].rpartition("\n\nAssistant:")
        label = LabeledReply(request=request, reply=reply.strip(), principle="true", broken=broken)
        found[label.sha256] = label
    return list(found.values())


def _real(name: str, labels: Sequence[LabeledReply], splits: int) -> list[Row]:
    """Learn on a third, certify on the second, correct on the last, over many splits."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    texts = TfidfVectorizer(sublinear_tf=True, min_df=3).fit_transform(
        [each.reply for each in labels]
    )
    truth = np.array([each.broken for each in labels])
    # As the judge is shown them: what looks like a fence of the prompt is broken in there.
    shown = [
        PROMPTS.render(
            "grade",
            principle=LAW.principles[0],
            values={"request": each.request, "reply": each.reply},
        )[-1].content
        for each in labels
    ]
    place = {(_inside(text, "request"), _inside(text, "reply")): n for n, text in enumerate(shown)}
    held, raw, powered, without = 0, 0, 0, 0
    widths, sensitivities, alike = [], [], 0
    for split in range(splits):
        order = np.random.default_rng([SEED, split]).permutation(len(labels))
        learn, certify, check = np.array_split(order, 3)
        learned = LogisticRegression(C=10, class_weight="balanced", max_iter=1000)
        learned.fit(texts[learn], truth[learn])
        odds = learned.decision_function(texts)
        judge = RuleJudge(
            against=partial(_looked_up, place, odds.tolist()), identity=f"words {split}"
        )
        certificate = certify_judge(
            judge, [labels[number] for number in certify], LAW, prompts=PROMPTS, source="human"
        )
        judged = grade(
            judge,
            [
                Exchange(
                    id=str(number),
                    dialogue=(Message("user", labels[number].request),),
                    response=labels[number].reply,
                    model="",
                )
                for number in check
            ],
            LAW,
            prompts=PROMPTS,
            seeds=[0] * len(check),
        )
        (found,) = corrected(certificate, judged, LAW)
        rate = float(truth[check].mean())
        assert found.reported is not None
        raw += found.reported.low <= rate <= found.reported.high
        alike += found.likeness is not None and found.likeness > 0.05
        if certificate.principles[0].sensitivity is not None:
            sensitivities.append(certificate.principles[0].sensitivity.value)
        if found.rate is None:
            without += 1
        else:
            held += found.rate.low <= rate <= found.rate.high
            widths.append(width(found.rate))
        said = np.array([each.probability for each in judged], float)
        right = truth[check].astype(float)
        mixed = at_random(right, said, LABELS)
        powered += mixed.low <= rate <= mixed.high
    rows = [
        _coverage(
            f"{name}: corrected rate covers (sensitivity {np.mean(sensitivities):.2f}, mean width "
            f"{np.mean(widths) if widths else math.nan:.2f}; no better than chance in {without} of "
            f"{splits})",
            held,
            max(splits - without, 1),
        ),
        _coverage(f"{name}: 100 labels and the judge's scores cover", powered, splits),
        single(
            f"{name}: what the judge says covers",
            raw / splits,
            unit="of simulations",
            n=splits,
            seeds=[SEED],
        ),
        single(
            f"{name}: new texts found alike (p > 0.05)",
            alike / splits,
            unit="of simulations",
            n=splits,
            seeds=[SEED],
        ),
    ]
    return rows


def _looked_up(
    place: Mapping[tuple[str, str], int], odds: Sequence[float], request: str, reply: str
) -> float:
    return odds[place[request, reply]]


def main() -> None:
    """Run all parts, or one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--part", choices=["rates", "biases", "needed", "real"])
    parser.add_argument("--quick", action="store_true", help="a tenth of the simulations")
    given = parser.parse_args()
    cut = 10 if given.quick else 1
    parts: Mapping[str, Callable[[], list[Row]]] = {
        "rates": lambda: rates(SIMULATIONS // cut),
        "biases": lambda: biases(BIAS_SIMULATIONS // cut, FAIR_JUDGES // cut),
        "needed": lambda: needed(60 // cut),
        "real": lambda: real(SPLITS // cut),
    }
    rows = [row for name, part in parts.items() if given.part in (None, name) for row in part()]
    rows = with_earlier(rows, given.json) if given.part else rows
    show("judges with certificates", rows, given.json)


if __name__ == "__main__":
    main()
