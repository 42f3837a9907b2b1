"""Reads when a study took place, and when what it used first appeared."""

import re
from collections.abc import Iterator

from plumbrule.oversight.papers.whole.claims import Claim
from plumbrule.oversight.papers.whole.places import Place

_MONTH = (
    r"(?:(?:early |late |mid-?)?(?:january|february|march|april|may|june|july|august|september"
    r"|october"
    r"|november|december|spring|summer|autumn|fall|winter)(?: of)? )"
)
_YEAR = r"((?:19|20)\d\d)"
_GATHER = (
    r"(?:held|completed|closed|began|started|ended|finished|visited|sampling|collect\w*"
    r"|recruit\w*|enrol\w*"
    r"|gather\w*|carried out|conducted|took place|ran"
    r"|interviewed|surveyed"
    r"|tested|fieldwork|field work|took part|measured|study was run|data were|sessions were held"
    r"|testing|interviewing|assessments?|(?:work|testing|part) was done|seen|observed|waves?"
    r"|participated|questioned|filled (?:in|out)|answered|returned|the study|trial)"
)
_COLLECTED = (
    re.compile(rf"\b{_GATHER} (?:[\w,-]+ ){{0,6}}?(?:in|during|between|from|over|since|by"
               rf"|throughout|before the end of|until|within) (?:the )?(?:{_MONTH}(?:to|and"
               rf"|until|through|-) )?"
               rf"{_MONTH}?{_YEAR}(?: ?(?:-|to|and|until|through)(?: the)? "
               rf"{_MONTH}?{_YEAR})?(?![\d)])"),
    re.compile(rf"^(?:in|during|between|from) (?:the )?{_MONTH}?{_YEAR}(?: ?(?:-|to|and|until"
               rf"|through)"
               rf"(?: the)? {_MONTH}?{_YEAR})?,? (?:[\w,-]+ ){{0,6}}?{_GATHER}\b"),
)  # fmt: skip
_TOOL = (
    r"(?:manual|guidelines?|norms|coding scheme|procedure|program|method|kit|model|atlas|lexicon"
    r"|dictionary|corpus|camera|phone|platform|drug|law|questionnaire|scale|inventory|instrument"
    r"|test|version|edition|app|application|device"
    r"|tracker"
    r"|watch|software|index|checklist|survey form|measure|battery|manual|interview schedule"
    r"|sensor|form)"
)
_PUBLISHED = (
    re.compile(rf"\b{_TOOL}\b(?:[\w,\"'()-]* ){{0,8}}?(?:published|released|introduced|developed"
               rf"|first available|sold|on sale|available|presented|brought out|invented|created"
               rf"|made"
        rf"|printed|approved|revised|updated|described"
               rf"|appeared|came out|issued|launched|revised|translated|written|devised|built"
               rf"|marketed)"
               rf" (?:[\w-]+ ){{0,4}}?(?:in|on|since|of) {_MONTH}?{_YEAR}\b"),
    re.compile(rf"\b{_YEAR} (?:version|edition|revision|release) of\b"),
    re.compile(rf"\b(?:published|released|introduced|launched|appeared|came out|became "
               rf"available) (?:only )?in"
               rf" {_MONTH}?{_YEAR}\b(?=.*\b(?:{_TOOL})\b)"),
    re.compile(rf"\b{_TOOL}\b(?:[\w,\"'()-]* ){{0,10}}?(?:goes back to|dates? (?:back )?(?:to|from)"
               rf"|dating (?:back )?(?:to|from)|dated|stems? from|originat\w+ in|first (?:used|seen"
               rf"|described|appeared|came out|published|distributed|shipped) in|is from|was "
               rf"from|since|of the year"
               rf"|from the year|patented in|licen[sc]ed in|entered the market in|on the market"
               rf" (?:in|since)|standardi[sz]ed in|validated in|finali[sz]ed in|not (?:published"
               rf"|released|available|introduced|sold|invented) (?:until|before))"
               rf" (?:the (?:year|spring|summer|autumn|fall|winter) (?:of )?)?{_MONTH}?{_YEAR}\b"),
    re.compile(rf"\b(?:measured|assessed|rated|administered|completed|filled in|used"
               rf"|answered)\b(?:[\w,\"'-]* )"
               rf"{{0,8}}?{_TOOL}\s*[(\[](?:[a-z][\w'&.,; -]* )?{_YEAR}[)\]]"),
)  # fmt: skip
_OTHER_TOOL = re.compile(
    r"\b(?:newer|later|revised|updated|more recent|alternative|successor|sister|other|another"
    r"|replaced"
    r"|since then|meanwhile|has since|have since|unlike|instead)\b"
)
"""A tool named as one that could have been used instead."""
_BEFORE_START = re.compile(
    rf"\b(?:pre-?registered|preregistration|registered|approved|approval|ethics)\b(?:[\w,().-]* "
    rf"){{0,8}}?"
    rf"(?:in|on) (?:\d{{1,2}} )?{_MONTH}?{_YEAR}\b"
)
_PANDEMIC = re.compile(r"\b(?:during|amid|under|in) (?:the )?(?:first |second )?(?:covid(?:-19)?"
                       r"|coronavirus|"
                       r"sars-cov-2|corona)(?: (?:pandemic|lockdowns?|outbreak|restrictions"
                       r"|crisis))?\b")  # fmt: skip


def date_claims(place: Place) -> Iterator[Claim]:
    """Years in which data were collected, tools appeared, and the study was registered."""
    text = place.text
    if not re.search(r"follow-?up|second|pilot|census|register|archiv|norms|sister|by its", text):
        for pattern in _COLLECTED:
            for match in pattern.finditer(text):
                first, last = int(match[1]), int(match[2] or match[1])
                if first <= last:
                    yield Claim(
                        what="dates", value=("data", first, last), place=place, says=match[0]
                    )
    for pattern in _PUBLISHED if not _OTHER_TOOL.search(text) else ():
        for match in pattern.finditer(text):
            year = int(match[1])
            yield Claim(what="dates", value=("tool", year, year), place=place, says=match[0])
    for match in _BEFORE_START.finditer(text):
        year = int(match[1])
        yield Claim(what="dates", value=("start", year, year), place=place, says=match[0])
    during = _PANDEMIC.search(text)
    if during and re.search(rf"\b{_GATHER}\b", text):
        yield Claim(what="dates", value=("data", 2020, 2023), place=place, says=during[0])


def dates_clash(first: Claim, second: Claim) -> bool:
    """Whether two sets of dates cannot both be true."""
    (kind, begin, end), (other, start, stop) = first.value, second.value
    if kind == other == "data":
        return bool(end < start or stop < begin)
    if "data" not in (kind, other):
        return False
    data_begin, data_end = (begin, end) if kind == "data" else (start, stop)
    what, year = (other, start) if kind == "data" else (kind, begin)
    late = year > (data_end if what == "tool" else data_begin)
    return bool(late)
