"""Finds a sample that is one sort of people in one part of a paper and another in another."""

import re
from collections.abc import Iterator, Sequence

from plumbrule.oversight.papers.document import Flaw, Paper
from plumbrule.oversight.papers.whole.ages import AGED, LEAST_SHARED, age_of
from plumbrule.oversight.papers.whole.claims import Claim, Ledger
from plumbrule.oversight.papers.whole.country_words import (
    CITIES,
    CITY,
    DWELLERS,
    NATION,
    NATIONAL,
    PEOPLE_NAMES,
    PEOPLE_OF,
    PEOPLES,
    PLACE,
)
from plumbrule.oversight.papers.whole.places import Place
from plumbrule.oversight.papers.whole.sample_words import (
    BOTH_SEXES,
    EXCLUSIVE,
    NOT_TRAIT,
    ONE_SEX,
    PERSONAL,
    ROLES,
    TRAITS,
    WHO,
)
from plumbrule.oversight.papers.whole.sites import count_of_sites

_COMPARED = re.compile(
    r"\b(?:differ\w*|different|distinct|apart) from (?:those|the people|the ones|ours?|us|what "
    r"we)\b"
    r"|\bthan (?:those|ours?|the people|the ones) (?:we|who|sample|participants)\b"
    r"|\b(?:like|unlike|as) (?:those|the people|the ones) (?:we|who)\b"
)
"""People held against those who were studied are not the ones who were studied."""


def sample_conflicts(paper: Paper, places: Sequence[Place]) -> tuple[list[Flaw], int]:
    """Parts that disagree on who was studied; and how many claims were made."""
    ledger = Ledger(paper, "sample_conflict", _clash)
    ledger.read(each for place in places if place.states for each in _claims(place))
    mixed = {claim.what for claim in ledger.claims if claim.value == "mixed"}
    return [flaw for what, flaw in ledger.flaws.items() if what not in mixed], len(ledger.claims)


def _claims(place: Place) -> Iterator[Claim]:
    text = place.text
    if re.search(r"\b(?:might|would|may (?!\d))", text) and not place.first_person:
        return
    age = age_of(text)
    if age is not None:
        exact = any(pattern.search(text) for pattern in AGED)
        yield Claim(what="age", value=(age[0], age[1], exact), place=place, says=age[2])
    yield from _roles(place)
    countries = {match[1] for match in PLACE.finditer(text)}
    countries |= {PEOPLE_OF[match[1]] for match in NATIONAL.finditer(text)}
    countries |= {PEOPLE_OF[match[1]] for match in NATION.finditer(text)}
    countries |= {CITIES[match[1]] for match in (*CITY.finditer(text), *DWELLERS.finditer(text))}
    countries |= {PEOPLES[match[1]] for match in PEOPLE_NAMES.finditer(text)}
    if _COMPARED.search(text):
        countries = set()
    if len(countries) == 1 and PERSONAL.search(text) and (
        re.search(r"recruit|collect|conduct|took place|took part|sample|studied|tested|our "
                  r"|ours\b|ran |gathered|carried"
                  r"|confined|restricted|limited|examined|participated|comprised|consisted"
                  r"|formed|observed"
                  r"|interviewed|surveyed|involved|came from|drawn|enrol|from|lived|live|held"
                  r"|was|were|tested|visited|held"
                  r"|worked", text)
    ):  # fmt: skip
        country = countries.pop()
        yield Claim(what="country", value=country, place=place, says=country)
    elif len(countries) > 1 and place.role != "introduction" and place.first_person:
        yield Claim(what="country", value="mixed", place=place, says="several countries")
    sites = count_of_sites(text)
    if sites and re.search(
        r"recruit|collect|conduct|took place|drawn|study|enrol|came from|ran ", text
    ):
        what = f"number of sites ({sites[0]})"
        yield Claim(what=what, value=sites[1], place=place, says=str(sites[1]))
    yield from _sexes(place)
    if PERSONAL.search(text) or re.search(r"\b(?:our|we|all of them|everyone|they)\b", text):
        for what, (one, other, first, second) in TRAITS.items():
            is_one, is_other = bool(re.search(one, text)), bool(re.search(other, text))
            if is_one != is_other and not NOT_TRAIT.search(text):
                says = first if is_one else second
                yield Claim(what=what, value=is_one, place=place, says=says)


def _roles(place: Place) -> Iterator[Claim]:
    said = " / ".join(match[0] for pattern in WHO for match in pattern.finditer(place.text))
    named = {
        name for name, pattern in ROLES.items() if re.search(rf"(?<![\w-])(?:{pattern})\b", said)
    }
    anywhere = {
        name
        for name, pattern in ROLES.items()
        if re.search(rf"(?<![\w-])(?:{pattern})\b", place.text)
    }
    if named and len(anywhere) > 1:
        yield Claim(what="role", value="mixed", place=place, says="several sorts of people")
    elif named:
        name = named.pop()
        yield Claim(what="role", value=name, place=place, says=name)


def _sexes(place: Place) -> Iterator[Claim]:
    if BOTH_SEXES.search(place.text):
        yield Claim(what="sex", value="both", place=place, says="women and men")
        return
    single = [name for name, pattern in ONE_SEX.items() if pattern.search(place.text)]
    if len(single) == 1 and PERSONAL.search(place.text):
        yield Claim(what="sex", value=single[0], place=place, says=f"only {single[0]}")


def _clash(first: Claim, second: Claim) -> str | None:
    message = f"{first.what}: one part says {first.says!r}, another says {second.says!r}"
    if first.value == second.value or "mixed" in (first.value, second.value):
        return None
    if first.what == "role":
        return message if {first.value, second.value} in EXCLUSIVE else None
    if first.what == "age":
        (low, high, exact), (least, most, also) = first.value, second.value
        shared = min(high, most) - max(low, least)
        apart = shared < LEAST_SHARED * min(high - low, most - least)
        differ = exact and also and (abs(low - least) > 1 or abs(high - most) > 1)
        return message if apart or differ else None
    return message
