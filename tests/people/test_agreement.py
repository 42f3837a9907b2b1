from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from tests.people.asking import grades, pairs, there

from plumbrule.errors import DataError
from plumbrule.people import (
    QueueEvent,
    agreement,
    cohen_kappa,
    krippendorff_alpha,
    person_certificate,
)

# Krippendorff (2011), section C: four observers, twelve units, five values, some missing.
OBSERVED = [
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
]


def counted(rows):
    table = [row.split() for row in rows]
    return np.array(
        [[sum(r[unit] == v for r in table) for v in "12345"] for unit in range(12)], dtype=float
    )


def slow_alpha(counts):
    """From the definition, value by value: coincidences over all ordered pairs within a unit."""
    values = range(counts.shape[1])
    seen = np.zeros((len(values), len(values)))
    for unit in counts:
        said = [value for value in values for _ in range(int(unit[value]))]
        for one, other in permutations(range(len(said)), 2):
            seen[said[one], said[other]] += 1 / (len(said) - 1)
    total, by_value = seen.sum(), seen.sum(0)
    observed = sum(seen[a, b] for a, b in permutations(values, 2))
    expected = sum(by_value[a] * by_value[b] for a, b in permutations(values, 2)) / (total - 1)
    return 1 - observed / expected


def labels(items, said):
    """Events of people: item by item what each said, None for nothing."""
    return [
        QueueEvent(
            number=1 + 10 * place + i, item_id=item.id, annotator=who, action="label", answer=answer
        )
        for place, item in enumerate(items)
        for i, (who, answers) in enumerate(said.items())
        if (answer := answers[place]) is not None
    ]


def test_alpha_of_the_published_example():
    assert krippendorff_alpha(counted(OBSERVED)) == pytest.approx(0.743, abs=5e-4)


def test_alpha_is_that_of_its_definition():
    rng = np.random.default_rng(0)
    for _ in range(20):
        counts = rng.multinomial(3, rng.dirichlet(np.full(3, 4.0)), size=12).astype(float)
        assert krippendorff_alpha(counts) == pytest.approx(slow_alpha(counts))


def test_kappa_is_that_of_another_implementation():
    rng = np.random.default_rng(0)
    for _ in range(20):
        first, second = (rng.choice(["a", "b", "c"], 15).tolist() for _ in range(2))
        assert cohen_kappa(first, second) == pytest.approx(cohen_kappa_score(first, second))


def test_agreement_that_cannot_be_told_from_chance_is_undefined():
    assert cohen_kappa(["a"] * 9, ["a"] * 9) is None
    assert krippendorff_alpha(np.array([[2.0, 0.0]] * 9)) is None


def test_agreement_of_nobody_is_an_error():
    with pytest.raises(DataError, match="two people"):
        cohen_kappa(["a"], [])
    with pytest.raises(DataError, match="two answers"):
        krippendorff_alpha(np.array([[1.0, 0.0]]))


def drawn(rng, items, accuracy, rate=0.4):
    """Truth, and what people of some accuracy say of it."""
    truth = np.where(rng.random(len(items)) < rate, "fail", "pass")

    def person(right):
        other = np.where(truth == "fail", "pass", "fail")
        return np.where(rng.random(len(items)) < right, truth, other).tolist()

    return truth, {name: person(right) for name, right in accuracy.items()}


def test_people_who_agree_are_told_from_people_who_guess():
    rng, items = np.random.default_rng(0), grades(60)
    _, good = drawn(rng, items, {"ann": 0.98, "bob": 0.98})
    _, guess = drawn(rng, items, {"ann": 0.5, "bob": 0.5})

    for found in agreement(items, labels(items, good)):
        assert there(found.estimate).low > 0.5
    for found in agreement(items, labels(items, guess)):
        assert there(found.estimate).low < 0 < there(found.estimate).high


def test_a_third_person_who_guesses_shows_in_the_pairs():
    rng, items = np.random.default_rng(1), grades(60)
    _, said = drawn(rng, items, {"ann": 0.95, "bob": 0.95, "cat": 0.5})
    found = {each.people: each for each in agreement(items, labels(items, said))}

    assert there(found["ann", "bob"].estimate).low > there(found["ann", "cat"].estimate).high
    assert found["ann", "bob", "cat"].measure == "Krippendorff's alpha"


def test_full_agreement_on_few_items_is_not_certain():
    items = grades(10)
    said = ["pass", "fail"] * 5
    [alpha, kappa] = agreement(items, labels(items, {"ann": said, "bob": said}))

    assert there(kappa.estimate).value == there(alpha.estimate).value == 1
    assert there(kappa.estimate).low < 0.9
    assert there(alpha.estimate).low < 0.9


def test_agreement_is_told_by_principle_and_kind():
    items = [*grades(12), *grades(12, principle="polite"), *pairs(8)]
    said = [*["pass", "fail"] * 12, *["first", "second"] * 4]
    off = [*["pass", "fail"] * 6, *["fail", "pass"] * 6, *["first", "second"] * 4]
    found = agreement(items, labels(items, {"ann": said, "bob": off}))
    kappas = {
        (each.kind, each.principle_id): there(each.estimate).value
        for each in found
        if each.measure == "Cohen's kappa"
    }

    assert kappas == {
        ("grade", None): pytest.approx(0.0),
        ("grade", "honest"): 1.0,
        ("grade", "polite"): -1.0,
        ("pair", "kind"): 1.0,
    }


def test_too_few_items_give_a_reason_and_no_number():
    items = grades(4)
    said = ["pass", "fail", "pass", "fail"]
    [alpha, kappa] = agreement(items, labels(items, {"ann": said, "bob": said}))

    assert alpha.estimate is None
    assert kappa.estimate is None
    assert "4 items" in str(kappa.reason)
    assert agreement(items, labels(items, {"ann": said})) == []


def test_an_adjudicator_does_not_count_as_agreeing():
    items = grades(6)
    said = labels(items, {"ann": ["pass", "fail"] * 3, "bob": ["fail", "pass"] * 3})
    ruled = [
        QueueEvent(
            number=900 + i, item_id=item.id, annotator="cat", action="label", answer="pass",
            via="adjudication",
        )
        for i, item in enumerate(items)
    ]  # fmt: skip

    assert all("cat" not in each.people for each in agreement(items, [*said, *ruled]))


def test_intervals_of_agreement_cover():
    """A quick look; benchmarks/judges_people.py has the big one."""
    rng, items, hits = np.random.default_rng(2), grades(50), 0
    truth = 0.8 * 0.8 + 0.2 * 0.2  # both right or both wrong
    chance = 0.5 * 0.5 + 0.5 * 0.5  # at a rate of one half each answer has probability one half
    kappa = (truth - chance) / (1 - chance)
    for _ in range(60):
        _, said = drawn(rng, items, {"ann": 0.8, "bob": 0.8}, rate=0.5)
        found = agreement(items, labels(items, said))[1].estimate
        found = there(found)
        hits += found.low <= kappa <= found.high

    assert hits >= 53  # of 60 at 95%; fewer has a probability below one in a hundred


def test_a_certificate_tells_a_careful_person_from_one_who_always_says_yes():
    items = [*grades(30, known="fail"), *grades(30, start=30, known="pass"), *grades(5, start=60)]
    said = {
        "careful": [*["fail"] * 29, "pass", *["pass"] * 29, "not_applicable", *["pass"] * 5],
        "yes": ["pass"] * 65,
    }
    events = labels(items, said)
    careful, yes = (person_certificate(items, events, who) for who in said)

    assert there(careful.sensitivity).value == pytest.approx(29 / 30)
    assert there(careful.specificity).value == 1
    assert there(yes.sensitivity).value == 0
    assert there(yes.sensitivity).high < there(careful.sensitivity).low
    assert there(yes.specificity).low > 0.8


def test_a_certificate_of_pairs_is_their_accuracy():
    items = pairs(10, known="first")
    events = labels(items, {"ann": ["first"] * 8 + ["second", "tie"]})
    found = person_certificate(items, events, "ann")

    assert there(found.accuracy).value == pytest.approx(0.8)
    assert found.sensitivity is None


def test_nobody_has_a_certificate_without_known_items():
    found = person_certificate(grades(3), labels(grades(3), {"ann": ["pass"] * 3}), "ann")

    assert found.sensitivity is None
    assert "no item whose answer is known" in str(found.reason)
