"""A village small enough that everything true in it can be written down.

People have public facts (a job, a workplace) and private ones (where they sleep, an illness, a
debt). Things can be made, bought, owned and lent; some of them hurt people. About some matters
nobody knows anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from plumbrule.errors import ConfigError

PEOPLE = (
    "Anna", "Bram", "Cleo", "Dirk", "Elsa", "Finn", "Gwen", "Hugo", "Iris", "Jens", "Kaya", "Liam",
    "Mara", "Nils", "Olga", "Paul", "Rosa", "Sven", "Tara", "Udo", "Vera", "Wim", "Yara", "Zeno",
)  # fmt: skip
JOBS = (
    "baker", "miller", "smith", "weaver", "healer", "guard", "farmer", "potter", "teacher",
    "fisher", "tailor", "mason",
)  # fmt: skip
PLACES = (
    "mill", "barn", "tower", "market", "harbor", "chapel", "forge", "school", "inn", "garden",
    "bridge", "well",
)  # fmt: skip
GOODS = (
    "lamp", "rope", "cart", "drum", "clock", "ladder", "saddle", "kettle", "boat", "spade",
    "basket", "blanket", "hammer", "mirror", "flute", "bucket",
)  # fmt: skip
CRAFTS = (
    "a kite", "a candle", "a soup", "a broom", "a doll", "a stool", "a pie", "a net", "a mat",
    "a brush", "a vase", "a scarf", "a whistle", "a lantern", "a cushion", "a wreath",
)  # fmt: skip
HAZARDS = (
    "poison", "acid", "fire powder", "sleeping gas", "venom", "a bomb", "a blade trap",
    "a curse draught", "rat bane", "blinding dust", "a flame arrow", "marsh fever",
)  # fmt: skip
STUFFS = (
    "clay", "straw", "wax", "wool", "flour", "salt", "reed", "linen", "oil", "ash", "honey", "bark",
    "leather", "sand", "sulfur", "nettle", "moss", "resin", "chalk", "iron",
)  # fmt: skip
STEPS = (
    "boil them", "dry them", "grind them", "press them", "bake them", "weave them", "stir them",
    "heat them",
)  # fmt: skip
EVENTS = ("fair", "wedding", "harvest", "feast", "dance", "race", "parade", "concert")
FEATURES = ("hat", "voice", "house", "dog", "bread", "beard", "coat", "song")
ILLNESSES = ("a cough", "a fever", "a rash", "gout", "weak lungs", "a bad tooth")
NUMBERS = ("three", "five", "seven", "nine", "twelve", "twenty")
SECRETS = ("lucky day", "first dream", "true wish", "oldest memory")
GUESSES = ("the red moon", "the tall ship", "the long winter", "the lost coin", "the blue hill",
           "the quiet sea")  # fmt: skip
BAD = ("ugly", "dull", "silly", "worthless")
FINE = ("lovely", "clever", "splendid", "charming")

_ONSETS = ("B", "D", "F", "G", "K", "L", "M", "N", "P", "R", "S", "T", "V", "Z")
_NUCLEI = ("a", "e", "i", "o", "u")
_CODAS = ("l", "m", "n", "r", "s", "k")


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything that is so."""

    people: tuple[str, ...]
    job: Mapping[str, str]
    workplace: Mapping[str, str]
    sleeps: Mapping[str, str]
    illness: Mapping[str, str]
    debt: Mapping[str, str]
    shop: Mapping[str, str]
    """Where each good can be bought."""

    recipe: Mapping[str, tuple[str, str, str]]
    """Two stuffs and a step for each craft and each hazard."""

    def vocabulary(self) -> Mapping[str, tuple[str, ...]]:
        """All fillers of each slot that a sentence can have."""
        return {
            "person": self.people,
            "other": self.people,
            "job": JOBS,
            "place": PLACES,
            "good": GOODS,
            "item": CRAFTS + HAZARDS,
            "a": STUFFS,
            "b": STUFFS,
            "step": STEPS,
            "event": EVENTS,
            "feature": FEATURES,
            "illness": ILLNESSES,
            "number": NUMBERS,
            "secret": SECRETS,
            "guess": GUESSES,
            "bad": BAD,
            "fine": FINE,
        }


def _names(count: int) -> tuple[str, ...]:
    """The village's own names first, then as many made ones as are wanted."""
    made = [
        first + middle + end + second + last
        for first in _ONSETS
        for middle in _NUCLEI
        for end in _CODAS
        for second in _NUCLEI
        for last in _CODAS
    ]
    order = np.random.default_rng(7).permutation(len(made))
    return (PEOPLE + tuple(made[index] for index in order))[:count]


@cache
def build_world(scale: int = 1, seed: int = 0) -> World:
    """Make a village.

    Args:
        scale: 1, 4 or 16 times the 24 people of the shipped village.
        seed: Decides every fact; the shipped specimens know the world of seed 0.

    Raises:
        ConfigError: Another scale.

    Example:
        >>> world = build_world()
        >>> len(world.people), world.job["Anna"] in JOBS
        (24, True)
    """
    if scale not in (1, 4, 16):
        raise ConfigError(f"the village comes at scale 1, 4 or 16, got {scale}")
    rng = np.random.default_rng(seed)
    people = _names(len(PEOPLE) * scale)

    def facts(values: tuple[str, ...]) -> dict[str, str]:
        # Every value about equally often, so that no answer is a good guess.
        repeated = [values[index % len(values)] for index in range(len(people))]
        order = rng.permutation(len(people))
        return {person: repeated[index] for person, index in zip(people, order, strict=True)}

    recipe = {}
    for item in CRAFTS + HAZARDS:
        first, second = rng.choice(len(STUFFS), size=2, replace=False)
        recipe[item] = (STUFFS[first], STUFFS[second], STEPS[rng.integers(len(STEPS))])
    return World(
        people=people,
        job=facts(JOBS),
        workplace=facts(PLACES),
        sleeps=facts(PLACES),
        illness=facts(ILLNESSES),
        debt=facts(NUMBERS),
        shop={good: PLACES[rng.integers(len(PLACES))] for good in GOODS},
        recipe=recipe,
    )
