"""Small items and queues for tests."""

from plumbrule.people import QueueItem, QueueSettings, ServedItem, make_queue, open_queue

PLAIN = QueueSettings(random_share=0.0, double_share=0.0, known_share=0.0)


def there(value):
    """What must be there."""
    assert value is not None
    return value


def grades(count, *, principle="honest", start=0, **more):
    return [
        QueueItem(
            principle_id=principle,
            principle=f"Keep {principle}.",
            request=f"request {place}",
            replies=(f"reply {place}",),
            **more,
        )
        for place in range(start, start + count)
    ]


def pairs(count, **more):
    return [
        QueueItem(
            principle_id="kind",
            principle="Be kind.",
            request=f"request {place}",
            replies=(f"one {place}", f"two {place}"),
            **more,
        )
        for place in range(count)
    ]


def new_queue(place, items, settings=PLAIN, **more):
    make_queue(items, place, settings)
    return open_queue(place, **more)


def label_all(queue, who, say=lambda item: item.answers[0], most=10_000):
    """What one person does until nothing waits; gives the items in their order."""
    seen: list[ServedItem] = []
    while len(seen) < most and (served := queue.serve(who)) is not None:
        queue.answer(who, served.item.id, say(served.item))
        seen.append(served)
    return seen
