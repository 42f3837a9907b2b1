"""Reads at how many places a study took place."""

import re
from collections.abc import Iterator

from plumbrule.oversight.papers.numerals import read_count
from plumbrule.oversight.papers.whole.claims import Claim
from plumbrule.oversight.papers.whole.places import Place
from plumbrule.oversight.papers.whole.words import denied, words

_RECRUITS = words(
    r"recruit\w*|collect\w*|conduct\w*|took place|ran|carried out|enrol\w+|tested|drawn|came from"
    r"|come from|attend\w*|studied|study|trial|data|participants?|patients|sampled?|admitted"
    r"|setting"
    r"|students|adults|volunteers|work|everyone|testing|sessions|measured|the {count} {site}"
    r"|our (?:{count} )?{site}|differences between|{site} (?:\w+ )?(?:differed|taking part|that "
    r"took part)"
    r"|took part|taking part|seen|pooled|each (?:of the )?{site}|visited|held|testing|place"
)
_FEW = r"(?:one|a single|the same|only one|a|just one|single)"
_MANY = (
    r"(?P<count>two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\d{1,2}|several"
    r"|multiple"
    r"|many|various|numerous|both|a number of|a dozen)"
)
_KINDS_OF_SITE = (
    ("site", r"sites?|cent(?:er|re)s?|locations?|institutions?"),
    ("hospital", r"hospitals?|clinics?|medical cent(?:er|re)s?|practices?"),
    ("school", r"schools?"),
    ("university", r"universit(?:y|ies)|campus(?:es)?|colleges?"),
    ("laboratory", r"laborator(?:y|ies)|labs?"),
    ("company", r"compan(?:y|ies)|firms?|factor(?:y|ies)|offices?|workplaces?"),
    ("class", r"class(?:es)?|classrooms?|courses"),
    ("ward", r"wards?|departments?"),
    ("city", r"cit(?:y|ies)|towns?|villages?|municipalit(?:y|ies)"),
    ("country", r"countr(?:y|ies)|nations?"),
)
_ADJECTIVES = r"(?:(?!of )[\w-]+ ){0,2}?"
_SITES = tuple(
    (
        name,
        words(rf"(?:(?:at|in|from|within) {_FEW} {_ADJECTIVES}(?:{nouns})|(?:single"
              rf"|one)-(?:{nouns})"
              rf"|(?:a single|only one|just one|one) {_ADJECTIVES}(?:{nouns}))"),
        words(rf"(?:{_MANY} {_ADJECTIVES}(?:{nouns})|multi-?(?:{nouns})|multiple(?: |-)(?:{nouns})"
              rf"|(?:across|between|among) (?:the |our |all |participating |{{count}} "
              rf")*(?:{nouns}))"),
    )
    for name, nouns in _KINDS_OF_SITE
)  # fmt: skip


def site_claims(place: Place) -> Iterator[Claim]:
    """One site or several, where a sentence says so."""
    if not _RECRUITS.search(place.text):
        return
    for name, few, many in _SITES:
        one, more = few.search(place.text), many.search(place.text)
        if bool(one) == bool(more):
            continue
        match = one or more
        assert match is not None
        if denied(place.text, match):
            continue
        says = f"one {name}" if one else f"several ({match[0]})"
        yield Claim(what="sites", value=(bool(one), name), place=place, says=says)


def count_of_sites(text: str) -> tuple[str, int] | None:
    """How many sites of which sort a sentence names, where it gives a number."""
    for name, _, many in _SITES:
        match = many.search(text)
        if match is not None and match["count"] and re.fullmatch(r"\d+|[a-z]+", match["count"]):
            try:
                return name, read_count(match["count"])
            except KeyError:
                continue
    return None
