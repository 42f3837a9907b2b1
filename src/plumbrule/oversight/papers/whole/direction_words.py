"""Words for the direction of an effect, for the groups compared, and words that name no outcome."""

import re

QUANTITY, VALUE = "quantity", "value"
"""More or less of something; better or worse."""

COMPARATIVES: dict[tuple[str, int], str] = {
    (
        QUANTITY,
        1,
    ): r"higher|greater|larger|more|longer|stronger|bigger|elevated|slower|superior|above"
    r"|ahead(?: of)?|deeper|heavier|steeper|wider|richer|sharper|keener|taller|oftener|warmer",
    (QUANTITY, -1): r"lower|less|fewer|smaller|shorter|weaker|faster|quicker|sooner|inferior"
    r"|below|behind|milder|lighter|rarer|scarcer|duller|shallower|narrower|thinner|cooler",
    (VALUE, 1): r"better|healthier",
    (VALUE, -1): r"worse|poorer",
}
CHANGES: dict[tuple[str, int], str] = {
    (
        QUANTITY,
        1,
    ): r"increas(?:e[sd]?|ing)|rose|ris(?:es?|en|ing)|rais(?:e[sd]?|ing)|grew|grows?|gain(?:s|ed)"
    r"|boost(?:s|ed|ing)?|enhanc(?:e[sd]?|ing)|exceed(?:s|ed)?|surpass(?:es|ed)?|outscored?"
    r"|climb(?:s|ed)"
    r"|lift(?:s|ed)|heighten(?:s|ed)|strengthen(?:s|ed)|promot(?:es|ed)|went up|goes up"
    r"|foster(?:s|ed)|doubl(?:es|ed)|growth|upturn|surge[sd]?|soar(?:s|ed)|mount(?:s|ed)|swell"
    r"|gain in|beat|outdid|picked up|came out on top|accelerat(?:es|ed)|speed(?:s|ed)? up"
    r"|rais(?:es|ed)|escalat(?:es|ed)|intensif(?:ies|ied)|jump(?:s|ed)?|leapt|tripl(?:es|ed)"
    r"|multipl(?:ies|ied)|crept up|edged up|built up|uptick|amplif(?:ies|ied)|elevat(?:es|ed)"
    r"|augment(?:s|ed)|swelled",
    (
        QUANTITY,
        -1,
    ): r"decreas(?:e[sd]?|ing)|declin(?:e[sd]?|ing)|reduc(?:e[sd]?|ing|tion)|fell|falls?|fallen"
    r"|lower(?:s|ed|ing)|dropp(?:ed|ing)|drops?|diminish(?:es|ed)|shrank|weaken(?:s|ed)"
    r"|suppress(?:es|ed)"
    r"|cuts?|lessen(?:s|ed)|went down|goes down|dampen(?:s|ed)|depress(?:es|ed)|lost|loses"
    r"|reliev(?:es|ed)|eas(?:es|ed)|alleviat(?:es|ed)|mitigat(?:es|ed)|halv(?:es|ed)|loss(?:es)?"
    r"|dip(?:s|ped)?|dwindl(?:es|ed|ing)|wan(?:es|ed)|sank|sunk|slump(?:s|ed)?|erod(?:es|ed)"
    r"|plummet(?:s|ed)|lagged behind|trailed|fell short of|shrink(?:s|ing)?|slid|sagged|lowest"
    r"|drop|slow(?:s|ed)|slipp(?:ed|ing)|ebb(?:s|ed)|reced(?:es|ed)|abat(?:es|ed)|subsid(?:es|ed)"
    r"|fad(?:es|ed)|taper(?:s|ed)|crept down|edged down|plung(?:es|ed)|tumbl(?:es|ed)"
    r"|collaps(?:es|ed)|contract(?:s|ed)|shorten(?:s|ed)|curb(?:s|ed)|curtail(?:s|ed)"
    r"|soften(?:s|ed)|blunt(?:s|ed)|attenuat(?:es|ed)|lessening|trimm(?:ed|ing)",
    (
        VALUE,
        1,
    ): r"improv(?:e[sd]?|ing|ements?)|outperform(?:s|ed)?|benefit(?:s|t?ed)|help(?:s|ed)|advantage"
    r"|aid(?:s|ed)|better off|did best|recover(?:s|ed)",
    (VALUE, -1): r"worsen(?:s|ed|ing)?|deteriorat(?:e[sd]?|ing|ion)|harm(?:s|ed)?|impair(?:s|ed)?"
    r"|hurts?|damag(?:es|ed)|underperform(?:s|ed)?|suffer(?:s|ed)|disadvantage|hinder(?:s|ed)"
    r"|worse off|did worst|spoil(?:s|ed|t)",
}
_MIDDLE = r"(?:[\w,-]+ ){0,4}?"
_WHO = r"participants|adults|students|patients|volunteers|women|men|children"
BESIDE = ("above", "below", "behind", "ahead", "ahead of", "beat", "outdid", "lagged behind",
           "trailed", "fell short of", "exceeded", "surpassed", "outscored",
           "outperformed")  # fmt: skip
_MORE = "|".join(pattern for (_, sign), pattern in COMPARATIVES.items() if sign > 0)
_LESS = "|".join(pattern for (_, sign), pattern in COMPARATIVES.items() if sign < 0)
RELATION = re.compile(
    rf"\bthe (?:({_MORE}|oftener|earlier)|({_LESS}|rarer|later))\b([^;]*?),? the (?:({_MORE})"
    rf"|({_LESS}))\b(.*)"
    rf"|\b(?:people|those|{_WHO}|whoever)\b[^;,]*?\b(?:({_MORE})|({_LESS}))\b([^;,]*?)\b(?:had"
    rf"|were|was|felt"
    rf"|showed|reported|scored|did|slept|experienced)\b[^;,]*?(?:({_MORE})|({_LESS}))\b(.*)"
)
"""`the more ..., the lower ...`, `people with more ... had less ...`."""
NOTHING = re.compile(
    rf"\bno {_MIDDLE}(?:differen\w+|effects?|change[sd]?|improve\w*|increase|decrease|reduction"
    rf"|advantage"
    r"|benefits?|gains?|impact|influence|associations?|correlations?|relations?\w*|link|evidence"
    r"|better|worse|higher|lower|more|less|greater|longer|shorter|faster)\b"
    rf"|\b(?:not|n't|never|neither|nor|cannot) {_MIDDLE}(?:differ\w*|chang\w*|improv\w*"
    rf"|increas\w*|decreas\w*"
    r"|affect\w*|benefit\w*|influenc\w*|significan\w*|help\w*|rais\w*|lower\w*|reduc\w*|ris\w*"
    r"|rose|fall|fell"
    r"|alter\w*|respond\w*|gain\w*|distinguish\w*|grow|drop|move|shift\w*|any (?:effect"
    r"|difference)|better"
    r"|worse|higher|greater|more|less|associated|correlated|related|linked|separate\w*)\b"
    rf"|\bfail(?:ed|s|ure) to {_MIDDLE}\w+"
    r"|\b(?:non-?significant\w*|insignificant\w*|unchanged|unaffected|unrelated|uncorrelated|alike"
    r"|indistinguishable|null (?:effect|result|finding)|similar|comparable|equivalent|equal(?:ly)?"
    r"|the same|the very same|on a par|close to|identical|ineffective|uninfluenced|little or no"
    r"|made no|no trace of|no sign of|nothing to do with|on the same level|level with|flat"
    r"|constant|stayed where|as (?:high|low|good|bad|many|much|well|strong) as|little difference"
    r"|matched|had no bearing|independent of|without (?:any )?effect|just as)\b"
)
HEDGE = re.compile(
    r"\b(?:may|might|could|cannot|can not|(?:do|does|did) not (?:show|prove|establish|mean|imply"
    r"|allow)|perhaps|possibl[ey]|whether|(?<!not )expect\w*|predict\w*|hypothes\w*|would|should"
    r"|aim\w*"
    r"|numerically|descriptively|slight(?:ly)?|somewhat|tended|tendency|trend\w*|marginal\w*|if"
    r"|suspect\w*"
    r"|assum\w*|anticipat\w*|unclear|unknown|potential\w*|seemed|designed to|intended to|in "
    r"order to"
    r"|wanted to|hoped|to test|asked|guess\w*|believ\w*|preregistered|some (?:\w+ "
    r")?(?:participants?|people"
    r"|patients|students|adults)|individual(?:s| differences)|a minority|one (?:participant"
    r"|patient))\b"
)
SOME = re.compile(
    r"\b(?:strong|large|clear|significant|marked|considerable|substantial|powerful|robust|real"
    r"|reliable"
    r"|sizeable|big|pronounced|striking|close|such an?)(?: \w+)? (?:effects?|impact|influence"
    r"|differences?"
    r"|links?|relations?|associations?|correlations?|connections?)\b|\b(?:the|this) difference in\b"
)
ASSOCIATED = re.compile(
    r"\b(?:(positive|negative|inverse)(?:ly)? (?:associat|correlat|relat|link)\w*|(not|un|no) "
    r"?(?:\w+ ){0,2}?"
    r"(?:associat|correlat|relat|link)\w*)(?: (?:with|to|between|and))?"
)
WHEN = re.compile(
    r"\b(baseline|before (?:the )?(?:training|treatment|course|intervention)|at the start"
    r"|pre-?test|follow-?up"
    r"|(?:weeks?|months?|years?|days?) later|delayed|subgroup|among|subset|interaction"
    r"|moderat\w*"
    r"|adjust\w*|controlling for)\b"
)
GROUPS: tuple[tuple[str, str], ...] = (
    ("treated", r"(?:treatment|intervention|experimental|active|trained|treated|training"
                r"|exercise|program(?:me)?)"
     r"(?:[ -](?:groups?|arms?|conditions?|participants|patients|students|adults|volunteers))?"
     r"|trainees|the treated|treated (?:people|persons|ones|animals|cases)"),
    ("control", r"(?:wait(?:ing)?-?\s?list(?:ed)?|controls?|placebo|comparison|sham"
                r"|usual[ -]care|untreated|no-treatment)"
     r"(?:[ -](?:groups?|arms?|conditions?|participants|patients|students|adults|volunteers))?"
     r"|controls"),
    ("women", r"women|females?|girls"),
    ("men", r"men|males?|boys"),
    ("older", r"(?:older|elderly) (?:adults|participants|people|patients|group)"),
    ("younger", r"(?:younger|young) (?:adults|participants|people|patients|group)"),
    ("patients", r"patients(?= (?:than|with|had|showed|and healthy))"),
    ("healthy", r"healthy (?:controls|volunteers|participants|adults|people)"),
)  # fmt: skip
PAIRS = (("treated", "control"), ("women", "men"), ("older", "younger"), ("patients", "healthy"))
EMPTY = frozenset(
    """
    a an the of on in and for to with from by is are was were be been being has have had do
    does did as at it its this that these those their them they our we us i which who whom what
    when where there here than then so both all any each every some more most less least very
    much many also only even still just too significantly significant statistically reliably
    reliable clearly clear markedly considerably strongly substantially substantial strong
    marked considerable consistently mean means average averages score scores scored level
    levels rating ratings rated value values points point measure measures measured test tests
    scale result results finding findings data show showed shows shown report reported reports
    find found finds suggest suggests indicate indicates indicated reveal revealed conclude
    demonstrate demonstrated demonstrates confirm confirms see seen after during end study
    group groups arm arms condition conditions participants participant people patients
    students adults volunteers subjects compared comparison relative versus vs between within
    across under over up down effect effects difference differences change changes changed
    improvement improvements gain gains reduction increase decrease benefit advantage outcome
    outcomes impact influence favor thus therefore hence overall sum short brief summary
    however moreover again indeed finally together taken not no neither nor never fail failed
    evidence well good greater table figure performed performance performing self-reported self
    one two terms regard respect regarding far about half twice large small received receiving
    got getting get given led leads made makes make can will reached reach lead way main
    took takes take needed needs need time seen among stands out frequent often
    course steady primary secondary intervention treatment control program programme training
    experimental placebo differ differed differs differing affect affected influenced
    significance support
    supported alter altered observed obtained detect detected
    """.split()  # noqa: SIM905 (words read better without quotes)
)
"""Words that name no outcome."""
BAD_OUTCOMES = re.compile(
    r"pain|error|anxi|depress|symptom|stress|fatigue|latenc|mortal|relaps|burden|worry|tired"
    r"|distress|complain"
    r"|insomnia|lonel|anger|craving|accident|fall|infection|blood pressure|weight|reaction time"
    r"|response time"
)
