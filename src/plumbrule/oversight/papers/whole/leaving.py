"""Reads whether people left a study: nobody, or somebody."""

import re
from collections.abc import Iterator

from plumbrule.oversight.papers.whole.claims import Claim
from plumbrule.oversight.papers.whole.places import Place
from plumbrule.oversight.papers.whole.words import any_of, denied, found, words

_LEFT = (
    r"(?:dropped out|drop(?:ped)?-?outs?|withdr[ae]w(?:n)?|withdrawals?|left|quit|discontinued"
    r"|was lost"
    r"|were lost|lost to follow-?up|attrition|abandoned|stopped (?:coming|attending|early)"
    r"|moved away|disappeared|leave|drop out|withdraw|discontinue|missing at follow-?up)"
)
_NOBODY = any_of(
    rf"(?:no one|nobody|none of (?:the|our|them)(?: \w+)?|no {{people}}|not one(?: \w+)?|not a "
    rf"single \w+"
    rf"|none) (?:\w+ ){{0,2}}?{_LEFT}",
    r"(?:there (?:was|were) |with |had |saw )?no (?:\w+ )?(?:drop-?outs?|withdrawals?|attrition"
    r"|losses"
    r"|loss to follow-?up|leavers|discontinuations?)",
    r"without (?:any |a single )?(?:\w+ )?(?:drop-?outs?|withdrawals?|attrition|losses|loss to "
    r"follow-?up)",
    r"(?:all|every|everyone|everybody|each) (?:\w+ ){0,5}?(?:completed|finished|remained in|stayed"
    r" in|stayed until|remained until|stayed to|saw) (?:\w+ ){0,2}?(?:study|trial|program\w*|course"
    r"|protocol|experiment|treatment|intervention|training|follow-?up|to the end|until the end"
    r"|end|out)",
    r"(?:all|every|each|everyone|everybody) (?:[\w,]+ ){0,6}?(?:to the end|until the end|to the "
    r"last (?:day"
    r"|session)|through to the end|from (?:the )?(?:first|start|beginning) to (?:the )?(?:last"
    r"|end|finish)"
    r"|(?:came|returned|came back|turned up|showed up) (?:for|to) (?:the |every )(?:last|final"
    r"|follow|second"
    r"|session))",
    r"(?:nobody|no one|no {people}|none(?: of (?:them|the \w+))?|not one(?: of \w+)?) (?:\w+ "
    r"){0,2}?(?:gave"
    r" up|stopped|went missing|stayed away|missed|broke off|was missing|were missing|failed to)",
    r"(?:the )?(?:sample|groups?) (?:stayed|remained|was|were) (?:complete|intact|whole)",
    r"(?:retention|completion) (?:\w+ ){0,3}?(?:complete|perfect|100 ?(?:%|percent))",
    r"(?:100 ?%|complete|full|perfect) (?:retention|completion|follow-?up)",
    r"(?:we|study|trial) (?:did not lose|lost no|lost none)",
)  # fmt: skip
_SOMEBODY = any_of(
    rf"{{count}} (?:of (?:the |these |our |them )*)?(?:\w+ ){{0,4}}?(?:{_LEFT}|did not "
    rf"(?:complete|return"
    r"|finish|come back|attend the (?:last|final|follow-?up)))",
    rf"(?:those|people|{{people}}|the ones|some) who (?:had )?(?:{_LEFT})",
    r"reasons? (?:given )?(?:for|of) (?:not (?:completing|finishing|returning|continuing)"
    r"|leaving early"
    r"|stopping|giving up|going|absence|non-?completion)",
    r"(?:non-?completers|{people} (?:who|that) (?:did not|failed to) (?:complete|finish|return"
    r"|come back"
    r"|continue)|those (?:who|that) (?:did not|failed to|never) (?:complete|finish|return|come back"
    r"|continue)|early leavers|losses to follow-?up|incomplete participation)",
    r"{count} (?:\w+ ){0,3}?(?:gave up|stopped|went missing|stayed away|failed to (?:return"
    r"|finish"
    r"|complete)|never (?:returned|came back)|did not (?:stay|continue)|broke off|ended early"
    r"|moved)",
    r"(?:gave up|broke off|stopped|left|withdrew|quit) (?:the (?:study|course|program\w*"
    r"|training|treatment)"
    r" )?(?:early|before the end|halfway|prematurely|after (?:the first|one|two|a few))",
    r"reasons? (?:given )?(?:for|of) (?:leaving|withdrawal|withdrawing|dropping out|drop-?out"
    r"|attrition"
    r"|discontinu\w+|quitting|stopping)",
    rf"why (?:\w+ )?{{people}} (?:{_LEFT})",
    r"(?:attrition|drop-?out|withdrawal)(?: rates?)? (?:was|were|of|reached|amounted to|stood "
    r"at) (?:\w+ )"
    r"{0,2}?[1-9]\d*",
    rf"(?:several|some|a few|a number of|many) (?:\w+ ){{0,2}}?(?:{_LEFT})",
    r"(?:after|following) (?:the )?(?:drop-?out|withdrawal|loss|departure) of {count}",
    r"(?:we |study |trial )lost {count}",
    r"(?:completers|leavers|drop-?outs) (?:and|did|were|differed|versus|vs|had)",
)  # fmt: skip
_NOT_LEFT = re.compile(
    r"\b(?:left[- ](?:hand\w*|side|visual|hemi\w*|over|out|to|eye|arm|leg|open|blank|unanswered)"
    r"|left the"
    r" (?:room|laboratory|lab|question|hospital|school|country|scanner)|school drop-?outs?|dropout"
    r" (?:layer|rate of 0)|had left school|left school|if|could withdraw|free to withdraw|right to"
    r" withdraw|may withdraw|withdraw at any)\b"
)
_ALL = (
    r"(?:all|every|each|everyone|everybody|the (?:entire|whole|full|complete) (?:sample|group"
    r"|cohort)"
    r"|both groups|100 ?%|100 percent|whoever|any)"
)
_STAYED = (
    r"(?:completed|finished|remained|stayed|retained|returned|came back|still there|still (?:in"
    r"|taking part|present|enrolled)|reassessed|re-?tested|saw it through|followed (?:up )?to the"
    r" end|reached the end|accounted for|present|took part in (?:all|both|every)|attended (?:all"
    r"|both|every|the (?:last|final))|provided (?:\w+ )?(?:follow-?up|endpoint|post|complete|full)"
    r"|(?:had|gave|delivered|yielded) (?:complete|full))"
)
_TO_WHAT = (
    r"(?:end|last|final|follow-?up|study|trial|program\w*|course|protocol|both (?:assess\w+|waves"
    r"|measurements|sessions)|all (?:assess\w+|waves|measurements|sessions|visits|interviews)"
    r"|every (?:assessment|wave|measurement|session|visit|interview)|endpoint|throughout|data"
    r"|records|months?|weeks?)"
)
_NONE_LOST = any_of(
    rf"{_ALL} (?:[\w',-]+ ){{0,10}}?{_STAYED} (?:[\w'-]+ ){{0,4}}?{_TO_WHAT}",
    r"(?:attrition|drop-?out|withdrawal|loss(?:es)?(?: to follow-?up)?|mortality|missing data"
    r"|non-?completion)(?: rates?)? (?:\w+ ){0,3}?(?:zero|none|nil|absent|did not occur|0(?: ?%)?"
    r"|nought|non-?existent|not (?:occur|observed|seen|an issue))",
    r"(?:zero|nil|0 ?%) (?:\w+ )?(?:attrition|drop-?outs?|withdrawals?|loss(?:es)?)",
    r"(?:retention|completion|follow-?up|adherence to (?:the )?follow-?up)(?: rates?)? (?:\w+ "
    r"){0,2}?"
    r"(?:was|were|is|stood at|reached|of|amounted to) (?:\w+ ){0,2}?(?:complete|perfect|full|total"
    r"|100 ?%|100 percent|100)",
    r"(?:the )?(?:attrition|retention|loss|follow-?up) (?:was|is) (?:therefore |thus )?(?:nil|none"
    r"|complete)",
    r"(?:kept|retained|followed|traced|reached|held on to) (?:up )?(?:all|every|each|the (?:entire"
    r"|whole|full)) (?:of )?(?:the |our )?(?:[\w-]+ ){0,2}?(?:{people}|sample|cohort|one|them)",
    r"(?:not one|not a single|none|nobody|no one|no {people}|no person|0 {people}|zero {people})"
    r" (?:[\w'-]+ ){0,6}?(?:lost|dropped|withdrew|withdrawn|left|quit|discontinued|missing|absent"
    r"|moved away|gave up|stopped|unavailable|unreachable|failed to|pulled out|departed|ended|"
    r"broke off|opted out)",
)
_LOST = (
    r"(?:lost to follow-?up|dropped out|withdrew|withdrawn|moved (?:away|to|out|house|abroad)"
    r"|could (?:not|no longer) be (?:reached|contacted|traced|located|found|followed)|pulled out"
    r"|gave up|opted out|broke off|quit|stopped (?:attending|coming|taking part|participating)"
    r"|did (?:not|n't) (?:return|complete|finish|come back|show up|reappear|attend the (?:last"
    r"|final"
    r"|follow)|take part in the (?:last|final|follow|second)|provide (?:\w+ )?(?:follow|post))"
    r"|failed to (?:return|complete|finish|come back|show up|attend)|(?:were|was) (?:no longer"
    r" (?:reachable|available|taking part|there)|unreachable|unavailable|missing at|untraceable)"
    r"|left (?:the |our |us )?(?:study|trial|program\w*|course|before|early|prematurely|because"
    r"|for|when|after|us)|discontinued|never (?:returned|came back|completed|finished)"
    r"|ceased to|terminated (?:early|prematurely|their)|stayed away|dropped away|fell away"
    r"|ended (?:their )?participation|declined to continue|refused to continue|died|emigrated)"
)
_SOME_LOST = any_of(
    rf"(?:{{count}}|several|some|a few|few|many|a number|a third|a quarter|half|those|people|"
    rf"{{people}}|who|others|another|most|one in \w+) (?:of )?(?:[\w'%-]+ ){{0,6}}?{_LOST}",
    r"(?:attrition|drop-?out|withdrawals?|non-?completion|losses|loss to follow-?up|early "
    r"departures?)"
    r"(?: rates?)? (?:was|were|is|amounted|ran|stood|reached|resulted|stemmed|occurred|came|arose"
    r"|differed|did not differ|averaged|varied|rose|exceeded|affected|claimed)(?! (?:\w+ )?(?:zero"
    r"|none|nil|absent|not|0|nought|non-?existent|expected|assumed|low enough))",
    r"(?:the )?(?:loss|withdrawal|departure|drop-?out|disappearance|defection|absence) of"
    r" (?:(?:the|these|those|about|some|only) )*(?:{count}|several|a few|some)"
    r" (?:[\w-]+ ){0,2}?(?:{people}|persons?|of)",
    r"(?:the|these|those|their|our) (?:{count} |few |several |many )?(?:drop-?outs|leavers|"
    r"withdrawals|non-?completers|losses|defectors|quitters)",
    r"(?:people|those|{people}) (?:whom )?we (?:had )?lost",
    r"(?:with|because of|due to|owing to|given|after) (?:an? |the )?(?:\w+ )?(?:attrition"
    r"|drop-?out)"
    r" (?:rates? )?of (?:\w+ )?[1-9]",
    r"[1-9]\d? ?(?:%|percent) (?:of (?:the |our )?(?:\w+ )?)?(?:attrition|drop-?out|loss"
    r"|withdrawal)",
    r"(?:attrition|drop-?out|loss)(?: rate)? of (?:\w+ )?[1-9]",
    r"(?:retention|completion|follow-?up)(?: rates?)? (?:was|were|of|stood at|reached|fell to"
    r"|dropped"
    r" to) (?:\w+ ){0,2}?[1-9]\d?(?:\.\d)? ?(?:%|percent)",
)
_NOT_THESE = words(
    r"(?:from the (?:treatment|control|intervention|placebo)|before (?:enrol\w+|randomi\w+"
    r"|assignment|allocation)|interest|sight|weight|sleep|time|count|a (?:parent|job|loved|partner"
    r"|spouse)|school|work|home|the (?:room|hospital|house|city)|smoking|habit|medication)"
)


def leaving_claims(place: Place) -> Iterator[Claim]:
    """Whether a sentence says that nobody left the study, or that somebody did."""
    text = _NOT_LEFT.sub(" ", place.text)
    nobody = found(_NOBODY, text) or found(_NONE_LOST, text)
    somebody = found(_SOMEBODY, text) or _some_lost(text)
    if nobody is not None and (somebody is None or nobody.start() <= somebody.start()):
        qualified = re.match(r"\W+(?:because|due to|for|owing|from the (?:treat|contr|interv)"
                             r"|before"
                             r"|until (?!the (?:end|last|final))|in the first|during the "
                             r"first)", text[nobody.end() :])  # fmt: skip
        if not qualified and not re.search(
            r"\b(?:but|except|(?<!not )one of|all but|who|that)\b", nobody[0]
        ):
            yield Claim(what="leaving", value=False, place=place, says=f"{nobody[0]!r}")
    elif somebody is not None and not _denied_leaving(text, somebody) and "n = 0" not in text:
        yield Claim(what="leaving", value=True, place=place, says=f"{somebody[0]!r}")


def _denied_leaving(text: str, match: re.Match[str]) -> bool:
    """`Reasons for not completing` deny nothing; `no reasons were given` would."""
    if re.search(r"\b(?:not|failed|never)\b", match[0]):
        return re.search(r"\b(?:no|none|nobody|without)\W*$", text[: match.start()]) is not None
    return denied(text, match)


def _some_lost(text: str) -> re.Match[str] | None:
    match = found(_SOME_LOST, text)
    if match is None or _NOT_THESE.match(text[match.end() :].lstrip(" ,")):
        return None
    return match
