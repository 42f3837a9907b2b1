import itertools
import random

import numpy as np
import pytest
from tests.fakes import ScriptedModel

from plumbrule.constitution import Constitution, CritiqueExample, Principle
from plumbrule.errors import ConfigError, DataError
from plumbrule.judging import TrialAnswer, known_replies, load_prompts, try_judge
from plumbrule.judging.diagnosis import diagnose, try_critiques
from plumbrule.judging.remedies import (
    Remedy,
    ask_classifier,
    ask_critic,
    choose_for_coverage,
    try_remedies,
    usual_remedies,
)
from plumbrule.judging.rubrics import RubricItem

PROMPTS = load_prompts("default")
WORDS = ["river", "apple", "stone", "cloud", "bread", "tiger", "lamp"]


def principle(name, examples=6):
    """Broken replies hold the word BAD; which of both is longer changes from one to the next."""
    return Principle(
        id=name,
        text=f"Keep {name}.",
        tier=0,
        critique_examples=tuple(
            CritiqueExample(
                request=f"{name} {number} {WORDS[number % 7]}?",
                reply=f"BAD {name} {number}" + " more words" * (4 * (number % 2)),
                critique="It is bad.",
                revision=f"GOOD {name} {number}" + " more words" * (4 * ((number + 1) % 2)),
            )
            for number in range(examples)
        ),
    )


LAW = Constitution(
    name="law", version="1", principles=tuple(principle(f"p{at}") for at in range(4))
)
KNOWN = [each for each in known_replies(LAW) if each.broken is not None]


def reply_in(asked):
    return asked.rsplit("<reply>", 1)[1].split("</reply>")[0]


def judge(share):
    """A judge that gives `fail` this share, whichever way round it is asked."""

    def odds(asked, options):
        last = asked.rsplit("Principle:", 1)[1]
        meanings = PROMPTS.template("grade" if "break this" in last else "grade_again").options
        fail = share(reply_in(asked))
        return [{"fail": fail, "pass": 1 - fail}[meanings[option]] for option in options]

    return ScriptedModel(odds=odds)


def noisy(rng, spread=0.05):
    return rng.uniform(-spread, spread)


def critic(kind, seed=0):
    rng = random.Random(seed)
    shares = {
        "works": lambda reply: (0.8 if "BAD" in reply else 0.2) + noisy(rng),
        "says no issue": lambda reply: 0.1 + noisy(rng),
        "says issue": lambda reply: 0.9 + noisy(rng),
        "judges length": lambda reply: min(len(reply) / 80, 0.9) + noisy(rng),
        "says the reverse": lambda reply: (0.2 if "BAD" in reply else 0.8) + noisy(rng),
        "knows nothing": lambda reply: 0.5 + noisy(rng, 0.4),
    }
    return judge(shares[kind])


def asked(model, known=KNOWN):
    return try_judge(model, known, LAW, prompts=PROMPTS, seeds=[0] * len(known))


@pytest.mark.parametrize(
    "kind",
    ["works", "says no issue", "says issue", "judges length", "says the reverse"],
)
def test_each_kind_of_critic_is_named(kind):
    named = [diagnose(asked(critic(kind, seed))).kind for seed in range(10)]

    assert named.count(kind) >= 9
    assert kind == "works" or named.count("works") == 0


def test_a_critic_that_knows_nothing_rarely_seems_to_work():
    named = [diagnose(asked(critic("knows nothing", seed))).kind for seed in range(100)]

    assert named.count("works") <= 5
    assert named.count("knows nothing") >= 90


def test_a_fair_critic_is_not_accused():
    """One that finds seven of ten broken replies, and clears nine of ten kept ones."""
    kinds = []
    for seed in range(30):
        rng = random.Random(seed)
        model = judge(
            lambda reply, rng=rng: 0.7 if rng.random() < (0.7 if "BAD" in reply else 0.1) else 0.3
        )
        kinds.append(diagnose([*asked_once(model)]).kind)

    assert kinds.count("works") >= 28


def asked_once(model):
    """Each reply asked about in one word, so that the chance is drawn once."""
    return [
        TrialAnswer(
            known=each,
            log_odds=1.0 if model.odds(_question(each), ("Yes", "No"))[0] > 0.5 else -1.0,
            covered=1.0,
        )
        for each in KNOWN
    ]


def _question(each):
    return PROMPTS.render(
        "grade",
        principle=LAW.principle(each.principle_id),
        values={"request": each.request, "reply": each.reply},
    )[-1].content


def test_who_says_no_issue_and_orders_replies_needs_another_border():
    model = judge(lambda reply: 0.2 if "BAD" in reply else 0.1)

    found = diagnose(asked(model))

    assert (found.kind, found.orders) == ("says no issue", True)
    trial = try_remedies(KNOWN, usual_remedies(model, LAW, prompts=PROMPTS))
    assert trial.recommended == "the critic's log-odds with a border"
    assert trial.expected is not None
    assert trial.expected.value == 1.0
    assert trial.results[0].accuracy.value == 0.5
    assert trial.results[1].p_value is not None
    assert trial.results[1].p_value < 0.001


def test_length_does_not_pass_for_judgment_where_broken_replies_are_longer():
    """An answer key that gives itself away: the AUROC of a judge of length is 1."""
    answers = [
        TrialAnswer(
            known=each.__class__(
                principle_id=each.principle_id,
                request=each.request,
                reply=each.reply.split(" more")[0] + " word" * (20 if each.broken else 10)
                + " x" * (at % 7),
                broken=each.broken,
            ),
            log_odds=None,
            covered=1.0,
        )
        for at, each in enumerate(KNOWN)
    ]  # fmt: skip
    told = [
        TrialAnswer(known=each.known, log_odds=len(each.known.reply) / 10, covered=1.0)
        for each in answers
    ]

    assert diagnose(told).kind == "judges length"
    assert diagnose(answers).kind == "does not answer"
    assert diagnose(told[:6]).kind == "not tested"


def test_what_a_critic_writes_is_examined_too():
    blind = ScriptedModel(answer=lambda _: "No problem found.")
    sees = ScriptedModel(
        answer=lambda asked: "It is bad." if "BAD" in reply_in(asked) else "No problem found."
    )

    kinds = [
        diagnose(try_critiques(m, KNOWN, LAW, prompts=PROMPTS, seeds=[0] * len(KNOWN))).kind
        for m in (blind, sees, ScriptedModel(answer=lambda _: ""))
    ]

    assert kinds == ["says no issue", "works", "does not answer"]


def test_the_remedy_that_helps_is_recommended():
    broken = critic("says no issue")
    larger = critic("works")

    trial = try_remedies(KNOWN, usual_remedies(broken, LAW, prompts=PROMPTS, larger=larger))

    assert trial.recommended == "another critic"
    assert trial.expected is not None
    assert trial.expected.low > 0.8


def test_items_help_a_critic_that_can_only_tell_one_thing():
    def odds(asked, options):
        last = asked.rsplit("Principle:", 1)[1]
        meanings = PROMPTS.template("grade" if "break this" in last else "grade_again").options
        fail = 0.1
        if "never says BAD" in last and "BAD" in reply_in(asked):
            fail = 0.9
        return [{"fail": fail, "pass": 1 - fail}[meanings[option]] for option in options]

    rubrics = {
        each.id: (RubricItem(text="It is polite."), RubricItem(text="It never says BAD."))
        for each in LAW.principles
    }
    trial = try_remedies(
        KNOWN, usual_remedies(ScriptedModel(odds=odds), LAW, prompts=PROMPTS, rubrics=rubrics)
    )

    assert trial.recommended == "yes/no items"


def test_examples_help_a_critic_that_learns_from_them():
    class Learner(ScriptedModel):
        """Copies the verdict of the example whose reply begins with the same word."""

        def choose(self, dialogues, options, *, seeds):
            self.choose_odds = {}
            shares = []
            for dialogue in dialogues:
                start = reply_in(dialogue[-1].content).split()[0]
                votes = [
                    answer.content == "Yes"
                    for turn, answer in itertools.pairwise(dialogue)
                    if answer.role == "assistant" and reply_in(turn.content).split()[0] == start
                ]
                shares.append(0.1 + 0.8 * np.mean(votes) if votes else 0.1)
            queue = iter(shares)
            self.odds = lambda asked, given: [p := next(queue), 1 - p]
            return super().choose(dialogues, options, seeds=seeds)

    trial = try_remedies(KNOWN, usual_remedies(Learner(), LAW, prompts=PROMPTS))

    assert trial.recommended == "examples in the prompt"
    assert trial.expected is not None
    assert trial.expected.value > 0.9


def test_where_nothing_helps_people_do():
    recommended = [
        try_remedies(
            KNOWN,
            usual_remedies(
                critic("knows nothing", seed), LAW, prompts=PROMPTS,
                larger=critic("knows nothing", seed + 1000),
            ),
        ).recommended
        for seed in range(6)
    ]  # fmt: skip

    assert recommended.count("people") >= 5


def test_a_remedy_is_never_fitted_to_what_it_is_scored_on():
    """One that remembers verdicts would be perfect if it saw them."""

    def remember(train, replies):
        seen = {(each.request, each.reply): each.broken for each in train}
        requests = {each.request for each in train}
        fresh = replies[: len(replies) - len(train)]
        assert not any(each.request in requests for each in fresh)
        return [float(seen.get((each.request, each.reply)) or 0.0) for each in replies]

    trial = try_remedies(KNOWN, [Remedy(name="memory", score=remember)])

    assert trial.recommended == "people"


def told_by(right):
    """Says the truth of those replies that it gets right."""
    return lambda _, asked: [1.0 if right[e] == bool(e.broken) else -1.0 for e in asked]


def test_the_expected_accuracy_pays_for_the_choice():
    """Of twenty that guess, the best looks good; chosen on other parts it does not."""
    best, expected = [], []
    for seed in range(30):
        rng = random.Random(seed)
        guesses = [
            {each: rng.random() < 0.62 for each in KNOWN} for _ in range(20)
        ]  # right with chance 0.62, so that one is recommended
        ways = [
            Remedy(
                name=str(at),
                border=False,
                score=told_by(g),
            )
            for at, g in enumerate(guesses)
        ]
        trial = try_remedies(KNOWN, ways, seed=seed)
        if trial.expected is not None:
            best.append(max(each.accuracy.value for each in trial.results))
            expected.append(trial.expected.value)

    assert len(best) >= 15
    assert np.mean(best) > 0.7
    assert np.mean(expected) == pytest.approx(0.62, abs=0.04)


def test_too_little_to_try_on_is_refused():
    critic_score = ask_critic(critic("works"), LAW, prompts=PROMPTS)
    with pytest.raises(DataError):
        try_remedies(KNOWN[:6], [Remedy(name="a", score=critic_score)])
    with pytest.raises(ConfigError):
        try_remedies(KNOWN, [Remedy(name="a", score=critic_score)] * 2)
    with pytest.raises(ConfigError):
        try_remedies(KNOWN, [])


def test_chosen_examples_cover_the_others():
    texts = [f"{word} {word} {at}" for word in ("cat", "boat", "sky") for at in range(5)]

    picked = choose_for_coverage(texts, 3)

    assert {texts[at].split()[0] for at in picked} == {"cat", "boat", "sky"}
    assert choose_for_coverage(["?!", "..."], 5) == [0, 1]
    assert choose_for_coverage([], 3) == []


def test_which_label_of_a_classifier_means_broken_is_learned():
    def classifier(pairs):
        bad = np.array([0.9 if "BAD" in reply else 0.2 for _, reply in pairs])
        return np.stack([1 - bad, bad / 2, bad / 2], 1)

    trial = try_remedies(
        KNOWN, usual_remedies(critic("says issue"), LAW, prompts=PROMPTS, classifier=classifier)
    )

    assert trial.recommended == "a safety classifier"
    scores = ask_classifier(classifier)(KNOWN, KNOWN)
    assert all(
        ((score or 0.0) > 0) == each.broken for score, each in zip(scores, KNOWN, strict=True)
    )
