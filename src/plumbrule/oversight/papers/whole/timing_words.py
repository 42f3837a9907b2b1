"""Words for how long a course, a session, an effect and a follow-up lasted."""

import re

from plumbrule.oversight.papers.numerals import COUNT
from plumbrule.oversight.papers.whole.words import words

_N = rf"(?:{COUNT}|a|an|one|half a|several|a couple of|a dozen)"
_UNIT = r"(?:hour|day|week|fortnight|month|year)s?"
_SPAN = rf"(?P<n>{_N})[ -](?:full |whole |consecutive |calendar |entire )?(?P<u>{_UNIT})"
_PROGRAM = (
    r"(?:courses?|program(?:me)?s?|training|intervention|treatment|therapy|study period|classes"
    r"|trial"
    r"|experiment|study)"
)
LASTED = (
    words(rf"{_SPAN}(?:-?long)? (?:\w+ ){{0,2}}?{_PROGRAM}"),
    words(rf"{_PROGRAM} (?:\w+ )?(?:lasted|ran for|took|went on for|continued for|extended over"
          rf"|spanned"
          rf"|stretched over|was spread over|ran over|covered|lasting|comprised|consisted of|of"
          rf"|occupied|filled|was completed in|was over in|was over after|went over|wrapped up "
          rf"after"
          rf"|over) (?:for |a total of |about |exactly |just )?{_SPAN}"),
    words(rf"(?:{{people}}|they|groups?|who) (?:\w+ ){{0,3}}?(?:trained|practi[sc]ed|exercised"
          rf"|attended"
          rf"|were treated|received (?:\w+ ){{1,3}}) ?(?:for|over|across) {_SPAN}"),
    words(rf"(?:the|our|those|these|all) {_SPAN} of (?:the |our )?(?:\w+ )?{_PROGRAM}"),
    words(rf"{_PROGRAM} (?:[\w,]+ ){{0,4}}?(?:came to an end|ended|was over|finished|closed"
          rf"|stopped) (?:\w+ )?after {_SPAN}"),
    words(rf"after {_SPAN} of (?:\w+ )?(?:training|treatment|practice|therapy|intervention)"),
)  # fmt: skip
FOLLOWED = (
    words(rf"follow(?:ed|ing)?-?(?: )?(?:up)?(?: [\w-]+){{0,5}}? (?:for|after|at|of|over|lasted"
          rf"|until|was|took"
          rf" place) (?:\w+ ){{0,2}}?{_SPAN}"),
    words(rf"last (?:tested|seen|measured|asked|contacted|assessed|visited|questioned"
          rf"|interviewed) {_SPAN}"),
    words(rf"{_SPAN}(?:'s?)? (?:of )?follow-?(?: )?up"),
    words(rf"(?:last|final) (?:measurement|assessment|test|visit|interview|session|questionnaire"
          rf"|wave"
          rf"|contact|data) (?:\w+ ){{0,5}}?{_SPAN} (?:later|after|post)"),
    words(rf"(?:re-?tested|measured again|tested again|assessed again|contacted again|assessed "
          rf"once more"
          rf"|re-?assessed|questioned again|returned|came back) (?:\w+ ){{0,2}}?{_SPAN}(?: later"
          rf"| after)?"),
    words(rf"{_SPAN} (?:later|after (?:the )?(?:end|training|treatment|intervention|course"
          rf"|last)\w*),? (?:\w+ )"
          rf"{{0,4}}?(?:re-?tested|measured again|tested again|assessed|contacted|follow"
          rf"|questionn|returned)"),
)  # fmt: skip
WEEKLY = words(r"(?P<n>{count}) (?:\w+ )?(?P<e>weekly|daily|monthly) (?:\w+ )?(?:sessions?"
                r"|lessons|meetings|classes"
                r"|visits|appointments)")  # fmt: skip
MINUTES = words(
    r"(?:(?P<a>{count})[ -]minutes?(?:-long)? (?:\w+ )?(?:sessions?|lessons?|meetings?|classes)"
    r"|(?:sessions?|lessons?"
    r"|meetings?|classes|each (?:session|meeting|lesson)) (?:\w+ ){0,2}?(?:lasted|took|ran for"
    r"|of|went on for)"
    r" (?:about |exactly )?(?P<b>{count}) minutes?|(?P<c>{count}) minutes (?:a|per|each) "
    r"(?:session|lesson|meeting))"
)
LOOKED = re.compile(
    r"\b(?:follow\w*|last|final|closing|end ?points?|contact\w*|re-?test\w*|re-?assess\w*"
    r"|monitor\w*|observ\w*|track\w*|assessments?|measurements?|visits?|waves?|interviews?"
    r"|call-?backs?|check-?ups?|longest)\b"
)
"""Words of a sentence that says how long people were watched."""
THEN = (
    words(rf"{_SPAN}(?:,)? (?:later|after|afterwards|on|past|thereafter|post|follow-?up|from)"),
    words(rf"(?:for|after|over|until|up to|within|through|of|at|during|spanned|lasted|covered|was"
          rf"|were) (?:a total of |the |all |about |exactly |some |another |only |just |at most |no"
          rf" more than )*{_SPAN}"),
    words(rf"{_SPAN}(?:'s?)? (?:of |in )?(?:follow-?up|observation|monitoring|tracking)"),
)  # fmt: skip
HELD = re.compile(
    r"\b(?:maintain\w*|lasts?|lasted|lasting|persist\w*|still|endur\w*|undiminished|unchanged"
    r"|intact"
    r"|held|hold|holds|as (?:large|strong|high|great|big|good|clear|pronounced|visible)|no "
    r"(?:sign of"
    r" )?(?:decay|fading|loss|decline|weakening)|remain\w*|present|survived?|kept up|sustained"
    r"|stable|visible|evident|detectable|measurable|apparent|preserved|not (?:yet )?(?:faded|worn"
    r" off|vanished|disappeared|gone|weakened|diminished)|permanent|carried over|long-lasting"
    r"|continued|outlast\w*|stood|felt|noticeable)\b"
)
GAINED = re.compile(
    r"\b(?:effects?|benefits?|gains?|improvements?|advantages?|differences?|changes?|lead"
    r"|superiority"
    r"|treated|progress|success|relief|impact|influence|results?|recovery|better|reductions?"
    r"|increases?|higher|lower)\b"
)
_HOLDS = (
    r"(?:lasts|lasted|to last|persist\w*|unchanged|undiminished|intact|maintain\w*|remain\w*"
    r"|sustain\w*|endur\w*|still"
    r"|held|holds?|hold up"
    r"|continu\w*|stable|present|durable|survived?|kept|preserved|lasting|visible"
    r"|evident)"
)
LASTS = (
    words(rf"{_HOLDS} (?:[\w-]+ ){{0,6}}?(?:for|over|after|at|until|up to|beyond|across"
          rf"|through\w*|even)"
          rf" (?:[\w-]+ ){{0,3}}?{_SPAN}(?: later| after| on)?"),
    words(rf"{_SPAN} (?:later|on|after (?:the )?(?:end|training|treatment|intervention|course)\w*)"
          rf"(?:[\w,-]* ){{0,8}}?{_HOLDS}"),
    words(rf"(?:effects?|benefits?|gains?|improvements?|advantages?|differences?|changes?) "
          rf"(?:[\w-]+ ){{0,6}}?"
          rf"(?:for|over|after|at|until|up to|beyond) (?:[\w-]+ ){{0,2}}?{_SPAN}(?: later| after"
          rf"| on)?"),
    words(rf"{_HOLDS} (?:[\w-]+ ){{0,4}}?{_SPAN} (?:later|after|on)"),
    words(rf"(?:not|never|nor) (?:yet )?(?:faded|fade|vanished|vanish|disappeared|worn off|gone"
          rf"|lost|weakened"
          rf"|weaken|diminished|declined) (?:\w+ )?(?:after|for|within|over|in) (?:\w+ )?{_SPAN}"),
    words(rf"even (?:after )?{_SPAN}(?: later| after| on)?"),
)  # fmt: skip
SESSIONS = words(
    r"(?P<n>{count}) (?:\w+ |one-hour |[\w-]+ ){0,2}?(?:sessions?|lessons|meetings|classes"
    r"|appointments|gatherings)"
)
OF_TOTAL = words(
    r"{count} (?:out )?of (?:the |all |our |these )*(?P<n>{count}) (?:[\w-]+ ){0,2}?(?:sessions"
    r"|lessons|meetings|classes|appointments|visits|gatherings)"
)
OVER_WEEKS = words(
    rf"(?:for|over|during|in|within|across|lasted|lasting|spanned) (?:a (?:period|total|course"
    rf"|span)"
    rf" of |the )?{_SPAN}"
)
RATE = words(
    r"(?:(?P<w>once|twice|three times|four times|five times|{count} times|{count} sessions?|one "
    r"session"
    r"|{count} lessons|{count} meetings|one meeting|one lesson)"
    r" (?:a|per|each|every|in each) (?P<u>week|day|fortnight|month)"
    r"|(?:every|each) (?P<d>{count}) days|every (?P<o>other|second) (?P<v>day|week)|(?P<e>weekly"
    r"|daily"
    r"|fortnightly|monthly|twice-weekly|every"
    r" (?:day|week|fortnight|month)))"
)
PER = {"daily": 7.0, "weekly": 1.0, "fortnightly": 0.5, "monthly": 7 / 30.44, "twice-weekly": 2.0,
        "every day": 7.0, "every week": 1.0, "every fortnight": 0.5,
        "every month": 7 / 30.44}  # fmt: skip
NO_WATCH = re.compile(
    r"\b(?:ago|old|age|aged|minutes?|seconds?|hours?|every|last (?:decade|years?|weeks?|months?)"
    r"|experience|minutes|per|between|interval\w*|training (?:lasted|took)|since|history)\b"
)
OTHER_PERIOD = re.compile(
    r"\b(?:follow-?ups?|second wave|baseline period|run-?in|wash-?out|waiting|per day|a day"
    r"|older|age|old"
    r"|experience|sentence|prison|previous|earlier|last decade|past|every|between sessions"
    r"|stimul\w+|had (?:been |already )?(?:practi[sc]ed|practi[sc]ing|trained|training))\b"
)
