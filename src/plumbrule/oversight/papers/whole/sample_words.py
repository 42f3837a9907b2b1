"""Words for who takes part in a study: sorts of people, countries, sexes and other traits."""

import re

from plumbrule.oversight.papers.whole.words import any_of, words

ROLES = {
    "patients": r"(?:in|out)?patients|(?:people|persons|those|men|women|adults|individuals"
    r"|sufferers)"
    r" (?:\w+ )?(?:under (?:\w+ )?treatment|in (?:\w+ )?treatment|under care|treated for|being "
    r"(?:treated"
    r"|cared for)|cared for|diagnosed with|suffering from|afflicted with|hospitali[sz]ed"
    r"|recovering from"
    r"|waiting for surgery)|sufferers|the (?:sick|ill)|(?:psychiatric|surgical|medical|hospital"
    r"|cardiac"
    r"|stroke|cancer|heart|dialysis) (?:in|out)?patients|convalescents|(?:being )?cared for "
    r"(?:in|at|on)"
    r"|(?:treated|hospitali[sz]ed) (?:in|at|on) (?:a|an|the|our|one)|in hospital",
    "students": r"(?:(?:university|college|undergraduate|graduate|medical|psychology|high "
    r"school) )?"
    r"students|undergraduates|pupils|freshmen|sophomores|undergrads|university entrants",
    "employees": r"(?:office |factory |shift |health ?care )?(?:workers|employees)|nurses|teachers"
    r"|physicians|staff members|clerks|police officers|firefighters|soldiers|recruits|drivers"
    r"|miners|farmers|engineers|managers|civil servants|bus drivers|accountants|lawyers|sailors"
    r"|pilots|cleaners|cashiers|bank employees",
    "healthy volunteers": r"healthy (?:\w+ )?(?:volunteers|participants|adults|subjects|people"
    r"|controls"
    r"|individuals)",
    "animals": r"mice|rats|monkeys|macaques|rabbits|dogs|pigs|zebrafish|(?:\w+ )?animals",
    "couples": r"(?:married )?couples",
    "athletes": r"athletes|players",
    "prisoners": r"prisoners|inmates|convicts",
    "retired": r"pensioners|retirees|retired (?:people|adults|persons|workers|men|women)",
}
EXCLUSIVE = (
    {"patients", "healthy volunteers"}, {"patients", "students"}, {"patients", "employees"},
    {"students", "employees"}, {"animals", "patients"}, {"animals", "students"},
    {"animals", "employees"}, {"animals", "healthy volunteers"}, {"students", "prisoners"},
    {"retired", "students"}, {"retired", "employees"}, {"prisoners", "employees"},
    {"animals", "prisoners"}, {"animals", "retired"}, {"athletes", "patients"},
)  # fmt: skip
_NOUNS = (
    r"(?:" + ROLES["patients"] + r"|{people}|undergrads|freshmen|sophomores|clerks|soldiers|farmers"
    r"|drivers|engineers|managers|firefighters|miners|villagers|townspeople|physicians|officers"
    r"|servants|toddlers|neonates|octogenarians|nonagenarians|city dwellers|beginners|novices"
    r"|experts|native speakers|natives|seniors|retirees|minors|toddlers|babies|kids|mice|rats"
    r"|animals|couples"
    r"|teens|the"
    r" elderly|school ?children|inmates|prisoners|players|grown-ups|newborns|monkeys"
    r"|pre-?schoolers)"
)
_STUDIED = (
    r"(?:studied|examined|tested|recruited|observed|enrolled|surveyed|interviewed|investigated"
    r"|questioned|assessed|sampled|followed|measured)"
)
WHO = any_of(
    rf"(?:[\w,-]+ ){{0,4}}?{_NOUNS}(?: (?:[\w',-]+ ){{1,12}}?| )(?:made up|formed|constituted"
    rf"|composed"
    rf"|comprised|were) (?:the|our|the entire|the whole) (?:sample|study population|cohort"
    rf"|groups?)",
    rf"(?:sample|study|recruitment|enrol?lment|participation|entry|admission|eligibility|we|trial"
    rf"|participants) (?:[\w'-]+ ){{0,4}}?(?:confined|restricted|limited|open only|reserved"
    rf"|narrowed)"
    rf" (?:ourselves |itself )?(?:to|for) (?:[\w,-]+ ){{0,5}}?{_NOUNS}",
    rf"{_NOUNS},? to whom (?:our|the) (?:sample|study|trial)",
    rf"(?:nobody|no one|none|no persons?|no people) (?:else )?(?:but|except|other than) (?:[\w-]+ )"
    rf"{{0,4}}?{_NOUNS}",
    rf"(?:results|findings|data|observations|evidence|conclusions|answers) (?:\w+ ){{0,2}}?(?:come"
    rf"|came|stem|stems|were obtained|derive|are based|rest|were gathered|were collected) "
    rf"(?:from|on"
    rf"|in|with|among) (?:[\w,-]+ ){{0,4}}?{_NOUNS}",
    rf"(?:those|the people|people|persons|individuals|all) (?:who|that) (?:took part|participated"
    rf"|were (?:studied|tested|examined|recruited)) (?:[\w-]+ ){{0,2}}?(?:were|was|are|being)"
    rf" (?:[\w,-]+ ){{0,4}}?{_NOUNS}",
    r"(?:those|the people|people|persons|individuals|all|everyone) who (?:took part|participated)"
    r" (?:[\w-]+ ){0,2}?(?:being )?(?:cared for|treated|hospitali[sz]ed|in hospital|under "
    r"treatment)",
    rf"(?:study|trial|experiment|survey|research|testing) (?:was|were) (?:\w+ )?(?:conducted"
    rf"|done|run"
    rf"|carried out|performed|undertaken) (?:with|among|on|in|at) (?:[\w,-]+ ){{0,4}}?{_NOUNS}",
    rf"(?:present|our|this|the current|reported) (?:study|trial|work|experiment|survey"
    rf"|investigation"
    rf"|sample) (?:[\w-]+ ){{0,4}}?(?:with|among|on|in|of|concerns|concerned|involved|involves"
    rf"|included"
    rf"|enrolled|recruited|examined|tested|studied|followed) (?:[\w,-]+ ){{0,4}}?{_NOUNS}",
    rf"{_NOUNS},? (?:whom |that |who )?(?:we|were|had been) (?:\w+ )?{_STUDIED}",
    rf"(?:having|by) (?:studied|studying|tested|testing|examined|examining|recruited|recruiting)"
    rf" (?:[\w,-]+ ){{0,4}}?{_NOUNS}",
    rf"(?:being|as) (?:[\w-]+ ){{0,2}}?{_NOUNS}, (?:our|the) {{people}}",
    rf"(?:our|the|these) {{people}} (?:being|were all|are all|were mostly) (?:[\w,-]+ "
    rf"){{0,4}}?{_NOUNS}",
    rf"(?:we|study|trial|experiment|survey) (?:\w+ )?(?:recruited|enrolled|studied|tested|examined"
    rf"|followed|invited|included|observed|surveyed|interviewed|assessed|sampled|measured|worked "
    rf"with)"
    rf" (?:[\w,-]+ ){{0,4}}?{_NOUNS}",
    rf"(?:our|these|the|all|all the|all of the|every|those|both groups of) (?:{{count}} "
    rf")?(?:[\w-]+ )"
    rf"{{0,2}}?{_NOUNS} (?:[\w,-]+ ){{0,3}}?(?:here|(?:in|of) (?:this|our|the present|the "
    rf"current|the) "
    rf"(?:present |current )?(?:study|sample|trial|experiment|survey|groups?|program\w*)|we"
    rf" (?:studied|tested|recruited|examined|enrolled|observed|worked|followed|saw|measured)|who "
    rf"took"
    rf" part|who participated|taking part|studied|tested|recruited|enrolled|under study)",
    rf"(?:sample|participants|volunteers|subjects|respondents|cohort|people we \w+|groups) "
    rf"(?:\([^)]*\) )?"
    rf"(?:consisted of|comprised|were|was|was made up of|included|consists of|being|included only)"
    rf" (?:[\w,-]+ ){{0,4}}?{_NOUNS}",
    rf"(?:our |this |the |used a |with a |tested a |drew a |recruited a |on a |studied a )sample "
    rf"of (?:[\w,-]+ ){{0,4}}?{_NOUNS}",
    rf"{{count}} (?:[\w-]+ ){{0,3}}?{_NOUNS} (?:\([^)]*\) )?(?:\w+ )?(?:took part|participated|were"
    rf" (?:recruited|enrolled|tested|studied|included|randomi\w+|assigned)|volunteered|enrolled"
    rf"|agreed)",
    rf"our (?:[\w-]+ ){{0,2}}?{_NOUNS}",
    rf"our {{people}}, (?:[\w-]+ ){{0,4}}?{_NOUNS}",
    rf"(?:all of them|all of these|they all|everyone|everybody|they|each of them|each "
    rf"participant) (?:were"
    rf"|was|are) (?:[\w,-]+ ){{0,4}}?{_NOUNS}",
    rf"{_NOUNS} (?:\w+ ){{0,2}}?(?:who|that|whom) (?:we|took|came|joined|completed|were in)",
    rf"(?:as|with|among|in|of|from|by) (?:our|these|those) (?:[\w-]+ ){{0,3}}?{_NOUNS}",
    rf"(?:recruit\w*|enrol\w*|drawn|selected|sampled|invit\w*|hired) (?:[\w,-]+ ){{0,5}}?{_NOUNS}",
    rf"(?:only|exclusively) (?:[\w-]+ ){{0,2}}?{_NOUNS}(?: (?:\w+ ){{0,4}}?(?:took part|could"
    rf"|were|participated))?",
    rf"we (?:\w+ ){{0,3}}?(?:turned to|approached|chose|went to|asked|spoke|worked with|looked "
    rf"at|saw|met)"
    rf" (?:[\w-]+ ){{0,4}}?{_NOUNS}",
    rf"(?:all|our|the|these)(?: of)?(?: our| the| these)? {{people}} (?:were|are) (?:[\w,-]+ "
    rf"){{0,4}}?{_NOUNS}",
    rf"{_NOUNS} (?:such as|like) (?:those|the ones|ours|these|the people)",
    rf"(?:come|came|stem|obtained|drawn|collected|data|findings|results) from (?:[\w-]+ "
    rf"){{0,2}}?{_NOUNS}",
    rf"(?:as|because|since) (?:the|our|all|these) (?:[\w-]+ ){{0,2}}?{_NOUNS} (?:were|are|had"
    rf"|have|attend\w*)",
    rf"with {{count}} (?:[\w-]+ ){{0,2}}?{_NOUNS}",
    rf"(?:these|the) (?:[\w-]+ ){{0,1}}?{_NOUNS} (?:were|had|received|completed|filled|attended"
    rf"|improved"
    rf"|responded|learned|benefit\w+|enjoyed|felt|slept|reported|did)",
)  # fmt: skip
ONE_SEX = {
    "women": words(
        r"(?:all|only|exclusively|entirely|solely|every) (?:of )?(?:the |our |{people} )*(?:\w+ "
        r")?(?:were "
        r"|was )?(?:women|female|girls)|(?:women|females?) (?:only|exclusively)|all-female|no men"
        r"|female(?:-only)? sample|(?:sample|participants|groups) ~~ (?:all|entirely|exclusively"
        r"|only)"
        r" (?:women|female)"
    ),
    "men": words(
        r"(?:all|only|exclusively|entirely|solely|every) (?:of )?(?:the |our |{people} )*(?:\w+ "
        r")?(?:were "
        r"|was )?(?:men|male|boys)|(?:men|males?) (?:only|exclusively)|all-male|no women"
        r"|male(?:-only)?"
        r" sample|(?:sample|participants|groups) ~~ (?:all|entirely|exclusively|only) (?:men|male)"
    ),
}
BOTH_SEXES = words(
    r"{count} (?:\w+ )?(?:were )?(?:women|females?|girls),? (?:and|,) {count} (?:\w+ )?(?:were "
    r")?(?:men"
    r"|males?|boys)|{count} (?:\w+ )?(?:were )?(?:men|males?|boys),? (?:and|,) {count} (?:\w+ "
    r")?(?:were )?"
    r"(?:women|females?|girls)|both (?:women and men|men and women|sexes)"
)
TRAITS = {
    "health": (
        r"\bhealthy\b|\bin (?:good|perfect|excellent|full) health\b|no (?:history of "
        r")?(?:illness|disease"
        r"|diagnos\w+)|free (?:of|from) (?:illness|disease|any)",
        r"\b(?:in|out)?patients\b|\bdiagnosed with\b|\bsuffer(?:ed|ing)? from\b|\bchronic\b"
        r"|\bhospital wards?\b|\b(?:under|in) (?:\w+ )?treatment (?:in|at|for)\b|\bward for\b"
        r"|\bcared for (?:in|at)\b|\b(?:psychiatric|oncology|dialysis|cancer|pain|memory) (?:clinic"
        r"|ward|unit)\b|\bhospitali[sz]ed\b|\bafflicted\b|\brecovering from\b|\bdiagnosis of\b",
        "healthy", "ill",
    ),
    "residence": (
        r"\brural\b|\bvillagers\b|\bvillages?\b|\bcountryside\b|\bfarm\w*\b|\bfar from (?:any"
        r"|the) (?:city|town)",
        r"\burban\b|\bparisians\b|\blondoners\b|\bnew yorkers\b|\bcity (?:dwellers|residents)\b"
        r"|\b(?:big|large) cit(?:y|ies)\b|\bmetropol\w+|\bcity[- ](?:dwell\w+|centers?"
        r"|centres?)\b"
        r"|\bcapital\b|\binner[- ]city\b",
        "in the country", "in a city",
    ),
    "experience": (
        r"\b(?:beginners?|novices?|first-timers?|no (?:prior |previous )?experience"
        r"|inexperienced|never"
        r" (?:before|done|tried|practi[sc]ed)|untrained)\b",
        r"\b(?:experts?|experienced|seasoned|professional (?:musicians|players|athletes)"
        r"|long-?standing"
        r"|years of (?:experience|practice)|veterans?|advanced)\b",
        "beginners", "experienced",
    ),
    "work": (
        r"\b(?:retired|retirees|pensioners|unemployed|out of work|without (?:a job|work))\b",
        r"\b(?:employed|employees|working full-?time|full-?time (?:job|work\w*)|office workers"
        r"|in full-?time"
        r" work)\b",
        "not working", "working",
    ),
    "language": (
        r"\b(?<!non-)(?<!not )native speakers?\b", r"\bnon-native|second language|learners of\b",
        "native speakers", "learners of the language",
    ),
}  # fmt: skip
NOT_TRAIT = re.compile(
    r"\b(?:village in which|each participant's|control\w* for|other|compared|than|settings?"
    r"|norms?|both"
    r"|between|and (?:patients|healthy|urban|rural)|generali[sz]\w*|not|no longer|may not"
    r"|professionals? who"
    r"|experts? (?:rated|judged|reviewed|in)|instructors?|teachers?|released?|shared|listed"
    r"|published)\b"
)
PERSONAL = re.compile(
    r"\b(?:participants?|all of them|they all|everyone|everybody|people we|those we|"
    r"interviews|sample|recruit\w*|study|we|our|data|tested|took part|those who|enrol\w*"
    r"|eligib\w+|admitted|volunteers|studied|examined)\b"
)
