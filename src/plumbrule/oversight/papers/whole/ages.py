"""Reads how old the people are that a sentence says were studied."""

import re

from plumbrule.oversight.papers.numerals import read_count
from plumbrule.oversight.papers.whole.sample_words import PERSONAL, WHO
from plumbrule.oversight.papers.whole.words import denied, found

OLDEST = 120.0
LEAST_SHARED = 0.2
"""Share of the narrower span of ages that two descriptions of one sample have in common."""
_AGES = {
    r"infants?|babies|newborns?|neonates?": (0.0, 2.0),
    r"toddlers?": (1.0, 4.0),
    r"pre-?schoolers?|kindergart\w+": (2.0, 7.0),
    r"school ?children|schoolboys|schoolgirls|primary school pupils|elementary school "
    r"\w+": (5.0, 15.0),
    r"children|kids|youngsters|boys and girls": (0.0, 17.9),
    r"adolescents?|teenagers?|teens|secondary school pupils|high school students": (10.0, 19.9),
    r"minors|(?<!school )pupils": (0.0, 17.9),
    r"undergraduates?|university students|college students": (16.5, 70.0),
    r"(?:older|elderly|aged) (?:adults?|people|persons?|participants?|patients?|volunteers?|women"
    r"|men|individuals?)|octogenarians|nonagenarians|centenarians|seniors|senior citizens"
    r"|pensioners|retirees|the elderly"
    r"|retired (?:people|adults|workers|persons)": (50.0, OLDEST),
    r"middle-aged (?:adults?|people|persons?|participants?|women|men)": (30.0, 70.0),
    r"young adults?": (16.0, 40.0),
    r"(?<!older )(?<!elderly )(?<!young )(?<!middle-aged )(?:adults|grown-ups|adult (?:\w+ )?(?:"
    r"participants?|volunteers?|patients|men|women|sample))": (18.0, OLDEST),
}  # fmt: skip
_NUMBER = r"(\d{1,3}(?:\.\d+)?)"
AGED = (
    re.compile(rf"\bage[ds]?(?: range| span)?(?: was| were| ranged| between| from|:|,|d| of| in"
               rf"| ranging| varied)*\s*[(\[]?{_NUMBER}(?: years?)?\s*(?:-|to|and)\s*{_NUMBER}\b"
               r"(?! ?(?:%|weeks|months|days))"),
    re.compile(rf"\b(?:between|from) {_NUMBER} (?:and|to) {_NUMBER} years?(?: of age| old)"),
    re.compile(rf"\b{_NUMBER}(?: |-)?(?:-|to) ?{_NUMBER}(?: |-)years?(?: |-)olds?\b"),
)  # fmt: skip
_OVER = re.compile(
    rf"\b(?:(?:all|were|was|are|aged|people|adults|those|participants|patients|everyone|women|men)"
    rf" (?:aged )?(?:over|above|older than|at least|beyond|past) (?:the age of )?{_NUMBER}(?: "
    rf"years)?"
    rf"|aged {_NUMBER}(?: years)? (?:or|and) (?:over|older|above)|{_NUMBER} years (?:or|and) "
    rf"older)\b"
    r"(?! (?:%|points|weeks|months|ms))"
)
_IN_WORDS = re.compile(
    r"\b(?:age of |aged |over |under |above |below |than )((?:twenty|thirty|forty|fifty|sixty"
    r"|seventy|eighty"
    r"|ninety)(?:-\w+)?|(?:four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen"
    r"|fifteen"
    r"|sixteen|seventeen|eighteen))\b"
)
_DECADES = re.compile(
    r"\bin (?:their|his|her|the) (?:early |late |mid-?)?(teens|twenties|thirties|forties|fifties"
    r"|sixties"
    r"|seventies|eighties)\b"
)
_DECADE = {"teens": 13, "twenties": 20, "thirties": 30, "forties": 40, "fifties": 50, "sixties": 60,
           "seventies": 70, "eighties": 80}  # fmt: skip
_UNDER = re.compile(
    rf"\b(?:(?:all|were|was|are|aged|people|children|those|participants|patients|everyone)"
    rf" (?:aged )?(?:under|below|younger than|not yet) (?:the age of )?{_NUMBER}(?: years)?"
    rf"|aged {_NUMBER}(?: years)? (?:or|and) (?:under|younger|below))\b(?! (?:%|points|weeks"
    rf"|months))"
)
_NOT_AGE = re.compile(r"\b(?:eligib\w+|criteri\w+|years of (?:experience|education|schooling)|since"
                      r"|generali[sz]\w*|other (?:age|populations?|groups)|norms?|normed"
                      r"|standardi[sz]ed"
                      r"|parents of|mothers of|teachers of|children of|their children|whose"
                      r"|validated|developed for|as children|childhood"
                      r"|grandchildren)\b")  # fmt: skip


def age_of(text: str) -> tuple[float, float, str] | None:
    """Youngest and oldest of the people a sentence says were studied, and the words for it."""
    if _NOT_AGE.search(text):
        return None
    text = _IN_WORDS.sub(lambda each: each[0].replace(each[1], str(read_count(each[1]))), text)
    decade = _DECADES.findall(text)
    if len(decade) == 1 and (PERSONAL.search(text) or found(WHO, text)):
        return _DECADE[decade[0]], _DECADE[decade[0]] + 9.9, f"in the {decade[0]}"
    for pattern in AGED:
        matches = list(pattern.finditer(text))
        if len(matches) > 1:
            return None
        if matches and float(matches[0][1]) < float(matches[0][2]) <= OLDEST:
            return float(matches[0][1]), float(matches[0][2]), matches[0][0]
    for pattern, older in ((_OVER, True), (_UNDER, False)):
        match = pattern.search(text)
        if match and not denied(text, match) and (PERSONAL.search(text) or found(WHO, text)):
            limit = float(next(each for each in match.groups() if each))
            if 3 <= limit <= 100:
                return (limit, OLDEST, match[0]) if older else (0.0, limit, match[0])
    return _age_class(text)


def _age_class(text: str) -> tuple[float, float, str] | None:
    who = [match[0] for pattern in WHO for match in pattern.finditer(text)]
    named = {
        span: match[0]
        for said in who
        for pattern, span in _AGES.items()
        for match in [re.search(rf"\b(?:{pattern})\b", said)]
        if match
    }
    low = max((span[0] for span in named), default=0.0)
    high = min((span[1] for span in named), default=0.0)
    if not named or low > high or re.search(r"\bparents?\b|\bmothers\b|\bteachers\b", text):
        return None  # several ages in one sentence: a study of several
    return low, high, min(named.values(), key=len)
