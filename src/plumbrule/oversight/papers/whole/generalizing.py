"""Finds conclusions that the design cannot give: causes without an experiment, all from a few."""

import re
from collections.abc import Sequence

from plumbrule.oversight.papers.document import Flaw, Paper
from plumbrule.oversight.papers.whole.claims import comparable, conflict
from plumbrule.oversight.papers.whole.places import CONCLUDING, Place
from plumbrule.oversight.papers.whole.scope_words import CAUSE, EVERYBODY, FEW, NO_CAUSE
from plumbrule.oversight.papers.whole.words import denied, found, words

_HEDGE = re.compile(
    r"\b(?:may|might|could|perhaps|possibly|whether|cannot|can not|can't|does not|do not|did not"
    r"|not"
    r"|no causal|rather than|without|questions?|unclear|unknown|suggests? that .* may"
    r"|hypothes\w+|would"
    r"|limit\w*|caution\w*|tentative\w*|reverse|alternatively|possible|potential\w*|seems?|appears?"
    r"|consistent with|speculat\w*|causal (?:claims?|conclusions?|inferences?|interpretations?"
    r"|language|statements?) (?:are|is|can)|no evidence|neither|never|remains?|believe|said"
    r"|asked|no|nothing|nobody|hardly|scarcely)\b"
)
_ABOUT_SAMPLE = words(
    r"included|eligible|admitted|invited|examined|recruit\w*|participants?|sample|conducted"
    r"|study|took place|collected|drawn|came from"
    r"|tested|enrol\w+"
    r"|patients|students|adults|volunteers|we|carried out|data|people|everyone|taking part|took "
    r"part"
)
_SAFELY = re.compile(
    r"\b(?:we|one|it) (?:may|can|could|must) (?:now |thus |therefore |safely |hence )*(?:be )?"
    r"(?:conclude\w*|say|said|state\w*|infer\w*|regarded|taken|claim\w*|considered|assert\w*"
    r"|established|affirm\w*)\b|\bno (?:doubt|question)\b|\b(?:beyond|without) (?:any )?(?:doubt"
    r"|question|exception)\b|\bcan(?: now)? be (?:regarded|taken|considered) as (?:established"
    r"|proven|shown|settled)\b|\bnot only\b"
)
"""Modal words that assert: `we may conclude that`."""
_WEAK = re.compile(
    r"(?:because|thanks|owing|by virtue|as a|on account|owe|is owed|trace|attribut|ascrib|put down"
    r"|credited|stem|arise|arose|flow|result|down to|responsible|consequence|effect|impact"
    r"|influence)"
)
"""Words that name a cause of anything, such as of a gap in the data."""
_PROCEDURE = re.compile(
    r"\b(?:allocation|randomi[sz]ation|assignment|recruitment|sampling|blinding|matching"
    r"|stratification"
    r"|procedures?|calls|reminders) (?:\w+ )?(?:produced|created|resulted|led|gave|made|kept"
    r"|yielded"
    r"|ensured|works?|worked|prevented)\b"
)
"""What the authors did led to groups or data, which no trial has to show."""
_CHANGED = re.compile(
    r"\b(?:gains?|benefits?|improve\w*|effects?|differen\w+|chang\w+|advantages?|better|worse"
    r"|higher"
    r"|lower|more|less|ris(?:e|es|ing)|rose|increas\w*|decreas\w*|reduc\w+|recover\w*|success"
    r"|progress|drop\w*|fall\w*|fell|decline\w*|growth|grew|faster|slower|stronger|weaker|relief)\b"
)
_NOT_ALL = re.compile(
    r"\b(?:not|cannot|may|might|could|whether|caution\w*|limit\w*|unclear|unknown|generali[sz]ab\w+"
    r"|questions?|before|would|almost|everyone (?:in|who|was|received|completed|took)|everybody "
    r"(?:in|who"
    r"|was)|nearly|neither|no|hardly|never|remains?)\b"
)


def scope_conflicts(paper: Paper, places: Sequence[Place]) -> tuple[list[Flaw], int]:
    """Conclusions that go beyond the design; and how many sentences were looked at."""
    flaws, looked = [], 0
    for limits, claims, hedge, reason in (
        (NO_CAUSE, CAUSE, _HEDGE, "the conclusion claims a cause, the design shows none"),
        (FEW, EVERYBODY, _NOT_ALL, "the conclusion speaks of all, the sample was of one sort"),
    ):
        bases = [
            place
            for place in places
            if place.states and _limits(place, limits)
            and (limits is not FEW or _ABOUT_SAMPLE.search(place.text))
        ]  # fmt: skip
        reached = [place for place in places if _reaches(place, claims, hedge)]
        looked += len(bases) + len(reached)
        pairs = [
            (base, claim)
            for claim in reversed(reached)
            for base in bases
            if comparable(base, claim) and base.section_start != claim.section_start
        ]
        if pairs:
            flaws.append(conflict(paper, "scope_conflict", reason, pairs[0], "medium"))
    return flaws, looked


def _limits(place: Place, patterns: Sequence[re.Pattern[str]]) -> bool:
    match = found(patterns, place.text)
    if match is None:
        return False
    said_no = re.match(r"(?:no|nothing|without|lack\w*|absence|we|study|design|not)\b", match[0])
    return bool(said_no) or not denied(place.text, match)


def _reaches(
    place: Place, patterns: Sequence[re.Pattern[str]], hedge: re.Pattern[str]
) -> bool:  # fmt: skip
    if place.role not in CONCLUDING or not place.own or place.partial:
        return False
    if place.full.endswith("?") or hedge.search(_SAFELY.sub(" ", place.text)):
        return False
    if re.search(r"\b(?:aim|test(?:ed)? whether|asked|investigat\w+|examin\w+|hypothes\w+|previous"
                 r"|earlier|prior|others|expect\w*|predict\w*|future"
                 r"|further)\b", place.text):  # fmt: skip
        return False
    if _PROCEDURE.search(place.text):
        return False
    matches = (match[0] for each in patterns if (match := each.search(place.text)))
    return any(not _WEAK.match(said) or _CHANGED.search(place.text) for said in matches)
