import numpy as np
import pytest
from tests.people.asking import grades, label_all, new_queue

from plumbrule.people import (
    QueueEvent,
    QueueItem,
    QueueSettings,
    inclusion_probabilities,
    live_events,
    place_items,
    settle,
    worth,
)
from plumbrule.people.queue import side_order, uniform


def item(**more):
    return QueueItem(principle_id="p", principle="P.", request="r", replies=("a",), **more)


def label(number, item_id="i", answer="pass", via="worth", action="label", **more):
    return QueueEvent(
        number=number, item_id=item_id, annotator="ann", action=action, answer=answer, via=via,
        **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "less"),
    [
        ({"judged": (0.5,)}, {"judged": (0.9,)}),
        ({"judged": (0.1, 0.9)}, {"judged": (0.5, 0.5)}),
        ({"judged": (0.9,), "tier": 0}, {"judged": (0.9,), "tier": 3}),
        ({"judged": (0.9,), "difficulty": 0.5}, {"judged": (0.9,), "difficulty": 0.95}),
        ({"judged": (0.9,), "difficulty": 0.5}, {"judged": (0.9,), "difficulty": 0.05}),
        ({}, {"judged": (0.8,)}),
    ],
)
def test_each_reason_to_ask_people_makes_a_label_worth_more(more, less):
    assert worth(item(**more)) > worth(item(**less))


def test_a_settled_item_of_no_tier_is_worth_nothing():
    assert worth(item(judged=(1.0, 1.0))) == 0
    assert worth(item(judged=(0.0, 1.0), tier=0, difficulty=0.5)) == pytest.approx(1.0)


def test_the_order_by_chance_knows_nothing_of_worth():
    items = [grades(1, start=i, judged=(i / 2000,))[0] for i in range(1000)]
    places = place_items(items, QueueSettings())
    by_worth = [place.worth_rank for place in places]
    by_chance = [place.random_rank for place in places]

    assert by_worth == list(range(1000, 0, -1))
    assert sorted(by_chance) == list(range(1, 1001))
    assert abs(np.corrcoef(by_worth, by_chance)[0, 1]) < 0.1  # three standard errors
    assert 150 < sum(place.needed == 2 for place in places) < 250


def test_another_seed_is_another_order():
    items = grades(50)
    first, again, other = (place_items(items, QueueSettings(seed=seed)) for seed in (1, 1, 2))

    assert first == again
    assert [p.random_rank for p in first] != [p.random_rank for p in other]


def test_sides_are_drawn_evenly_and_apart_for_each_person():
    items = [
        QueueItem(principle_id="p", principle="P.", request=str(i), replies=("a", "b"))
        for i in range(400)
    ]
    ann, bob = ([side_order(each, who, 0) for each in items] for who in ("ann", "bob"))

    assert 150 < ann.count((1, 0)) < 250
    assert 150 < sum(one == other for one, other in zip(ann, bob, strict=True)) < 250
    assert ann == [side_order(each, "ann", 0) for each in items]


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        (["pass"], "pass"),
        (["pass", "fail"], None),
        (["pass", "fail", "fail"], "fail"),
        (["pass", "fail", "not_applicable"], None),
        ([], None),
    ],
)
def test_more_than_half_settle_an_item(said, holds):
    assert settle([label(i, answer=each) for i, each in enumerate(said)]) == holds


def test_an_adjudication_settles_an_item():
    said = [label(1, answer="pass"), label(2, answer="fail")]
    ruled = label(3, answer="not_applicable", via="adjudication")

    assert settle([*said, ruled]) == "not_applicable"


def test_what_was_taken_back_does_not_count():
    events = [label(1), label(2, "j"), label(3, answer=None, action="undo", undoes=1)]

    assert [event.number for event in live_events(events)] == [2]


def test_inclusion_probabilities_of_a_small_queue():
    """By hand: ranks by worth 1 to 6; the first two asked by worth, then by chance the fifth."""
    items = grades(6)
    places = sorted(place_items(items, QueueSettings()), key=lambda place: place.worth_rank)
    ids = [place.item_id for place in places]
    by_chance = sorted(places, key=lambda place: place.random_rank)
    drawn = [place for place in by_chance if place.worth_rank > 2][:2]
    events = [
        label(1, ids[0]),
        label(2, ids[1]),
        *(label(3 + i, place.item_id, via="random") for i, place in enumerate(drawn)),
    ]

    found = inclusion_probabilities(places, events)

    assert found == {ids[0]: 1, ids[1]: 1, drawn[0].item_id: 0.5, drawn[1].item_id: 0.5}


def test_an_import_and_a_known_item_have_no_probability():
    items = [*grades(5), *grades(1, start=9, known="pass")]
    places = place_items(items, QueueSettings())
    last = max((p for p in places if not p.known), key=lambda place: place.worth_rank)
    events = [label(1, last.item_id, via="import"), label(2, items[-1].id, via="known")]

    assert inclusion_probabilities(places, events) == {}


def test_a_skipped_item_counts_as_missing_by_chance():
    items = grades(10)
    places = place_items(items, QueueSettings())
    ids = [p.item_id for p in sorted(places, key=lambda place: place.worth_rank)]
    events = [
        label(i, each, action="skip" if i == 0 else "label") for i, each in enumerate(ids[:4], 0)
    ]

    assert inclusion_probabilities(places, events) == dict.fromkeys(ids[1:4], 0.75)


def simulate(rng, budget, count=60):
    """A queue in memory, worked through half: the weighted and the plain mean, and the truth."""
    truth = rng.random(count) < np.linspace(0.05, 0.9, count)
    items = [
        grades(1, start=i, judged=(float(np.clip(0.15 + 0.006 * i, 0, 1)),))[0]
        for i in range(count)
    ]
    seed = int(rng.integers(2**31))
    places = place_items(items, QueueSettings(seed=seed))
    events, done = [], set()
    for turn in range(budget):
        way = "random" if uniform(seed, "chance", turn) < 0.3 else "worth"
        rest = [place for place in places if place.item_id not in done]
        drawn = min(rest, key=lambda place: getattr(place, f"{way}_rank"))
        done.add(drawn.item_id)
        events.append(label(turn, drawn.item_id, via=way))
    chance = inclusion_probabilities(places, events)
    broken = {each.id: bool(truth[i]) for i, each in enumerate(items)}
    weighted = sum(broken[each] / p for each, p in chance.items()) / count
    plain = np.mean([broken[each] for each in done])
    return weighted, plain, truth.mean()


def test_weighting_by_inclusion_takes_the_bias_out():
    """Items that are broken most are worth most: their plain share is far off, the weighted not."""
    rng = np.random.default_rng(0)
    found = np.array([simulate(rng, 24) for _ in range(150)])
    weighted, plain = found[:, 0] - found[:, 2], found[:, 1] - found[:, 2]

    assert plain.mean() > 0.1
    assert abs(weighted.mean()) < 3 * weighted.std() / np.sqrt(len(found))


def test_a_whole_queue_is_included_for_certain(tmp_path):
    settings = QueueSettings(random_share=0.3, double_share=0.0)
    with new_queue(tmp_path / "q", grades(20), settings) as queue:
        seen = label_all(queue, "ann")
        chance = inclusion_probabilities(queue.placements(), queue.events())

    assert set(chance.values()) == {1.0}
    assert len(chance) == 20
    assert {served.via for served in seen} == {"worth", "random"}
