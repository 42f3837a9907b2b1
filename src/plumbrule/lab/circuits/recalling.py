"""Tasks answered by looking something up: in the prompt, or in two memories one after the other."""

import numpy as np

from plumbrule.lab.circuits.blueprint import (
    STRENGTH,
    Blueprint,
    Head,
    Match,
    Memory,
    Move,
)
from plumbrule.lab.circuits.tasks import CircuitTask, DrawnPair
from plumbrule.lab.circuits.words import (
    SINK,
    START,
    answering,
    coded,
    flagged,
    looking_back,
    merged,
    named,
    scattered,
    table,
)

KEYS, VALUES = named("key", 10), named("value", 12)
ASK = "ask"
SHOWN = 4


def _draw_lookup(rng: np.random.Generator) -> DrawnPair:
    keys = [KEYS[at] for at in rng.permutation(len(KEYS))[: 2 * SHOWN]]
    values = [VALUES[at] for at in rng.permutation(len(VALUES))[: 2 * SHOWN]]
    one, other = rng.permutation(SHOWN)[:2].tolist()

    def prompt(first: int, asked: int) -> tuple[str, ...]:
        each = range(first, first + SHOWN)
        shown = [token for at in each for token in (keys[at], values[at])]
        return (START, *shown, keys[first + asked], ASK)

    return DrawnPair(
        clean=prompt(0, one),
        corrupted=prompt(SHOWN, other),
        right=values[one],
        wrong=values[SHOWN + other],
    )


LOOKUP = CircuitTask(
    name="lookup",
    description="Keys come with values; say the value of the key that is asked for.",
    computation=(
        "Two heads of layer 0 move the token before: one the key of each value into `previous`, "
        "one the key that is asked for into `asked`. A head of layer 1 looks at values whose "
        "`previous` is what was `asked` (query and key composition) and moves the value there "
        "into `answer`."
    ),
    needs=("query from head", "key from head"),
    blueprint=Blueprint(
        vocabulary=(START, ASK, *KEYS, *VALUES),
        layers=2,
        length=2 * SHOWN + 3,
        subspaces={
            "start": 1,
            "valued": 1,
            "key": 10,
            "value": 12,
            "previous": 10,
            "asked": 10,
            "answer": 12,
        },
        embedding=merged(
            flagged([START], "start"),
            flagged(VALUES, "valued"),
            coded(KEYS, "key"),
            coded(VALUES, "value"),
        ),
        unembedding=answering(VALUES),
        heads=(
            looking_back("previous", source="key", target="previous"),
            looking_back("asked", source="key", target="asked"),
            Head(
                name="retrieve",
                layer=1,
                looks=(
                    Match(query="asked", key="previous"),
                    # The asking token has the same key before it: only values may be looked at.
                    Match(query="one", key="valued"),
                    Match(query="one", key="start", strength=1.5 * STRENGTH),
                ),
                moves=(Move(source="value", target="answer"),),
            ),
        ),
        circuit=(
            ("embed", "previous.v"),
            ("embed", "asked.v"),
            ("previous", "retrieve.k"),
            ("asked", "retrieve.q"),
            ("embed", "retrieve.v"),
            ("retrieve", "final"),
        ),
    ),
    draw=_draw_lookup,
)

PEOPLE, COUNTRIES = named("person", 12), named("country", 4)
CITIES = 6
FILLERS = named("filler", 8)
END = "end"
LENGTH = 9
CITY_OF = tuple(at % CITIES for at in range(len(PEOPLE)))
COUNTRY_OF = tuple(at % len(COUNTRIES) for at in range(CITIES))


def _draw_two_hop(rng: np.random.Generator) -> DrawnPair:
    while True:
        one, other = rng.permutation(len(PEOPLE))[:2].tolist()
        right, wrong = (COUNTRY_OF[CITY_OF[person]] for person in (one, other))
        if right != wrong:
            break
    places = rng.permutation(np.arange(1, LENGTH - 1))[:2].tolist()
    clean, corrupted = (
        scattered(rng, LENGTH, {0: START, place: PEOPLE[person], LENGTH - 1: END}, FILLERS)
        for place, person in zip(places, (one, other), strict=True)
    )
    return DrawnPair(
        clean=clean, corrupted=corrupted, right=COUNTRIES[right], wrong=COUNTRIES[wrong]
    )


TWO_HOP = CircuitTask(
    name="two_hop",
    description="A person is named; say the country of the city where they live.",
    computation=(
        "The MLP of layer 0 recalls the city of each person. A head of layer 1 looks at the "
        "person and moves the city (a value from an MLP); the MLP of layer 1 recalls the country "
        "of the city that the head brought."
    ),
    needs=("MLP from embedding", "value from MLP", "MLP from head"),
    blueprint=Blueprint(
        vocabulary=(START, END, *PEOPLE, *FILLERS, *COUNTRIES),
        layers=2,
        length=LENGTH,
        subspaces={
            "start": 1,
            "peopled": 1,
            "person": 12,
            "filler": 8,
            "city": CITIES,
            "brought": CITIES,
            "answer": 4,
        },
        embedding=merged(
            flagged([START], "start"),
            flagged(PEOPLE, "peopled"),
            coded(PEOPLE, "person"),
            coded(FILLERS, "filler"),
        ),
        unembedding=answering(COUNTRIES),
        heads=(
            Head(
                name="bring",
                layer=1,
                looks=(Match(query="one", key="peopled"), SINK),
                moves=(Move(source="city", target="brought"),),
            ),
        ),
        memories=(
            Memory(
                name="cities",
                layer=0,
                reads={"person": 2 * np.eye(len(PEOPLE))},
                thresholds=np.ones(len(PEOPLE)),
                writes={"city": table(CITY_OF, CITIES)},
            ),
            Memory(
                name="countries",
                layer=1,
                reads={"brought": 2 * np.eye(CITIES)},
                thresholds=np.ones(CITIES),
                writes={"answer": table(COUNTRY_OF, len(COUNTRIES))},
            ),
        ),
        circuit=(
            ("embed", "cities.in"),
            ("cities", "bring.v"),
            ("embed", "bring.k"),
            ("bring", "countries.in"),
            ("countries", "final"),
        ),
    ),
    draw=_draw_two_hop,
)
