"""Several judges beside one another: how reliable each is, what they say together, who disagrees.

Judges share their errors, so that nine of them are worth about two, and the best one alone is
seldom beaten. An ensemble is for finding the items that people should look at first; what it says
itself is shown beside its best member. Axes: items x members. A vote is the probability that a
reply breaks its principle, NaN where a member did not answer; one half says nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats
from scipy.special import expit

from plumbrule.constitution import Principle
from plumbrule.errors import ConfigError, DataError
from plumbrule.judging.grading import LEAST_COVERED
from plumbrule.judging.prompts import PromptSet
from plumbrule.judging.revision import trimmed, unusable
from plumbrule.judging.trial import ask_grades, log_odds
from plumbrule.models import Choice, LanguageModel, Sampling
from plumbrule.records import Dialogue, Estimate, Message

Votes = Float[np.ndarray, "items members"]
"""Probability that the item's reply breaks its principle, by member; NaN: no answer."""

RIGHT, WRONG = 2.0, 1.0
"""Answers that every member is credited with before it is heard: two right, one wrong, for each
kind of reply. Weak, but it says which way round most judges answer; ours."""

LEAST_MEMBERS = 3
"""Independent members from whose disagreement alone reliabilities can be learned: with two, who is
right where they differ is anybody's guess (Dawid & Skene 1979)."""

COPIES, ALIKE = 0.995, 0.9
"""Correlations of two members' votes from which they are the same judge for learning, and from
which they share one vote because neither has much to add to the other. Ours."""

FALSE_ALARM = 0.01
"""Chance that any member of an honest ensemble is accused of answering the reverse."""

THOUGHT_CLAMP = (0.4, 0.6)
"""Labels made after a chain of thought are surer than they are right, so they are kept within these
(Bai et al. 2022, arXiv:2212.08073, section 4.1)."""

LEAST_KNOWN = 30
"""Known replies from which correlations between members are taken from these alone: what is learned
without them takes errors that most members share for the truth. Ours."""

_ROUNDS, _STEPS, _WARM_STEPS = 4, 300, 25


@dataclass(frozen=True, kw_only=True)
class MemberReliability:
    """What an ensemble learned of one member."""

    name: str

    sensitivity: Estimate
    """Share of broken replies that it calls broken."""

    specificity: Estimate
    """Share of kept replies that it calls kept."""

    accuracy: float
    """Share of all replies that it calls rightly, as learned."""

    weight: float
    """What its vote counts for, 1 for a member that errs by itself, 1/3 for one of three copies."""

    answers_reverse: bool
    """Whether it is confirmed to say the contrary of what the others say."""

    answered: int
    """Items it said something of."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ensemble:
    """What several judges say together, and how far they can be trusted."""

    members: tuple[MemberReliability, ...]

    probability: Float[np.ndarray, " items"]
    """Probability that each reply is broken, by all votes and what was learned."""

    disagreement: Float[np.ndarray, " items"]
    """Share of the votes, turned round where a member answers the reverse, that go against the
    combination; 0: all agree; 1 where nobody answered."""

    prevalence: float
    """Share of broken replies, as learned."""

    correlation: float | None
    """Mean correlation between two members' errors; None where no two of them vary. Too low where
    fewer than 30 replies are known: what most members get wrong then passes for right."""

    effective_votes: float | None
    """Independent judges that would be worth as much: n / (1 + (n - 1) correlation)."""

    best: str
    """The member with the highest accuracy as learned: show it beside the combination."""

    learned: bool
    """Whether reliabilities were learned; where not, all members count alike."""

    reason: str
    """How they were learned, or why not."""


def learn_reliabilities(
    votes: Votes,
    *,
    names: Sequence[str],
    families: Sequence[str] | None = None,
    known: Float[np.ndarray, " items"] | None = None,
    level: float = 0.95,
    resamples: int = 200,
    seed: int = 0,
) -> Ensemble:
    """Learn how reliable each judge is from where they disagree, and combine what they say.

    Each member has a sensitivity and a specificity; the truth of each item is unknown, or known for
    some. Both are estimated in turns until nothing moves. Members that err together beyond what
    their reliabilities explain are each counted for less, so that three copies have one vote.

    Args:
        votes: Probabilities that the reply is broken; above 0.5 is a "yes". Judges with a border
            of their own give probabilities moved to it, see `ask_members`.
        names: Of the members, all different.
        families: Members of one family are asked of the same model, say, and share one vote; None:
            each is by itself. Members that vote alike (correlation from 0.9) share one anyway.
        known: 1 for a reply known to be broken, 0 for one known to be kept, NaN for the others.
        level: Of the intervals of sensitivity and specificity.
        resamples: Bootstrap samples of the items, for the intervals.
        seed: Of the bootstrap.

    Returns:
        The ensemble. With fewer than three members that are not copies, and nothing known, no
        reliability can be learned: all are then taken as equal, and `learned` is False.

    Raises:
        DataError: No items or members, a vote outside 0 to 1, or names that do not fit.

    Source:
        Dawid & Skene (1979), "Maximum likelihood estimation of observer error-rates using the EM
        algorithm", JRSS C 28; Kish (1965) for effective votes. The prior, the discount for
        correlated members and the test for reversed ones are ours.

    Example:
        >>> truth = np.tile([1.0, 0.0], 50)
        >>> wrong = truth.copy()
        >>> wrong[:20] = 1 - wrong[:20]
        >>> other = truth.copy()
        >>> other[30:45] = 1 - other[30:45]
        >>> third = truth.copy()
        >>> third[60:70] = 1 - third[60:70]
        >>> found = learn_reliabilities(
        ...     np.stack([wrong, other, third], 1), names=["a", "b", "c"], resamples=50
        ... )
        >>> found.best, bool(((found.probability > 0.5) == truth).all())
        ('c', True)
    """
    given = check_votes(votes, names)
    truth = _check_known(known, len(given))
    anchored = bool(np.isfinite(truth).any())
    answering = np.isfinite(given).any(axis=0)
    independent = len(set(_families(given, families, COPIES)[answering].tolist()))
    learned = anchored or independent >= LEAST_MEMBERS
    table = _Table.of(given, truth)
    groups = _families(given, families, ALIKE if learned else math.inf)
    same = groups[:, None] == groups[None, :]
    trusted = np.isfinite(table.truth)
    if (table.counts * trusted).sum() < LEAST_KNOWN:
        trusted = np.ones(len(trusted), bool)
    rho = same.astype(float)
    state = table.start(same)
    for _ in range(_ROUNDS):
        weights = 1 / rho.sum(axis=1)
        state = table.fit(table.counts[None], state, weights, steps=_STEPS, learned=learned)
        if not learned:
            break
        rho = np.maximum(same, _residual_correlation(table, state, weights, trusted))
    broken = table.posterior(state, weights)[0]
    reverse = _reversed(table, state, weights, same, learned)
    sensitivity, specificity = _intervals(table, state, weights, level, resamples, seed, learned)
    accuracy = (
        state.prevalence[0] * state.right[0, 1] + (1 - state.prevalence[0]) * state.right[0, 0]
    )
    members = tuple(
        MemberReliability(
            name=str(name),
            sensitivity=sensitivity[at],
            specificity=specificity[at],
            accuracy=float(accuracy[at]),
            weight=float(weights[at]),
            answers_reverse=bool(reverse[at]),
            answered=int(np.isfinite(given[:, at]).sum()),
        )
        for at, name in enumerate(names)
    )
    shown = np.where(reverse, 1 - table.said, table.said)
    used = trusted[table.item]
    correlation = mean_error_correlation(
        np.where(table.heard, shown, np.nan)[table.item][used], broken[table.item][used]
    )
    return Ensemble(
        members=members,
        probability=broken[table.item],
        disagreement=_disagreement(table, shown, broken)[table.item],
        prevalence=float(state.prevalence[0]),
        correlation=correlation,
        effective_votes=None if correlation is None else effective_votes(len(names), correlation),
        best=max(members, key=lambda each: each.accuracy).name,
        learned=learned,
        reason=_how(learned, anchored, independent, truth),
    )


def most_disputed(ensemble: Ensemble, count: int) -> Int[np.ndarray, " chosen"]:
    """The items that people should see first, the most disputed in front.

    Args:
        ensemble: What the members said.
        count: How many.

    Returns:
        Their numbers: nearest to one half first, of equal ones those more of the votes go against.
    """
    sure = np.abs(ensemble.probability - 0.5).round(9)
    order = np.lexsort((-ensemble.disagreement, sure))
    return np.asarray(order[:count])


def effective_votes(members: int, correlation: float) -> float:
    """How many judges without common errors are worth as much as these.

    Args:
        members: Judges.
        correlation: Mean correlation between two judges' errors; below 0 counts as 0.

    Source:
        Kish (1965), "Survey Sampling": the design effect 1 + (n - 1) rho.

    Example:
        >>> round(effective_votes(9, 0.45), 2)
        1.96
    """
    return members / (1 + (members - 1) * max(correlation, 0.0))


def mean_error_correlation(votes: Votes, truth: Float[np.ndarray, " items"]) -> float | None:
    """Mean correlation between two judges' errors, over all pairs that vary.

    Args:
        votes: Probabilities; above 0.5 is a "yes", NaN and 0.5 no answer.
        truth: 1 broken, 0 kept; or the probability of it, where it is not known.

    Returns:
        From -1 to 1; None where no pair of judges both err on some and not on all items.
    """
    said, heard = _said(votes)
    # Expected products of errors: an error of a "yes" has the probability that it is kept.
    found = []
    for one in range(said.shape[1]):
        for two in range(one):
            both = heard[:, one] & heard[:, two]
            if both.sum() < 2:
                continue
            yes = truth[both]
            first, second = said[both, one], said[both, two]
            wrong_1 = yes * (1 - first) + (1 - yes) * first
            wrong_2 = yes * (1 - second) + (1 - yes) * second
            together = yes * (1 - first) * (1 - second) + (1 - yes) * first * second
            rate_1, rate_2 = wrong_1.mean(), wrong_2.mean()
            scale = math.sqrt(rate_1 * (1 - rate_1) * rate_2 * (1 - rate_2))
            if scale > 1e-9:
                found.append((together.mean() - rate_1 * rate_2) / scale)
    return float(np.mean(found)) if found else None


def check_votes(votes: Votes, names: Sequence[str]) -> Votes:
    """Refuse votes that are none.

    Raises:
        DataError: No items or members, a vote outside 0 to 1, a member without a name of its own.
    """
    given = np.asarray(votes)
    if given.ndim != 2 or given.dtype.kind not in "biuf" or 0 in given.shape:
        raise DataError(
            "votes must be a table of numbers, items x members, with some of both; got "
            f"{given.dtype} of shape {given.shape}. Put NaN where a member did not answer."
        )
    given = given.astype(float)
    outside = ~(np.isnan(given) | ((given >= 0) & (given <= 1)))
    if outside.any():
        item, member = (int(each) for each in np.argwhere(outside)[0])
        raise DataError(
            "a vote must be a probability from 0 to 1, or NaN for no answer; item "
            f"{item}, member {member} has {given[item, member]}"
        )
    if len(names) != given.shape[1] or len(set(names)) != len(names):
        raise DataError(
            f"expected {given.shape[1]} different names, one a member, got {list(names)}"
        )
    return given


def _check_known(known: Float[np.ndarray, " items"] | None, items: int) -> np.ndarray:
    truth = np.full(items, np.nan) if known is None else np.asarray(known, float)
    if truth.shape != (items,) or not (np.isnan(truth) | np.isin(truth, (0.0, 1.0))).all():
        raise DataError(
            f"what is known must be 1, 0 or NaN for each of {items} items, "
            f"got an array of shape {truth.shape} with {np.unique(truth)[:5]}"
        )
    return truth


def _said(votes: Votes) -> tuple[np.ndarray, np.ndarray]:
    """Votes as 1 and 0, and where there is one: one half says nothing."""
    heard = np.isfinite(votes) & (votes != 0.5)
    return np.where(heard, votes > 0.5, 0).astype(float), heard


def _families(votes: Votes, families: Sequence[str] | None, alike: float) -> np.ndarray:
    """Number of the family of each member; members whose votes correlate so much are one."""
    said, heard = _said(votes)
    count = votes.shape[1]
    if families is not None and len(families) != count:
        raise DataError(f"expected a family for each of {count} members, got {len(families)}")
    group = np.arange(count) if families is None else np.unique(families, return_inverse=True)[1]
    for one in range(count):
        for two in range(one):
            both = heard[:, one] & heard[:, two]
            first, second = said[both, one], said[both, two]
            varied = both.sum() > 1 and first.std() > 0 and second.std() > 0
            if varied and np.corrcoef(first, second)[0, 1] >= alike:
                group = np.where(group == group[one], group[two], group)
    return np.asarray(group)


@dataclass(frozen=True, kw_only=True)
class _State:
    """What is believed of the members. Axes: resamples, kind (kept, broken), member."""

    prevalence: Float[np.ndarray, " resamples"]
    right: Float[np.ndarray, "resamples 2 members"]


@dataclass(frozen=True, kw_only=True)
class _Table:
    """Different rows of votes and how often each occurs: what is learned depends on these alone."""

    said: Float[np.ndarray, "rows members"]
    heard: Bool[np.ndarray, "rows members"]
    truth: Float[np.ndarray, " rows"]
    counts: Float[np.ndarray, " rows"]
    item: Int[np.ndarray, " items"]
    """Row of each item."""

    @classmethod
    def of(cls, votes: Votes, truth: np.ndarray) -> "_Table":
        said, heard = _said(votes)
        code = np.column_stack([np.where(heard, said, -1), np.where(np.isnan(truth), -1, truth)])
        rows, item, counts = np.unique(code, axis=0, return_inverse=True, return_counts=True)
        return cls(
            said=np.maximum(rows[:, :-1], 0),
            heard=rows[:, :-1] >= 0,
            truth=np.where(rows[:, -1] < 0, np.nan, rows[:, -1]),
            counts=counts.astype(float),
            item=item.reshape(-1),
        )

    def start(self, same: np.ndarray) -> _State:
        """Where to begin: with what most families say, and where they tie, most members."""
        broken = np.zeros(len(self.said))
        for share, weights in ((0.75, self.heard / same.sum(axis=1)), (0.25, self.heard * 1.0)):
            total = weights.sum(axis=1)
            yes = (weights * self.said).sum(axis=1)
            broken += share * np.where(total > 0, yes / np.maximum(total, 1e-12), 0.5)
        return self.learn(self.counts[None], self.anchored(broken[None]))

    def anchored(self, broken: np.ndarray) -> np.ndarray:
        """What is known is known, whatever the votes."""
        return np.where(np.isnan(self.truth), broken, np.nan_to_num(self.truth))

    def learn(self, counts: np.ndarray, broken: np.ndarray) -> _State:
        """Reliabilities from what is believed of the items, with the prior."""
        yes, no = self.heard * self.said, self.heard * (1 - self.said)
        right = []
        for share, hit in ((1 - broken, no), (broken, yes)):
            weighed = counts * share
            right.append((weighed @ hit + RIGHT) / (weighed @ self.heard + RIGHT + WRONG))
        total = counts.sum(axis=1)
        return _State(
            prevalence=((counts * broken).sum(axis=1) + 1) / (total + 2),
            right=np.stack(right, axis=1),
        )

    def evidence(self, state: _State, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log-odds that a member's "yes" and "no" add, in nats. Axes: resamples, members."""
        kept, broken = state.right[:, 0], state.right[:, 1]
        return np.log(broken / (1 - kept)) * weights, np.log((1 - broken) / kept) * weights

    def posterior(self, state: _State, weights: np.ndarray) -> np.ndarray:
        """What is believed of the items. Axes: resamples, rows."""
        yes, no = self.evidence(state, weights)
        prior = np.log(state.prevalence / (1 - state.prevalence))[:, None]
        odds = prior + yes @ (self.heard * self.said).T + no @ (self.heard * (1 - self.said)).T
        return self.anchored(expit(odds))

    def fit(
        self, counts: np.ndarray, state: _State, weights: np.ndarray, *, steps: int, learned: bool
    ) -> _State:
        """Expectation and maximization in turns, until nothing moves."""
        if not learned:  # all alike, by the prior alone
            level = RIGHT / (RIGHT + WRONG)
            return _State(
                prevalence=np.full(len(counts), 0.5), right=np.full_like(state.right, level)
            )
        for _ in range(steps):
            new = self.learn(counts, self.posterior(state, weights))
            moved = np.abs(new.right - state.right).max()
            state = new
            if moved < 1e-7:
                break
        return state


def _residual_correlation(
    table: _Table, state: _State, weights: np.ndarray, trusted: np.ndarray
) -> np.ndarray:
    """Correlation of two members' votes given the truth; what luck may bring counts as none."""
    broken = table.posterior(state, weights)[0]
    counts = table.counts * trusted
    cross = np.zeros((len(weights), len(weights)))
    for kind, share in ((0, 1 - broken), (1, broken)):
        rate = state.right[0, kind] if kind else 1 - state.right[0, kind]
        off = np.where(table.heard, table.said - rate, 0.0)
        cross += (off * (counts * share)[:, None]).T @ off
    both = (table.heard * counts[:, None]).T @ table.heard.astype(float)
    scale = np.sqrt(np.maximum(np.diag(cross), 1e-12))
    rho = np.clip(cross / np.outer(scale, scale), -1, 1)
    return np.where(rho > 3 / np.sqrt(np.maximum(both, 1)), rho, 0.0)


def _reversed(
    table: _Table, state: _State, weights: np.ndarray, same: np.ndarray, learned: bool
) -> np.ndarray:
    """Members that say the contrary of what the others and the known replies say.

    Each is held against the combination without it and its family, by Fisher's exact test.
    """
    evidence = table.heard * np.where(table.said > 0, *table.evidence(state, weights))
    prior = math.log(state.prevalence[0] / (1 - state.prevalence[0]))
    members = len(weights)
    found = np.zeros(members, bool)
    if not learned and members < LEAST_MEMBERS:  # either would accuse the other
        return found
    for at in range(members):
        others = np.where(same[at], 0.0, evidence).sum(axis=1)
        told = (np.abs(others) > 1e-9) | np.isfinite(table.truth)
        broken = table.anchored(expit(prior + others)) > 0.5
        used = table.heard[:, at] & told
        yes = table.said[:, at] > 0
        cells = [
            [table.counts[used & (yes == one) & (broken == two)].sum() for two in (True, False)]
            for one in (True, False)
        ]
        p_value = stats.fisher_exact(np.asarray(cells, int), alternative="less").pvalue
        turned = not learned or state.right[0, :, at].sum() < 1
        found[at] = bool(turned and p_value * members <= FALSE_ALARM)
    return found


def _intervals(
    table: _Table,
    state: _State,
    weights: np.ndarray,
    level: float,
    resamples: int,
    seed: int,
    learned: bool,
) -> tuple[list[Estimate], list[Estimate]]:
    """Sensitivities and specificities with intervals, from items drawn anew.

    The bootstrap's variance says how many plain observations the estimate is worth; an interval
    for proportions of that many keeps its width near 0 and 1.
    """
    broken = table.posterior(state, weights)[0]
    rng = np.random.default_rng(seed)
    items = int(table.counts.sum())
    if learned and resamples > 1:
        drawn = rng.multinomial(items, table.counts / items, size=resamples).astype(float)
        start = replace(
            state,
            prevalence=np.repeat(state.prevalence, resamples),
            right=np.repeat(state.right, resamples, axis=0),
        )
        again = table.fit(drawn, start, weights, steps=_WARM_STEPS, learned=True)
        variance = again.right.var(axis=0)
    else:
        variance = np.full(state.right.shape[1:], np.inf)
    found: list[list[Estimate]] = []
    for kind, share in ((1, broken), (0, 1 - broken)):
        heard = (table.counts * share) @ table.heard
        row = []
        for at, value in enumerate(state.right[0, kind].tolist()):
            plain = value * (1 - value) / max(float(variance[kind, at]), 1e-12)
            worth = min(float(heard[at]), plain)
            tail = (1 - level) / 2
            low, high = stats.beta.ppf(
                [tail, 1 - tail], value * worth + 0.5, (1 - value) * worth + 0.5
            )
            row.append(
                Estimate(
                    value=value,
                    low=min(float(low), value),
                    high=max(float(high), value),
                    level=level,
                    n=round(float(heard[at])),
                    unit="replies of this kind told rightly",
                    method="Dawid-Skene, bootstrap variance, Jeffreys interval",
                )
            )
        found.append(row)
    return found[0], found[1]


def _disagreement(table: _Table, shown: np.ndarray, broken: np.ndarray) -> np.ndarray:
    against = table.heard & ((shown > 0.5) != (broken > 0.5)[:, None])
    heard = table.heard.sum(axis=1)
    return np.where(heard > 0, against.sum(axis=1) / np.maximum(heard, 1), 1.0)


def _how(learned: bool, anchored: bool, independent: int, truth: np.ndarray) -> str:
    if anchored:
        return f"learned from disagreement, and from {np.isfinite(truth).sum()} known replies"
    if learned:
        return f"learned from disagreement between {independent} independent members"
    return (
        f"not learned: {independent} independent members, {LEAST_MEMBERS} are needed where nothing "
        "is known; add judges of another kind, or replies whose verdict is known"
    )


@dataclass(frozen=True, kw_only=True)
class EnsembleMember:
    """A judge with its words: another model, or the same in another prompt set."""

    name: str
    model: LanguageModel
    prompts: PromptSet

    borders: Mapping[str, float] = field(default_factory=dict)
    """Principle → log-odds above which this judge's word is "broken", from its trial."""


def ask_members(
    members: Sequence[EnsembleMember],
    asked: Sequence[tuple[Principle, str, str]],
    *,
    seeds: Sequence[int],
) -> Votes:
    """Ask every member about the same replies.

    Args:
        members: Models, or variations of the words put to them. For `learn_reliabilities`, those
            of one model are one family: `families=[each.model.identity for each in members]`.
        asked: Principle, request and reply.
        seeds: One an item.

    Returns:
        Votes, moved so that a member's border lies at one half. A member without a border that puts
        less than half of its probability on the offered answers has not answered.
    """
    votes = np.full((len(asked), len(members)), np.nan)
    for at, member in enumerate(members):
        options = member.prompts.template("grade").options
        choices = ask_grades(member.model, asked, prompts=member.prompts, seeds=seeds)
        for item, (choice, (principle, _, _)) in enumerate(zip(choices, asked, strict=True)):
            against = log_odds(choice, options)
            border = member.borders.get(principle.id)
            if against is not None and (border is not None or choice.covered >= LEAST_COVERED):
                votes[item, at] = expit(against - (border or 0.0))
    return votes


def label_pairs(
    model: LanguageModel,
    dialogues: Sequence[Dialogue],
    options: Sequence[str],
    *,
    seeds: Sequence[int],
    thoughts: int = 0,
    max_new_tokens: int = 256,
) -> list[float | None]:
    """Ask which of two answers is right: directly, or after a chain of thought.

    Args:
        model: The judge.
        dialogues: The questions, such as the `compare` template gives; the last turn is a user's.
        options: The two answers.
        seeds: One a question.
        thoughts: How often it thinks before it answers; 0 asks directly.
        max_new_tokens: Longest thought.

    Returns:
        Probability of the first answer: as it is where asked directly; after thoughts, the mean
        over them, kept within 0.4 to 0.6. None where no answer came.

    Raises:
        ConfigError: There are not exactly two answers, or fewer than 0 thoughts.

    Source:
        Bai et al. (2022), "Constitutional AI", arXiv:2212.08073, section 4.1.
    """
    if len(options) != 2 or thoughts < 0:
        raise ConfigError(
            f"expected two answers and 0 or more thoughts, got {list(options)} and {thoughts}"
        )
    if not thoughts:
        return [_first(each) for each in model.choose(dialogues, options, seeds=seeds)]
    heard: list[list[float]] = [[] for _ in dialogues]
    sampling = Sampling(temperature=1.0, max_new_tokens=max_new_tokens)
    for turn in range(thoughts):
        own = [seed * thoughts + turn for seed in seeds]
        opened = [_think(dialogue) for dialogue in dialogues]
        said = [trimmed(each) for each in model.sample(opened, sampling=sampling, seeds=own)]
        usable = [at for at, each in enumerate(said) if unusable(each) is None]
        asked = [
            (
                *opened[at],
                Message("assistant", said[at].text),
                Message("user", f"So which is it? Answer {options[0]} or {options[1]} alone."),
            )
            for at in usable
        ]
        chosen = model.choose(asked, options, seeds=[own[at] for at in usable])
        for at, choice in zip(usable, chosen, strict=True):
            if (first := _first(choice)) is not None:
                heard[at].append(first)
    low, high = THOUGHT_CLAMP
    return [min(max(float(np.mean(each)), low), high) if each else None for each in heard]


def _think(dialogue: Dialogue) -> Dialogue:
    asked = dialogue[-1].content
    return (
        *dialogue[:-1],
        Message("user", f"{asked}\n\nFirst think it over in a few sentences; answer afterwards."),
    )


def _first(choice: Choice) -> float | None:
    return None if choice.probabilities is None else choice.probabilities[0]
