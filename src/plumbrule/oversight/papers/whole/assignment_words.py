"""How papers say how people came into their groups."""

from plumbrule.oversight.papers.whole.properties import Property
from plumbrule.oversight.papers.whole.words import any_of, words

_OWN_WISH = (
    r"(?:preferences?|choices?|choosing|wish(?:es)?|liking|availability|convenience|timetables?"
    r"|schedules?|motivation|interests?|inclination|decisions?|volition|accord)"
)
_QUEUE = (
    r"(?:order of (?:arrival|enrol\w+|sign-?\w*|registration|application|referral|appearance"
    r"|admission)|order (?:in which|that|of)(?: the)?(?: {people}| they| each)?"
    r" (?:arriv\w+|enrol\w+|sign\w*|came|com\w+|regist\w+|appl\w+|respon\w+|appear\w+|turned|joined"
    r"|were (?:admitted|referred))|(?:date|day|time|month) of (?:arrival|birth|admission|enrol\w+"
    r"|registration|sign\w*)|(?:days?|dates?|time) (?:on|at) which (?:{people}|they)|(?:birth "
    r"?days?|surnames?|last names?|first letter))"
)
_CHOSE = (
    r"(?:chose|choose|chosen|picked|pick|selected|select|opted|opt|preferred|volunteered|signed up"
    r"|decide|elected|requested|asked (?:for|to)|wanted|wished|enrolled themselves|sorted "
    r"themselves"
    r"|put themselves|assigned themselves|decided)"
)
ASSIGNMENT = Property(
    name="assignment to groups",
    says=("by chance", "not by chance"),
    yes=any_of(
        "random(?:ly|i[sz]ed)? (?:and \\w+ )?(?:\\w+ )?(?:assign|allocat|allot|distribut|divid"
        "|split)\\w*",
        "random(?:ly|i[sz]ed) (?:placed|put|sorted|grouped)",
        "{assign} ~ (?:at random|randomly|by (?:chance|lot|lots|lottery|coin|a coin|random"
        "|computer)"
        "|by (?:drawing|casting|tossing|flipping|throwing|rolling|a (?:random|computer|coin"
        "|lottery))"
        "|by (?:the|means of a?) ?(?:toss|flip|throw|random|computer|roll|draw|luck)\\w*)",
        "random(?:i[sz]ed)? (?:assignment|allocation|numbers?|list|table|sequence)",
        "(?:were|was|been|we) (?:then |individually |block )?randomi[sz]ed(?! (?:order|across))",
        "randomi[sz]ed(?:,)? (?:\\w+[- ]?\\w*,? ){0,2}(?:trial|experiment|study|design"
        "|evaluation|comparison)",
        "randomi[sz]ation",
        "(?:coin|lot|lots|lottery|dice|die|chance|computer|software|draw|envelopes?) (?:toss |flip "
        "|alone )?(?:decided|determined|assigned|allocated|settled)",
        "(?:decided|determined|settled) by (?:a |the )?(?:chance|lots?|coin|lottery|toss|flip"
        "|computer"
        "|draw|random\\w*|throw|roll)",
        "(?:toss|flip|throw) of a coin",
        "coin (?:toss|flip)\\w*",
        "drew lots",
        "drawing lots",
        "groups? ~~ (?:formed|made|created|drawn|composed|built) (?:\\w+ )?(?:at random|randomly"
        "|by chance"
        "|by lots?|by draw\\w*)",
        "(?:lots?|lottery|raffle|coin|dice|die|hat|draw|drawing|chance alone|pure chance"
        "|envelopes?|shuffl\\w+"
        "|random\\w*) (?:[\\w,]+ ){0,10}?(?:{arm}|who received|who got|who was)",
        "(?:{arm}|who received|who got) (?:[\\w,]+ ){0,8}?(?:by lots?|by lottery|by (?:pure "
        ")?chance"
        "|by a coin|by coin|by drawing|at random|random\\w*|from a hat|by the dice|by dice|by a "
        "draw)",
        "(?:left|leaving|leave) (?:\\w+ ){0,4}?to (?:pure )?chance",
        "equal chance of (?:being|receiving|getting) ~ {arm}",
        "(?:assignment|allocation)(?: to \\w+)? (?:was|is|were) (?:\\w+ )?random",
    ),
    no=any_of(
        "(?:assignment|allocation|groups|conditions) ~~ (?:not|never|hardly) (?:\\w+ )?(?:at "
        ")?random\\w*",
        "self-?select\\w* ~ {arm}",
        "{arm} ~~ (?:was|were) self-?selected",
        "non-?random(?:i[sz]ed|ly|i[sz]ation)?",
        "quasi-?(?:experiment\\w*|random\\w*)",
        "(?:{people}|they|who|those|themselves|each|everyone|everybody|anyone) (?:had |have |could "
        "|were (?:free|able|allowed|invited|let|permitted|asked) to |was free to |themselves "
        "|freely "
        "|first |then |to |got to |was allowed to |simply |often |mostly )*"
        + _CHOSE
        + " ~ (?:{arm}|between|for themselves)",
        "(?:{people}|they|those|everyone) ~ (?:themselves|freely) (?:chose|picked|selected"
        "|decided)",
        "(?:free|own|personal|individual) (?:choice|decision|preference) ~ {arm}",
        "(?:let|allowed|permitted|invited|asked) (?:the |our |all |each )?{people} (?:to "
        ")?(?:themselves "
        ")?(?:choose|pick|select|decide) ~ (?:{arm}|between|for themselves)",
        "{assign} ~ (?:by|according to|based on|on the basis of|following|depending on|in line with"
        "|in accordance with|in|from|to suit|by their|because of) (?:the |their |his or her |a "
        "|own )*"
        "(?:\\w+ )?(?:" + _OWN_WISH + "|" + _QUEUE + ")",
        "{arm} ~ (?:by|according to|on the basis of|in|from|depending on|depended on|reflect\\w*"
        "|follow\\w*|rested on|went by|left to|up to|result of|matter of|driven by|product of) "
        "(?:the "
        "|their |a |own )*(?:\\w+ )?(?:" + _OWN_WISH + "|" + _QUEUE + ")",
        "(?:the )?first (?:{count}|half|{people}) ~ (?:treatment|intervention|experimental|control"
        "|condition|group|arm) ~ (?:rest|remaining|remainder|later|next|others?|last|second half"
        "|following|subsequent|latecomers|after)",
        "(?:early|earliest|first|late|last) (?:arrivals|comers|to (?:arrive|enrol\\w*|sign"
        "|register)"
        "|{people} to (?:arrive|enrol\\w*|sign|register|come)) ~ (?:treatment|intervention|control|"
        "experimental|condition|group|arm)",
        "(?:alternat\\w+|every (?:second|other)) ~ {arm}",
        "{assign} ~ alternat\\w+",
        "(?:therapists?|clinicians?|doctors?|physicians?|teachers?|staff|nurses?|coordinators?"
        "|researchers?|managers?|parents|instructors?|head teachers?) (?:had |themselves "
        ")?(?:decided"
        "|judged|chose|chosen|selected|picked|determined) ~ (?:{arm}|treated)",
        "(?:existing|intact|pre-?existing|naturally occurring|already formed|ready-made|naturally"
        " formed) (?:\\w+ )?(?:classes|groups|classrooms|wards|teams|cohorts)",
        "(?:who|those that) (?:were more |had more |felt more )?(?:motivated|keen|eager|interested)"
        " ~ (?:treatment|intervention|program\\w*) (?:group|arm|condition)",
        "(?:whether|if|who) (?:[\\w,]+ ){0,6}?(?:treatment|group|program) (?:[\\w,]+ "
        "){0,3}?(?:up to|left to|decided by"
        " themselves|chosen by) (?:the )?(?:{people}|them|each|him|her)",
        "(?:those|whoever|{people}|everyone) (?:who|that)? ?(?:wanted|wished|asked for|preferred"
        "|liked) (?:the )?(?:treatment"
        "|intervention|program|course) (?:received|got|had|were given|was given|took)",
        "(?:group|condition|arm) (?:that )?(?:they|he|she|{people}) liked",
        "at their own (?:request|wish|choice)",
        "(?:free|liberty|allowed|able|invited|up|left) (?:\\w+ )?to (?:\\w+ ){0,3}?(?:choose"
        "|decide|pick|select"
        "|join|enter|switch|them|themselves|each)(?: [\\w,]+){0,6}? (?:{arm}|side|half|version"
        "|which)",
        "(?:own (?:choice|free will|decision|accord|wish|preference)|preferences?"
        "|self-?selection|choosing for"
        " themselves) (?:[\\w,]+ ){0,8}?{arm}",
        "{arm} (?:[\\w,]+ ){0,8}?(?:own (?:choice|free will|decision|accord|wish|preference)"
        "|preferences?"
        "|self-?selection|self-?selected|chosen by (?:the )?{people}|by choice|voluntar\\w+|at "
        "will)",
        "(?:first|early|earliest|first half|quickest|first-comers?) (?:[\\w,]+ "
        "){0,8}?(?:treatment|intervention"
        "|experimental)(?: [\\w,]+){0,8}? (?:rest|remaining|later|others?|last|latecomers?"
        "|second half|full"
        "|filled|was filled|places)",
        "(?:filled|places) (?:[\\w,]+ ){0,6}?(?:first come|first served|order|until|as they "
        "(?:came|arrived))",
        "(?:first come,? first served|as they came|in turn|by turns|odd|even-numbered|weekdays?"
        "|mondays?"
        "|by ward|by class|by school|by shift|by street|by surname|alphabetical\\w*|whoever "
        "(?:came|arrived"
        "|signed|asked|wanted)) (?:[\\w,]+ ){0,10}?{arm}",
        "{arm} (?:[\\w,]+ ){0,10}?(?:first come,? first served|as they came|in turn|by turns|odd"
        "|weekdays?"
        "|mondays?|by ward|by class|by school|by shift|alphabetical\\w*)",
        "(?:decision|judg\\w+|discretion|recommendation|advice|opinion) of (?:the |their |a "
        ")?(?:therapists?"
        "|clinicians?|doctors?|physicians?|teachers?|staff|nurses?|coordinators?|managers?"
        "|instructors?)"
        " (?:[\\w,]+ ){0,8}?{arm}",
        "{arm} (?:[\\w,]+ ){0,8}?(?:decision|judg\\w+|discretion|recommendation|advice|opinion) of",
        "(?:more|most|less) (?:motivated|willing|eager|interested|severe|ill|able|gifted|keen) "
        "(?:[\\w,]+ )"
        "{0,6}?(?:{assign}|sent|steered|given|chose|joined|ended up|found) (?:[\\w,]+ ){0,4}?{arm}",
        "{arm} (?:that |which )?(?:they|he|she|{people}) (?:had |have |themselves |most |would "
        ")*(?:preferred"
        "|prefer|wanted|chose|chosen|liked|picked|wished|felt)",
        "(?:those|{people}|the ones|whoever) (?:who |that )?(?:had )?(?:arrived|came|enrolled"
        "|signed up"
        "|registered|applied|responded|joined|turned up) (?:first|early|earlier|earliest|before"
        "|late"
        "|later|last) (?:[\\w,]+ ){0,6}?{arm}",
        "{arm} (?:\\w+ )?(?:consisted of|comprised|made up of|was formed by|formed of|was filled "
        "with"
        "|included|held) (?:\\w+ ){0,2}?(?:who|that) (?:had |have |themselves )*(?:"
        + _CHOSE[3:-1]
        + "|arrived|come|came|applied|enrolled|registered)",
        "(?:decid\\w+|chose|choos\\w+|choice|free|up to) (?:[\\w,]+ ){0,5}?(?:which|what) {arm}",
        "(?:choice|choosing) of (?:the |a |their |one's )?(?:own )?(?:group|condition|treatment"
        "|arm)"
        " ~ (?:their own|theirs|free|left|up to|with the|by the)",
        "(?:self-?chosen|self-?assigned) {arm}",
    ),
    ignore=words(
        "random(?:ly|i[sz]ed|i[sz]ation)?(?: of)?(?: the)? (?:\\w+ )?(?:effects?|intercepts?"
        "|slopes?|samples?"
        "|sampling|orders?|forests?|seeds?|noise|errors?|select\\w+|sampled|ordered|chosen|drawn"
        "|picked|factors?|variation|access\\w*|stimul\\w+|trials|items|questions|sequence of)"
        "|(?:orders?|sequences?|trials|items|stimuli|questions|blocks|positions?|pictures|words)"
        " (?:\\w+ ){0,5}?(?:random\\w*)|random\\w* (?:\\w+ ){0,2}(?:order|sequence of (?:trials"
        "|items))"
        "|mendelian randomi[sz]ation|completely at random|(?:missing|dropped out) at random"
        "|dropped out non-?randomly|non-?random(?:ly)? (?:missing\\w*|attrition|dropout|loss)"
    ),
)
