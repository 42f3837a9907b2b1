"""Finds a design that one part of a paper describes and another denies."""

import re
from collections.abc import Iterator, Sequence

from plumbrule.oversight.papers.document import Flaw, Paper
from plumbrule.oversight.papers.whole.claims import Claim, Ledger
from plumbrule.oversight.papers.whole.cues import cue_side
from plumbrule.oversight.papers.whole.design_words import PROPERTIES
from plumbrule.oversight.papers.whole.places import Place
from plumbrule.oversight.papers.whole.properties import Property
from plumbrule.oversight.papers.whole.sites import site_claims
from plumbrule.oversight.papers.whole.words import any_of, denied, found

_MODES = re.compile(r"\b(written|oral|verbal|parental|guardian|proxy|child)\b")
_ALL_DATA = any_of(
    r"all (?:of )?(?:the |our |these |{count} |collected |available |recorded |complete "
    r")*(?:data|cases"
    r"|{people}|responses|observations|records|trials|questionnaires|measurements|answers|sessions)"
    r" (?:\w+ ){0,4}?(?:were|was|are|entered|went|have been) (?:then |therefore |thus "
    r")?(?:analy[sz]ed"
    r"|included|retained|kept|used|into|entered)(?! (?:only|the study|in the study|a (?:consent"
    r"|pre)))",
    r"every (?:case|participant|patient|response|observation|record|answer|person|data point"
    r"|student"
    r"|volunteer|adult|data set) (?:\w+ ){0,4}?(?:analy[sz]ed|included|retained|kept|entered|used)",
    r"(?:analy[sz]ed|included|retained|kept|used|analys[ie]s (?:\w+ )?(?:includes?|included"
    r"|covers?|used"
    r"|retained|kept)) (?:the data of |data from )?(?:all|every one) (?:of )?(?:the |our "
    r"|{count} )*(?:data"
    r"|cases|{people}|responses|observations|records|answers|measurements)",
    r"(?:no|none of the) (?:data(?: points?)?|cases?|{people}|observations?|outliers?|responses?"
    r"|one"
    r"|records?|answers?|measurements?|exclusions?) (?:\w+ ){0,2}?(?:were|was|had to be|has been"
    r"|have"
    r" been) (?:ever )?(?:excluded|removed|dropped|discarded|left out|deleted|omitted|set aside"
    r"|made"
    r"|trimmed|screened out|eliminated|thrown out)",
    r"(?:nobody|no one|nothing) (?:was|has been|had to be) (?:excluded|removed|dropped|discarded"
    r"|left"
    r" out|deleted|omitted)",
    r"without (?:any )?(?:exclusions?|excluding (?:any|a single)|removing (?:any|a single)"
    r"|exception)",
    r"(?:complete|entire|full|whole) (?:data ?set|sample) (?:\w+ ){0,2}?(?:was|were|is) "
    r"(?:analy[sz]ed"
    r"|used|retained|kept)",
    r"(?:analy[sz]ed|used|retained|kept) the (?:complete|entire|full|whole) (?:data ?set|sample)",
    r"did not (?:exclude|remove|drop|discard|delete|omit) (?:any|a single)",
)  # fmt: skip
_OUT = (
    r"(?:excluded|removed|dropped|discarded|left out|deleted|omitted|set aside|trimmed|eliminated"
    r"|ignored|not (?:used|analy[sz]ed|included|considered|counted|entered|kept|retained)|cut"
    r"|sorted out"
    r"|thrown out|taken out|filtered out|disregarded|weeded out|screened out|struck|purged"
    r"|discounted|winsori[sz]ed|disqualified|withheld from (?:the )?analys[ie]s)"
)
_UNITS = (
    r"(?:cases?|{people}|responses?|observations?|outliers?|records?|data ?sets?|data points?"
    r"|answers?"
    r"|measurements?|questionnaires?|protocols|extreme (?:values|scores)|scores|sessions|data"
    r"|values)"
)
_SOME_OUT = any_of(
    rf"(?:{_UNITS}|{{count}}(?: of them)?|who|they|whom|those|others|latter) (?:\w+,? |\([^)]*\) )"
    rf"{{0,9}}?(?:were|was|had to be|have been|been) (?:\w+ )?{_OUT}",
    rf"(?:we|authors) (?:then |therefore |also |thus |had )?{_OUT.replace('taken', 'took')} "
    rf"(?!any)(?:\w+ ){{0,5}}?{_UNITS}",
    rf"(?:after|before|following|by) (?:the )?(?:excluding|removing|dropping|discarding|deleting"
    rf"|omitting|removal of|exclusion of) (?!any)(?:\w+ ){{0,5}}?{_UNITS}",
)  # fmt: skip
_ELIGIBLE = re.compile(
    r"\b(?:criteri\w+|eligib\w+|screen(?:ed|ing)|invit\w+|before (?:enrol\w+|randomi\w+|the study|"
    r"assignment|testing)|not (?:enrolled|recruited)|from (?:the study|participation|participating"
    r"|taking part|enrol\w+)|items?|questions?|covariates?|variables?|predictors?|studies"
    r"|pregnan\w+"
    r"|trials|practice|warm-?up|reaction times?|epochs?|channels?|frames?|words?)\b"
)
_OBSERVED = any_of(
    r"cross-?sectional",
    r"(?:measured|assessed|surveyed|questioned|tested|interviewed|seen) (?:\w+ ){0,3}?(?:only "
    r"once|just"
    r" once|once only|a single time|on a single occasion|at (?:a single|one) (?:time ?point"
    r"|point in"
    r" time|moment|occasion))",
    r"(?:single|one|only one|just one) (?:visit|session|survey|questionnaire|snapshot|interview"
    r"|contact|testing"
    r" session|appointment|meeting)",
    r"(?:only once|just once|once only|a single time|one single time|at one time only|on one day"
    r"|on the same"
    r" day|snapshot)",
    r"(?:single|one) (?:measurement|assessment|wave|time ?point|point in time|occasion)",
)
_FOLLOWED = any_of(
    r"longitudinal",
    r"follow(?:ed)?-?\s?(?:up)?(?: the| our| these| same| all)* {people} (?:up )?(?:for|over|across"
    r"|during) (?:\w+ ){0,3}?{unit}",
    r"following (?:up )?(?:the|our|these|same|all)(?: same)? {people} (?:for|over|across|during)",
    r"(?:were|was) followed (?:up )?(?:for|over|across|after|until|during)",
    r"(?:re-?tested|re-?assessed|measured again|tested again|assessed again|re-?interviewed"
    r"|contacted"
    r" again|came back|returned) ~ {unit}",
    r"(?:follow-?up|second|third|final) (?:assessment|measurement|wave|test|interview|visit"
    r"|session)",
    r"(?:again|once more|a second time|a third time|repeatedly) (?:\w+ ){0,3}?(?:after|{unit} "
    r"later|at the end"
    r"|{unit})",
    r"(?:over|across|during|throughout) (?:the (?:next|following|course of)|a period of|a"
    r"|several|{count})"
    r" (?:\w+ ){0,2}?(?:months|years)",
    r"(?:second|third|last|later|final) (?:visit|measurement|testing|contact|questionnaire"
    r"|survey|point in"
    r" time|time ?point)",
    r"(?:before and after|at baseline and|pre-?test and post-?test|repeated measure\w*)",
)
_NOT_MANIPULATED = any_of(
    r"(?:observational|correlational|non-?experimental) (?:\w+ )?(?:study|design|survey|data|work|"
    r"investigation|research|evidence|nature)",
    r"(?:study|design|survey|data|investigation|research|work) (?:was|is|were|are) (?:\w+ "
    r"){0,3}?(?:"
    r"observational|correlational|non-?experimental)",
    r"(?:no (?:variable|intervention|treatment|factor|condition)|nothing) (?:was|were) "
    r"(?:manipulated"
    r"|assigned|administered|given)",
    r"did not (?:manipulate|intervene|assign any)",
)
_MANIPULATED = any_of(
    r"(?:controlled|laboratory|field|online|between-subjects?|within-subjects?|our|this|the "
    r"present) "
    r"experiment",
    r"experimental (?:design|study|manipulation|evidence)",
    r"(?:we|was|were|when|is|are)(?: \w+ is| \w+ was)? (?:experimentally )?manipulated",
    r"randomi[sz]ed (?:controlled )?(?:trial|experiment)",
    r"randomly (?:assigned|allocated)",
)


def design_conflicts(paper: Paper, places: Sequence[Place]) -> tuple[list[Flaw], int]:
    """Properties of the design that are said to be so and not so; and how many were claimed."""
    ledger = Ledger(paper, "design_conflict", _clash)
    ledger.read(claim for place in places if place.states for claim in _claims(place))
    return list(ledger.flaws.values()), len(ledger.claims)


def sides(item: Property, text: str) -> set[bool]:
    """Which sides of a property a text takes."""
    if item.ignore is not None:
        text = item.ignore.sub(" ", text)
    taken = set()
    for patterns, side in ((item.no, False), (item.yes, True)):
        for pattern in patterns:
            for match in pattern.finditer(text):
                if side and denied(text, match):
                    taken.add(False)
                elif not side and re.search(r"\b(?:not|never|nor|neither)(?:\W+\w+){0,2}\W*$",
                                            text[: match.start()]):  # fmt: skip
                    continue
                else:
                    taken.add(side)
    return taken


def _claims(place: Place) -> Iterator[Claim]:
    for item in PROPERTIES:
        taken = sides(item, place.text)
        if item.name == "consent" and len(taken) == 2:
            taken = {False} if "waived" in place.text else taken
        if item.name.startswith("blinding") and taken == {True, False}:
            taken = _whole_blinding(item, place.text)
        plain = item.ignore.sub(" ", place.text) if item.ignore is not None else place.text
        by_cue = cue_side(item.name, plain) if not taken else None
        taken = taken if by_cue is None else {by_cue}
        if len(taken) == 1:
            side = taken.pop()
            modes = frozenset(_MODES.findall(place.text)) if item.name == "consent" else frozenset()
            yield Claim(what=item.name, value=(side, modes), place=place, says=item.says[not side])
    yield from site_claims(place)
    yield from _data_claims(place)
    yield from _type_claims(place)


def _whole_blinding(item: Property, text: str) -> set[bool]:
    """`did not know` holds the word that would be knowledge; the denial is what counts."""
    knew = re.search(r"\b(?:did not|could not|not|never|nor|no|without|un)\b", text)
    return {True} if knew else set()


def _data_claims(place: Place) -> Iterator[Claim]:
    everything = found(_ALL_DATA, place.text)
    if everything is not None:
        if not re.search(r"\b(?:who|that|which|except|after|remaining|valid|completed)\b|\d",
                         everything[0]):  # fmt: skip
            yield Claim(
                what="exclusion of data", value=(True, ""), place=place, says="all analyzed"
            )
        return
    some = found(_SOME_OUT, place.text)
    if some is not None and not _spared(place.text, some) and not _ELIGIBLE.search(place.text) and (
        not re.search(r"\b(?:no|none|nobody)\b", place.text)
    ):  # fmt: skip
        yield Claim(what="exclusion of data", value=(False, ""), place=place, says="some left out")


def _spared(text: str, match: re.Match[str]) -> bool:
    """`were not used` leaves out; `were not excluded` does not."""
    if re.search(
        r"\bnot (?:used|analy[sz]ed|included|considered|counted|entered|kept"
        r"|retained)",
        match[0],
    ):
        return False
    return denied(text, match)


def _type_claims(place: Place) -> Iterator[Claim]:
    pairs = (
        ("measurement over time", _OBSERVED, _FOLLOWED, ("measured once", "followed over time")),
        ("manipulation", _NOT_MANIPULATED, _MANIPULATED, ("observational", "experimental")),
    )
    for what, yes, no, says in pairs:
        first, second = found(yes, place.text), found(no, place.text)
        if (first is None) == (second is None):
            continue
        match = first or second
        assert match is not None
        if not denied(place.text, match) or match[0].startswith(("did not", "no ", "nothing")):
            side = first is not None
            yield Claim(what=what, value=(side, ""), place=place, says=says[not side])


def _clash(first: Claim, second: Claim) -> str | None:
    (one, about), (other, also) = first.value, second.value
    if one == other:
        return None
    if first.what == "sites" and about != also and "site" not in (about, also):
        return None
    if first.what == "sites" and {about, also} & {"city", "country"} and about != also:
        return None
    if first.what == "consent":
        given, missing = (about, also) if one else (also, about)
        if not missing <= given:
            return None
    return f"{first.what}: one part says {first.says}, another says {second.says}"
