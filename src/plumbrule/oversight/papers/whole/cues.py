"""Reads a property of a design from the words of a sentence, whatever their order.

Patterns that follow the order of words know only so many constructions. Here a sentence speaks to a
property if it holds a word for its topic and a word for one side, and it counts as saying the
opposite where that word is denied. Sentences that hold words for both sides say nothing.
"""

import re

from plumbrule.oversight.papers.whole.words import words

_NOT = re.compile(
    r"\b(?:not|never|no|nor|neither|without|none|nobody|cannot|lack\w*|hardly|n't|nothing)\b"
)
_BY_CHANCE = words(
    r"random(?:ly|i[sz]ed|i[sz]ation)?|(?:drawing|drew|drawn|casting|by) (?:of )?lots?|coins?"
    r"|lottery|dice|die|raffle|from a hat|shuffl\w+|chance|computer-generated|tombola"
    r"|sealed envelopes?|opaque envelopes?|random-number"
)
_ALLOCATION = (
    r"(?:assignment|allocation|placement|group membership|membership|enrol?lment|entry|admission"
    r"|division|composition|make-?up|distribution|sorting|selection)"
)
_DETERMINED = (
    r"(?:followed|follows|depended|depends|reflect\w*|mirrored|hinged|rested|rests|was based"
    r"|were based|went by|turned on|was determined|was decided|was governed|was dictated"
    r"|was guided|was a matter|was left|was up|varied with|came down|was made"
    r"|was done|proceeded|had come about|came about|arose|was driven|coincided)"
)
_WISH = (
    r"(?:voluntar\w+|optional|preference\w*|choice|choosing|wish\w*|own (?:accord|initiative"
    r"|decision|will|request)|self-select\w*|at will|availab\w+|convenien\w+|interest"
    r"|(?:date|day|time|order|month|week) (?:of|in which|at which|on which)|first come|naturally"
    r"|on their own|themselves|clinician\w*|physician\w*|doctor\w*|therapist\w*|teacher\w*"
    r"|surname|postcode|distance|shift|timetable|schedules?|insurance|referral|need|severity"
    r"|motivation|willing\w*|ward|school|seat\w*|arrival|registration)"
)
_CHOSEN = words(
    rf"{_ALLOCATION} (?:[\w'-]+,? ){{0,8}}?(?:{_DETERMINED} (?:[\w'-]+ ){{0,6}}?|(?:was|were|being"
    rf"|remained) (?:[\w'-]+ ){{0,3}}?){_WISH}"
    r"|(?:whoever|anyone who|anybody who|those who|those that|the ones who|{people} who|who)"
    r" (?:[\w'-]+ ){0,3}?(?:preferred|wanted|wished|liked|asked|volunteered|applied|opted|signed"
    r"|were keen|was keen|felt like|chose|registered|arrived|came|turned up|lived|enrolled|showed"
    r" interest|were interested|expressed)"
    r" (?:[\w'-]+,? ){0,8}?(?:{arm}|treated|signed up for it|joined|received it|got it|got the)"
    r"|(?:early|earlier|first|morning|weekday|monday) (?:[\w'-]+,? ){0,6}?(?:treat\w*"
    r"|intervention|experimental|program\w*) (?:[\w'-]+,? ){0,5}?(?:late|later|last|evening"
    r"|afternoon|others?|rest|remaining|weekend|tuesday) (?:[\w'-]+,? ){0,5}?(?:controls?"
    r"|comparison|waiting|untreated|placebo)"
    r"|{arm} (?:[\w'-]+,? ){0,3}?(?:was|were|is|being) (?:[\w'-]+ ){0,4}?(?:voluntary|optional"
    r"|self-chosen|self-selected|open to all|a personal choice|freely chosen|left to the)"
    r"|(?:opted|opting|signed up|signing up|volunteered|volunteering|applied|asked) (?:in(?:to)? "
    r"|for |to )(?:[\w'-]+ ){0,3}?{arm}"
    r"|(?:their|own|his or her) (?:own )?(?:liking|choosing|preference|wishes|pick)"
    r"|(?:as|which|whichever|what) (?:\w+ )?(?:they|each|people|participants) (?:had )?(?:preferred"
    r"|pleased|wished|wanted|liked)"
)
_NAMED_ARM = words(r"{arm}|treated|allocat\w+|assign\w+|who (?:received|got)|half|side|version")
_FORESEEN = words(
    r"(?:predictions?|hypothes[ie]s|expectations?|ideas?|questions?|claims?|analys[ie]s plan"
    r"|theory|conjectures?|explanation)"
)
_PLAN = words(
    r"(?:predictions?|hypothes[ie]s|expectations?|protocol|analys[ie]s plan|analysis|plan"
    r"|outcomes?|tests?|analyses)"
)
_FIXED = words(
    r"(?:registered|registration|registry|deposited|filed|lodged|posted|logged|locked|fixed|frozen"
    r"|sealed|time-?stamped|archived|written down|laid down|set down|set out|specified|stated"
    r"|declared|recorded|committed|published|formulated|decided|submitted|uploaded|made public)"
)
_AHEAD = words(
    r"(?:before|prior to|in advance|ahead of|beforehand|a priori|prospectively|until|at the outset"
    r"|from the (?:outset|start|beginning))"
)
_AFTERWARDS = words(
    r"(?:only )?(?:after|once|when|upon|on|from|following|by|in light of|in the light of|in view "
    r"of) (?:[\w'-]+ ){0,6}?(?:results?|data|findings|scores|figures|outcomes?|pattern|numbers"
    r"|plots?|tables|answers|means|analys[ie]s|was over|were in|were known)"
    r"|in hindsight|with hindsight|in retrospect|retrospectively|after the fact|post[ -]?hoc"
    r"|afterwards"
)
_AROSE = words(
    r"(?:arose|emerged|suggested|came|occurred|formed|formulated|developed|conceived|framed|born"
    r"|took shape|grew|dawned|derived|devised|invented|thought|written|wrote|drawn up|adopted"
    r"|settled|hit upon|arrived|added|proposed|generated|inspired|prompted|changed|revised"
    r"|rewritten|adjusted|adapted|fitted|tailored|chosen|picked|stated|specified|fixed)"
)
_UNFORESEEN = words(
    r"(?:not|never) (?:\w+ ){0,2}?(?:foreseen|anticipated|planned|predicted|expected|envisaged"
    r"|thought of|in (?:our )?minds?|part of (?:the|our) (?:plan|protocol))|unforeseen|unplanned"
    r"|unanticipated|not (?:\w+ )?(?:specified|fixed|stated|laid down|registered) (?:in advance"
    r"|beforehand|before)"
)
_BOARD = words(
    r"(?:ethic\w*|irb|review (?:board|committee|panel)|institutional review|research committee"
    r"|board of review|helsinki committee)"
)
_PERMITTED = words(
    r"(?:approv\w+|clear(?:ed|ance)|permission|permitted|grant\w+|favou?rabl\w+|passed|endorse\w*"
    r"|agreed|authori[sz]\w+|sanction\w*|green light|go-ahead|accepted|consented|vetted"
    r"|reviewed|positive|required|oversaw|monitored)"
)
_UNPERMITTED = words(
    r"(?:exempt\w*|waived|unnecessary|superfluous|dispens\w+|forwent|skipped|bypass\w*"
    r"|not|never|no|without|nobody|neither|nor|unreviewed)"
)
_HARMLESS_NO = words(
    r"no (?:\w+ )?(?:objections?|concerns?|reservations?|names?|risks?|changes|conditions)|without"
    r" (?:\w+ )?(?:objections?|concerns?|reservations?|names?|changes|delay|conditions)"
    r"|not (?:only|until)|no (?:data|participant|one|person|patient)\b.{0,40}?(?:before|until)"
    r"|before any\w*"
)
_CONSENT = re.compile(r"\bconsent")
_RATER = words(
    r"{rater}|(?:rating|scoring|coding|grading|judg(?:e?ment|ing)|assess(?:ment|ing)|marking"
    r"|evaluation)s?|(?:rated|scored|coded|graded|judged|assessed|marked|evaluated) by"
)
_SECRET = words(
    r"(?:blind(?:ed|ly)?|masked|unaware|ignorant|naive|in the dark|unmarked|concealed|withheld"
    r"|hidden|kept from|secret|anonymi[sz]ed|no (?:\w+ )?(?:knowledge|idea|information|way|means"
    r"|access|clue)|without (?:\w+ )?(?:knowing|knowledge|access|information)|(?:not|never|nor|n't"
    r"|unable|impossible)(?: have| been| be| to| yet)* (?:know\w*|told|tell|see|saw|seen"
    r"|inform\w*|learn\w*|discern|infer|guess|aware|shown|given access|disclosed|revealed|read))"
)
_KNOWN = words(
    r"(?:knew|aware|know|known|knowing|told|informed|learned|learnt|could (?:see|tell|read)|saw"
    r"|visible|apparent|obvious|had access|unblinded|unmasked|not (?:\w+ )?(?:blind|blinded|masked"
    r"|concealed|hidden|kept|withheld)|no (?:blinding|masking)|full knowledge|with knowledge"
    r"|disclosed|revealed|been shown|recogni[sz]ed|printed on|written on|marked with)"
)
_GROUP = words(
    r"(?:groups?|conditions?|arms?|allocations?|assignments?|treatments?|interventions?|treated"
    r"|status|who (?:had )?(?:received|got|was|were|belonged|had been)|controls?|hypothes[ie]s)"
)


def cue_side(name: str, text: str) -> bool | None:
    """Which side of a property a sentence takes, by its words alone; None if none or both.

    Args:
        name: The property's name, as in `design_words.PROPERTIES`.
        text: One sentence, lower-case.
    """
    read = _READERS.get(name)
    return read(text) if read is not None else None


def _assignment(text: str) -> bool | None:
    chance, chosen = _BY_CHANCE.search(text), _CHOSEN.search(text)
    if chosen is not None and chance is None:
        return None if _NOT.search(text) else False
    if chance is not None and chosen is None and _NAMED_ARM.search(text):
        before = text[: chance.start()]
        return None if _NOT.search(before) or re.search(r"\bsampl|\border\b", text) else True
    return None


def _registration(text: str) -> bool | None:
    if not _FORESEEN.search(text) and not _PLAN.search(text):
        return None
    ahead = _AHEAD.search(text) is not None and _FIXED.search(text) is not None
    if _FORESEEN.search(text) and _UNFORESEEN.search(text):
        return False
    after = (
        _FORESEEN.search(text) is not None
        and _AROSE.search(text) is not None
        and _AFTERWARDS.search(text) is not None
    )
    if ahead == after or _NOT.search(text):
        return None
    return ahead


def _ethics(text: str) -> bool | None:
    if not _BOARD.search(text) or _CONSENT.search(text):
        return None
    without = _HARMLESS_NO.sub(" ", text)
    if _UNPERMITTED.search(without):
        return False
    return True if _PERMITTED.search(text) else None


def _raters(text: str) -> bool | None:
    if not _RATER.search(text) or not _GROUP.search(text):
        return None
    secret = _SECRET.search(text)
    known = _KNOWN.search(_SECRET.sub(" ", text))
    if (secret is None) == (known is None):
        return None
    match = secret or known
    assert match is not None
    if secret is not None and _is_denied(text, secret):
        return False
    if known is not None and _is_denied(text, known):
        return None
    return secret is not None


def _is_denied(text: str, match: re.Match[str]) -> bool:
    return re.search(r"\b(?:not|never|hardly|nobody)(?: \w+){0,2} ?$",
                     text[: match.start()]) is not None  # fmt: skip


_READERS = {
    "assignment to groups": _assignment,
    "registration of the hypotheses": _registration,
    "ethics approval": _ethics,
    "blinding of the raters": _raters,
}
