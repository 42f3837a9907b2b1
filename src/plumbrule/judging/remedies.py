"""Which remedy helps a critic that does not work: each is tried.

A remedy is anything that gives log-odds for replies after having seen others of which the verdict
is known; all are scored on the same replies, each on those that it was not fitted to.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

from plumbrule.constitution import Constitution
from plumbrule.errors import ConfigError, DataError
from plumbrule.judging.classifiers import SafetyClassifier
from plumbrule.judging.diagnosis import FALSE_ALARM, LEAST_REPLIES
from plumbrule.judging.prompts import PromptSet
from plumbrule.judging.rubrics import RubricItem, ask_rubric, rubric_rewards
from plumbrule.judging.trial import KnownReply, TrialAnswer, ask_grades, log_odds, log_odds_of
from plumbrule.models import LanguageModel
from plumbrule.records import Dialogue, Estimate, Message, strict
from plumbrule.statistics import mcnemar_exact, wilson

FOLDS = 5
"""Parts that the known replies are cut into; both replies to one request lie in the same."""


Scorer = Callable[[Sequence[KnownReply], Sequence[KnownReply]], Sequence[float | None]]
"""A remedy at work: replies whose verdict it may see, replies to score; gives log-odds of broken,
in any monotone unit, None where it has no answer."""


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """One thing to do about a critic that does not work."""

    name: str
    """As the report prints it."""

    score: Scorer

    border: bool = True
    """Whether a border is learned from the known replies; False takes the likelier answer."""


@strict
@dataclass(frozen=True, kw_only=True)
class RemedyResult:
    """How a remedy did on known replies that it was not fitted to."""

    name: str

    accuracy: Estimate
    """Share told rightly; no answer counts as wrong."""

    p_value: float | None
    """That chance makes it that much better than the critic as it is (McNemar, one-sided); None
    for the critic itself."""


@strict
@dataclass(frozen=True, kw_only=True)
class RemedyTrial:
    """All remedies, and which one is recommended."""

    results: tuple[RemedyResult, ...]
    """The critic as it is first."""

    recommended: str
    """Name of the remedy that wins; `people` where none is confirmed better than chance."""

    reason: str

    expected: Estimate | None
    """Accuracy of the recommended way, chosen on some parts and scored on the others, so that the
    choice itself is paid for; None for `people`, whom nobody examined here."""


def try_remedies(
    known: Sequence[KnownReply], remedies: Sequence[Remedy], *, seed: int = 0
) -> RemedyTrial:
    """Try each remedy on known replies, and recommend the one that does best.

    Args:
        known: Replies whose verdict is known; those without one are left out.
        remedies: The critic as it is first; of equally good ones, the earlier one is recommended,
            so put cheap ones in front.
        seed: Of the cut into parts.

    Returns:
        The remedy that tells most of the known replies rightly, each scored on replies whose
        request it has not seen. It is recommended where it does better than chance.

    Raises:
        DataError: Too few known replies to cut into parts.
        ConfigError: No remedies, or two of one name.
    """
    names = [each.name for each in remedies]
    if not names or len(set(names)) != len(names):
        raise ConfigError(f"expected remedies with names of their own, got {names}")
    asked = [each for each in known if each.broken is not None]
    truth = np.array([bool(each.broken) for each in asked])
    fold = _folds(asked, seed)
    if min(truth.sum(), (~truth).sum()) < LEAST_REPLIES or len(set(fold.tolist())) < FOLDS:
        raise DataError(
            f"remedies are tried on at least {LEAST_REPLIES} broken and as many kept replies to "
            f"{FOLDS} requests or more, got {truth.sum()} and {(~truth).sum()}; give the "
            "constitution more worked examples"
        )
    right = np.stack([_cross_validated(each, asked, fold) for each in remedies])
    counts = right.sum(axis=1)
    results = tuple(
        RemedyResult(
            name=name,
            accuracy=wilson(int(counts[at]), len(asked), unit="known replies told rightly"),
            p_value=None if at == 0 else _better(right[0], right[at]),
        )
        for at, name in enumerate(names)
    )
    best = int(counts.argmax())
    same = float(max(truth.mean(), 1 - truth.mean()))  # what whoever says one thing gets right
    chance = stats.binomtest(int(counts[best]), len(asked), same, alternative="greater")
    if chance.pvalue * len(names) > FALSE_ALARM:
        return RemedyTrial(
            results=results,
            recommended="people",
            reason=f"none does better than chance: the best, {names[best]}, tells "
            f"{counts[best]} of {len(asked)} known replies rightly",
            expected=None,
        )
    # Chosen on the other parts, scored on this one.
    chosen = [
        right[int(right[:, fold != part].sum(axis=1).argmax()), fold == part].sum()
        for part in np.unique(fold)
    ]
    return RemedyTrial(
        results=results,
        recommended=names[best],
        reason=f"it tells {counts[best]} of {len(asked)} known replies rightly, "
        f"{names[0]} {counts[0]}",
        expected=wilson(int(sum(chosen)), len(asked), unit="known replies told rightly"),
    )


def _better(before: np.ndarray, after: np.ndarray) -> float:
    """One-sided exact McNemar."""
    both = mcnemar_exact(before, after)
    return both / 2 if after.sum() > before.sum() else 1 - both / 2


def _folds(known: Sequence[KnownReply], seed: int) -> np.ndarray:
    """A part for each reply: what shares a request or a reply lies together, principles spread."""
    rng = np.random.default_rng(seed)
    group = list(range(len(known)))
    first: dict[tuple[str, str, str], int] = {}
    for at, each in enumerate(known):
        for key in ((each.principle_id, "q", each.request), (each.principle_id, "a", each.reply)):
            other = first.setdefault(key, at)
            if group[other] != group[at]:
                old, new = group[at], group[other]
                group = [new if one == old else one for one in group]
    own: dict[str, list[int]] = {}
    for number in dict.fromkeys(group):
        own.setdefault(known[number].principle_id, []).append(number)
    part: dict[int, int] = {}
    for numbers in own.values():
        for number in rng.permutation(numbers).tolist():
            part[number] = len(part) % FOLDS
    return np.array([part[number] for number in group])


def _cross_validated(remedy: Remedy, known: Sequence[KnownReply], fold: np.ndarray) -> np.ndarray:
    """Whether each reply is told rightly by what was fitted to the other parts."""
    right = np.zeros(len(known), bool)
    for part in np.unique(fold):
        test = [each for each, own in zip(known, fold, strict=True) if own == part]
        train = [each for each, own in zip(known, fold, strict=True) if own != part]
        # What is fitted knows its own examples too well, so a border needs scores from outside.
        odds = remedy.score(train, [*test, *train])
        borders = _borders(train, odds[len(test) :]) if remedy.border else {}
        for at, (each, value) in zip(
            np.flatnonzero(fold == part), zip(test, odds, strict=False), strict=True
        ):
            border = borders.get(each.principle_id, borders.get("", 0.0))
            right[at] = value is not None and (value > border) == bool(each.broken)
    return right


def _borders(known: Sequence[KnownReply], odds: Sequence[float | None]) -> dict[str, float]:
    """Halfway between broken and kept, by principle and (under "") over all."""
    found = {}
    for name in ("", *dict.fromkeys(each.principle_id for each in known)):
        means = []
        for kind in (True, False):
            values = [
                value
                for each, value in zip(known, odds, strict=True)
                if value is not None and each.broken is kind and name in ("", each.principle_id)
            ]
            if len(values) > (1 if name else 0):
                means.append(float(np.mean(values)))
        if len(means) == 2:
            found[name] = sum(means) / 2
    return found


def ask_critic(
    model: LanguageModel, constitution: Constitution, *, prompts: PromptSet, seed: int = 0
) -> Scorer:
    """The critic itself, or a larger one: asked as it will be when it grades."""
    asked = _remembered(
        lambda replies: [
            log_odds(choice, prompts.template("grade").options)
            for choice in ask_grades(
                model,
                [(constitution.principle(e.principle_id), e.request, e.reply) for e in replies],
                prompts=prompts,
                seeds=[seed] * len(replies),
            )
        ]
    )
    return lambda _, replies: asked(replies)


def ask_with_examples(
    model: LanguageModel,
    constitution: Constitution,
    *,
    prompts: PromptSet,
    count: int = 4,
    seed: int = 0,
) -> Scorer:
    """The critic with judged examples before the question, chosen for coverage.

    Examples of the principle in question come first, as many broken as kept, so that what is
    shown does not lean itself; where it has none, those of other principles stand in.

    Args:
        model: The critic.
        constitution: The principles.
        prompts: The words to ask in; the question `grade` is asked, one way round.
        count: Most examples shown, an even number.
        seed: Of the calls.
    """
    template = prompts.template("grade")
    words = {meaning: word for word, meaning in template.options.items()}

    @cache
    def chosen(texts: tuple[str, ...]) -> list[int]:
        return choose_for_coverage(texts, count // 2)

    def question(each: KnownReply) -> Dialogue:
        return prompts.render(
            "grade",
            principle=constitution.principle(each.principle_id),
            values={"request": each.request, "reply": each.reply},
        )

    def turns(train: Sequence[KnownReply], reply: KnownReply) -> list[Message]:
        others = [e for e in train if e.request != reply.request and e.reply != reply.reply]
        own = [e for e in others if e.principle_id == reply.principle_id]
        shown: list[KnownReply] = []
        for kind in (True, False):
            some = [e for e in (own or others) if e.broken is kind]
            shown += [some[at] for at in chosen(tuple(f"{e.request}\n{e.reply}" for e in some))]
        order = np.random.default_rng(seed).permutation(len(shown))
        return [
            turn
            for at in order.tolist()
            for turn in (
                question(shown[at])[-1],
                Message("assistant", words["fail" if shown[at].broken else "pass"]),
            )
        ]

    def score(train: Sequence[KnownReply], replies: Sequence[KnownReply]) -> Sequence[float | None]:
        asked = []
        for each in replies:
            *system, last = question(each)
            asked.append((*system, *turns(train, each), last))
        choices = model.choose(asked, tuple(template.options), seeds=[seed] * len(asked))
        return [log_odds(choice, template.options) for choice in choices]

    return score


def choose_for_coverage(texts: Sequence[str], count: int) -> list[int]:
    """Pick texts so that every text is close to one that was picked.

    Args:
        texts: To choose from.
        count: How many, at most.

    Returns:
        Their numbers, the one that covers most first.

    Source:
        Greedy facility location (Nemhauser, Wolsey & Fisher 1978: at least 63% of the best
        coverage), on cosines between TF-IDF vectors of words.

    Example:
        >>> choose_for_coverage(["a red cat", "a red hen", "a red fox", "my blue boat"], 2)
        [0, 3]
    """
    if not texts:
        return []
    from sklearn.feature_extraction.text import TfidfVectorizer

    near = np.asarray(_cosines(TfidfVectorizer(token_pattern=r"\w+"), texts))
    covered, picked = np.zeros(len(texts)), list[int]()
    for _ in range(min(count, len(texts))):
        gain = np.maximum(near, covered[None]).sum(axis=1).round(9)
        gain[picked] = -1
        picked.append(int(gain.argmax()))
        covered = np.maximum(covered, near[picked[-1]])
    return picked


def _cosines(vectorizer: object, texts: Sequence[str]) -> np.ndarray:
    try:
        rows = vectorizer.fit_transform(texts)  # type: ignore[attr-defined]
    except ValueError:  # no words at all: every text is like itself alone
        return np.eye(len(texts))
    return np.asarray((rows @ rows.T).toarray())


def ask_items(
    model: LanguageModel,
    constitution: Constitution,
    rubrics: Mapping[str, Sequence[RubricItem]],
    *,
    prompts: PromptSet,
    seed: int = 0,
) -> Scorer:
    """The critic asked about each item of a principle by itself; see `judging.rubrics`.

    Args:
        model: The critic.
        constitution: The principles.
        rubrics: Principle → what a reply that keeps it does, one thing an item; a principle
            without a rubric is asked about as a whole.
        prompts: The words to ask in.
        seed: Of the calls.
    """

    def ask(replies: Sequence[KnownReply]) -> list[float | None]:
        found: dict[int, float | None] = {}
        for name in dict.fromkeys(each.principle_id for each in replies):
            principle = constitution.principle(name)
            items = rubrics.get(name) or (RubricItem(text=principle.text),)
            own = [at for at, each in enumerate(replies) if each.principle_id == name]
            met = ask_rubric(
                model,
                principle,
                items,
                [(replies[at].request, replies[at].reply) for at in own],
                prompts=prompts,
                seeds=[seed] * len(own),
            )
            rewards = rubric_rewards(met, [item.weight for item in items])
            found |= dict(zip(own, rewards, strict=True))
        return [
            None if (r := found[at]) is None else log_odds_of(1 - r) for at in range(len(replies))
        ]

    asked = _remembered(ask)
    return lambda _, replies: asked(replies)


def ask_classifier(classifier: SafetyClassifier) -> Scorer:
    """An external safety classifier: which of its labels speak of a broken reply is learned."""

    def ask(replies: Sequence[KnownReply]) -> list[np.ndarray]:
        return list(np.atleast_2d(classifier([(each.request, each.reply) for each in replies])))

    asked = _remembered(ask)

    def score(train: Sequence[KnownReply], replies: Sequence[KnownReply]) -> Sequence[float | None]:
        from sklearn.linear_model import LogisticRegression

        shares, seen = (
            np.log(np.clip(np.stack(asked(each)), 1e-6, 1.0)) for each in (replies, train)
        )
        middle, scale = seen.mean(axis=0), np.maximum(seen.std(axis=0), 1e-9)
        fitted = LogisticRegression(C=1.0).fit(
            (seen - middle) / scale, [bool(each.broken) for each in train]
        )
        return [float(each) for each in fitted.decision_function((shares - middle) / scale)]

    return score


def _remembered(
    ask: Callable[[Sequence[KnownReply]], Sequence[float | None] | Sequence[np.ndarray]],
) -> Callable[[Sequence[KnownReply]], list]:  # type: ignore[type-arg]
    """Asks about each reply once, whatever the number of parts it is in."""
    told: dict[KnownReply, object] = {}

    def asked(replies: Sequence[KnownReply]) -> list:  # type: ignore[type-arg]
        new = [each for each in dict.fromkeys(replies) if each not in told]
        if new:
            told.update(zip(new, ask(new), strict=True))
        return [told[each] for each in replies]

    return asked


def recorded(answers: Sequence[TrialAnswer]) -> Scorer:
    """Whoever gave these answers, without being asked again."""
    told = {each.known: each.log_odds for each in answers}
    return lambda _, replies: [told[each] for each in replies]


def readings(own: Scorer, other: Scorer | None = None) -> list[Remedy]:
    """Remedies that need no further question where the answers are known.

    Args:
        own: The critic.
        other: Another critic, where there is one.
    """
    remedies = [
        Remedy(name="the critic as it is", score=own, border=False),
        Remedy(name="the critic's log-odds with a border", score=own),
    ]
    if other is not None:
        remedies.append(Remedy(name=ANOTHER, score=other))
    return remedies


ANOTHER = "another critic"


def usual_remedies(
    critic: LanguageModel,
    constitution: Constitution,
    *,
    prompts: PromptSet,
    larger: LanguageModel | None = None,
    classifier: SafetyClassifier | None = None,
    rubrics: Mapping[str, Sequence[RubricItem]] | None = None,
) -> list[Remedy]:
    """The remedies that the given critic, examples and models allow, the cheapest first.

    Examples in the prompt are the dearest: each known reply is asked about once a part, behind up
    to four others.

    Args:
        critic: The critic that is to be mended.
        constitution: The principles.
        prompts: The words to ask in.
        larger: Another critic, where there is one.
        classifier: From `open_classifier`, where there is one.
        rubrics: Principle → items, where somebody wrote them.
    """
    remedies = readings(ask_critic(critic, constitution, prompts=prompts))
    examples = ask_with_examples(critic, constitution, prompts=prompts)
    remedies.append(Remedy(name="examples in the prompt", score=examples))
    if rubrics:
        items = ask_items(critic, constitution, rubrics, prompts=prompts)
        remedies.append(Remedy(name="yes/no items", score=items))
    if classifier is not None:
        remedies.append(Remedy(name="a safety classifier", score=ask_classifier(classifier)))
    if larger is not None:
        score = ask_critic(larger, constitution, prompts=prompts)
        remedies.append(Remedy(name=ANOTHER, score=score))
    return remedies
