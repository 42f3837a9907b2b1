import numpy as np
import pytest
from tests.fakes import ScriptedModel

from plumbrule.constitution import Principle
from plumbrule.errors import ConfigError, DataError
from plumbrule.judging import load_prompts
from plumbrule.judging.ensembles import learn_reliabilities, most_disputed
from plumbrule.judging.panels import EnsembleMember, ask_members, label_pairs
from plumbrule.judging.votes import effective_votes, mean_error_correlation
from plumbrule.records import Message

PROMPTS = load_prompts("default")
RULE = Principle(id="kind", text="Be kind.", tier=0)


def planted(accuracies, items=400, seed=0, prevalence=0.4):
    """Truth, and votes of members that err by themselves; below 0.5 they say the reverse."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(items) < prevalence).astype(float)
    right = rng.random((items, len(accuracies))) < np.asarray(accuracies)
    return truth, np.where(right, truth[:, None], 1 - truth[:, None])


def names(votes):
    return [f"m{at}" for at in range(votes.shape[1])]


def learn(votes, **more):
    return learn_reliabilities(votes, names=names(votes), **{"resamples": 40, **more})


def errors(found, truth):
    return ((found.probability > 0.5) != truth).mean()


def test_reliabilities_are_learned_from_disagreement_alone():
    truth, votes = planted([0.9, 0.8, 0.7, 0.85, 0.65], items=4000)

    found = learn(votes)

    for at, member in enumerate(found.members):
        broken = votes[truth == 1, at]
        assert member.sensitivity.value == pytest.approx(broken.mean(), abs=0.03)
        assert member.specificity.value == pytest.approx(1 - votes[truth == 0, at].mean(), abs=0.03)
    assert found.best == "m0"
    assert found.prevalence == pytest.approx(0.4, abs=0.03)


def test_it_finds_what_an_independent_implementation_finds():
    """Plain EM, written item by item, with the same prior and start."""
    _, votes = planted([0.85, 0.75, 0.7, 0.8], items=150, seed=3)
    broken = votes.mean(axis=1)
    for _ in range(300):
        prevalence = (broken.sum() + 1) / (len(votes) + 2)
        sens = [(broken @ v + 2) / (broken.sum() + 3) for v in votes.T]
        spec = [((1 - broken) @ (1 - v) + 2) / ((1 - broken).sum() + 3) for v in votes.T]
        for item, row in enumerate(votes):
            one, two = prevalence, 1 - prevalence
            for vote, se, sp in zip(row, sens, spec, strict=True):
                one *= se if vote else 1 - se
                two *= 1 - sp if vote else sp
            broken[item] = one / (one + two)

    found = learn(votes)

    if all(member.weight == 1.0 for member in found.members):
        assert found.probability == pytest.approx(broken, abs=1e-4)
        assert [m.sensitivity.value for m in found.members] == pytest.approx(sens, abs=1e-4)
    else:  # the test must compare something
        raise AssertionError("members that err by themselves were discounted")


@pytest.mark.parametrize("seed", range(5))
def test_an_adversarial_member_is_found_and_does_no_harm(seed):
    truth, votes = planted([0.85, 0.8, 0.8, 0.75, 0.15], seed=seed)

    found = learn(votes)

    assert [m.name for m in found.members if m.answers_reverse] == ["m4"]
    best = (votes != truth[:, None]).mean(axis=0).min()
    assert errors(found, truth) <= best


def test_without_an_adversary_nobody_is_accused():
    accused = 0
    for seed in range(40):
        _, votes = planted([0.8, 0.7, 0.6, 0.55, 0.5], items=200, seed=seed)
        accused += any(m.answers_reverse for m in learn(votes, resamples=0).members)

    assert accused <= 1


def test_perfect_judges_do_not_hide_an_adversary():
    truth, votes = planted([1.0, 1.0, 1.0, 1.0, 0.0])

    found = learn(votes)

    assert [m.name for m in found.members if m.answers_reverse] == ["m4"]
    assert errors(found, truth) == 0


def test_copies_count_once():
    truth, votes = planted([0.7, 0.85, 0.85], items=2000, seed=1)
    copied = np.column_stack([votes[:, [0, 0, 0]], votes[:, 1:]])

    found = learn(copied)

    assert [round(m.weight, 2) for m in found.members] == [0.33, 0.33, 0.33, 1.0, 1.0]
    assert errors(found, truth) <= errors(learn(votes), truth) + 0.005
    majority = ((copied.mean(axis=1) > 0.5) != truth).mean()
    assert errors(found, truth) < majority - 0.05


def test_members_of_one_family_share_one_vote():
    _, votes = planted([0.8] * 4)

    found = learn(votes, families=["a", "a", "b", "c"])

    assert [m.weight for m in found.members][:2] == [0.5, 0.5]


def test_known_replies_anchor_what_disagreement_cannot_tell():
    """Three of five say the reverse: only somebody who knows can tell which side is right."""
    truth, votes = planted([0.2, 0.2, 0.2, 0.85, 0.85], seed=2)
    known = np.where(np.arange(len(truth)) < 30, truth, np.nan)

    blind, told = learn(votes), learn(votes, known=known)

    assert errors(blind, truth) > 0.5
    assert errors(told, truth) < 0.1
    assert [m.answers_reverse for m in told.members] == [True] * 3 + [False] * 2
    assert "30 known replies" in told.reason


def test_two_members_alone_teach_nothing_and_it_says_so():
    _, votes = planted([0.9, 0.6])

    found = learn(votes)

    assert not found.learned
    assert "3 are needed" in found.reason
    assert not any(m.answers_reverse for m in found.members)
    assert found.probability[votes[:, 0] != votes[:, 1]] == pytest.approx(0.5)


def test_intervals_cover_the_truth():
    covered, total, width = 0, 0, []
    for seed in range(40):
        _, votes = planted([0.9, 0.8, 0.7, 0.75, 0.85], items=300, seed=seed)
        for member, true in zip(
            learn(votes, resamples=60).members, [0.9, 0.8, 0.7, 0.75, 0.85], strict=True
        ):
            for found in (member.sensitivity, member.specificity):
                covered += found.low <= true <= found.high
                total += 1
                width.append(found.high - found.low)

    assert covered / total >= 0.92
    assert np.mean(width) < 0.3


def test_missing_answers_and_one_half_say_nothing():
    truth, votes = planted([0.9, 0.85, 0.8, 0.8])
    holes = votes.copy()
    holes[::3, 0], holes[1::3, 1] = np.nan, 0.5

    found = learn(holes)

    assert found.members[0].answered == np.isfinite(holes[:, 0]).sum()
    assert errors(found, truth) < 0.15
    holes[:, 3] = 0.5
    without = learn(holes[:, :3])
    assert learn(holes).probability == pytest.approx(without.probability, abs=1e-3)


def test_the_order_of_members_and_items_does_not_matter():
    _, votes = planted([0.9, 0.8, 0.7, 0.2])
    order = np.random.default_rng(0).permutation(len(votes))

    plain = learn_reliabilities(votes, names=list("abcd"), resamples=0)
    turned = learn_reliabilities(votes[order][:, ::-1], names=list("dcba"), resamples=0)

    assert turned.probability == pytest.approx(plain.probability[order], abs=1e-6)


def test_errors_lie_where_members_disagree():
    truth, votes = planted([0.85, 0.8, 0.75, 0.8, 0.7], items=2000)
    found = learn(votes)
    wrong = (found.probability > 0.5) != truth

    first = most_disputed(found, 400)

    assert wrong[first].sum() > 0.7 * wrong.sum()
    assert len(set(first.tolist())) == 400


def test_an_item_that_nobody_answered_is_disputed():
    _, votes = planted([0.9, 0.9, 0.9])
    votes[7] = np.nan

    found = learn(votes)

    assert found.disagreement[7] == 1.0
    assert found.probability[7] == pytest.approx(found.prevalence)


def test_effective_votes_are_what_the_correlation_leaves():
    rng = np.random.default_rng(0)
    truth = (rng.random(4000) < 0.5).astype(float)
    # Errors share a coin: two members' errors correlate by 0.36.
    shared = rng.random((4000, 1)) < 0.2
    takes = rng.random((4000, 5)) < 0.6
    own = rng.random((4000, 5)) < 0.2
    votes = np.where(np.where(takes, shared, own), 1 - truth[:, None], truth[:, None])

    rho = mean_error_correlation(votes, truth)

    assert rho is not None
    assert rho == pytest.approx(0.36, abs=0.04)
    assert rho == pytest.approx(
        np.corrcoef((votes != truth[:, None]).T)[np.triu_indices(5, 1)].mean(), abs=1e-9
    )
    assert effective_votes(5, rho) == pytest.approx(5 / (1 + 4 * 0.36), abs=0.15)
    _, apart = planted([0.8] * 5, items=4000)
    assert learn(apart).effective_votes > 4.5


def test_judges_that_never_err_have_no_correlation():
    truth, votes = planted([1.0, 1.0])

    assert mean_error_correlation(votes, truth) is None


@pytest.mark.parametrize(
    "votes",
    [np.zeros((0, 3)), np.zeros(3), np.full((4, 2), 1.5), np.full((4, 2), -0.1),
     np.array([["a", "b"]]), np.full((4, 2), np.inf)],
)  # fmt: skip
def test_votes_that_are_none_are_refused(votes):
    with pytest.raises(DataError):
        learn_reliabilities(votes, names=["a", "b"])


@pytest.mark.parametrize(
    "more",
    [{"known": np.zeros(3)}, {"known": np.full(400, 0.5)}, {"families": ["a"]}],
)
def test_what_does_not_fit_the_votes_is_refused(more):
    _, votes = planted([0.9, 0.8, 0.7])
    with pytest.raises(DataError):
        learn(votes, **more)


def judge(share):
    """Says that a reply is broken with a probability that its text decides."""

    def odds(asked, options):
        graded = PROMPTS.template("grade" if "break this" in asked else "grade_again")
        fail = share(asked)
        return [{"fail": fail, "pass": 1 - fail}[graded.options[option]] for option in options]

    return odds


def test_members_are_asked_by_their_own_words_and_borders():
    sees = ScriptedModel(odds=judge(lambda asked: 0.2 if "BAD" in asked else 0.1))
    silent = ScriptedModel(odds=lambda *_: None)
    prose = ScriptedModel(covered=0.1)
    members = [
        EnsembleMember(name="plain", model=sees, prompts=PROMPTS),
        EnsembleMember(name="moved", model=sees, prompts=PROMPTS, borders={"kind": -1.8}),
        EnsembleMember(name="silent", model=silent, prompts=PROMPTS),
        EnsembleMember(name="prose", model=prose, prompts=PROMPTS),
    ]

    votes = ask_members(members, [(RULE, "Q", "BAD"), (RULE, "Q", "good")], seeds=[0, 1])

    assert votes[:, 0] == pytest.approx([0.2, 0.1])
    assert (votes[:, 1] > 0.5).tolist() == [True, False]
    assert np.isnan(votes[:, 2:]).all()


def test_labels_after_a_thought_are_kept_near_one_half():
    asked = [(Message("user", "Which, A or B?"),)]
    sure = ScriptedModel(answer=lambda _: "I think so.", odds=lambda *_: [0.99, 0.01])

    assert label_pairs(sure, asked, ["A", "B"], seeds=[0]) == [0.99]
    assert label_pairs(sure, asked, ["A", "B"], seeds=[0], thoughts=3) == [0.6]
    assert [turn.role for turn in sure.asked[-1]] == ["user", "assistant", "user"]
    mute = ScriptedModel(answer=lambda _: "")
    assert label_pairs(mute, asked, ["A", "B"], seeds=[0], thoughts=2) == [None]
    with pytest.raises(ConfigError):
        label_pairs(sure, asked, ["A", "B", "C"], seeds=[0])
