"""Words of designs that show no cause, of causal claims, of samples of one sort, and of all."""

from plumbrule.oversight.papers.whole.words import any_of

NO_CAUSE = any_of(
    r"(?:only|merely|nothing but|no more than|just|purely|solely) (?:\w+ )?(?:associations?"
    r"|correlations?|covariation|co-?variation|relations?)",
    r"(?:associations?|correlations?|covariation) (?:\w+ ){0,2}?(?:only|could be|were all|was all"
    r"|can be computed)",
    r"(?:charts?|records?|files|registers?|registry data|claims data|archives?|notes|logs) (?:\w+ )"
    r"{0,2}?(?:were|was) (?:\w+ ){0,2}?(?:reviewed|examined|searched|inspected|analy[sz]ed|read"
    r"|extracted|audited|screened|retrieved|looked (?:at|through))",
    r"(?:chart|record|records|registry|register|file|database|claims|archival) (?:review|study"
    r"|analysis|data|survey)",
    r"after the fact|in retrospect|retrospectively|ex post|secondary (?:data )?analysis",
    r"(?:come|came|arisen|arose|formed|developed) (?:about )?(?:naturally|by themselves|on their "
    r"own"
    r"|without (?:our|any))|without our (?:doing|help|influence|intervention|involvement)",
    r"(?:had|have|took|played) no (?:hand|part|say|influence|role|control) (?:in|on|over)",
    r"(?:nobody|no one|no {people}|none of them|none of the {people}) (?:was|were) (?:\w+ "
    r")?(?:assigned"
    r"|told to|made to|given|instructed|asked to|allocated|randomi[sz]ed|placed)",
    r"(?:no|without|lacking|lacked) (?:a |any |an )?(?:\w+ )?(?:control|controls|comparison"
    r"|comparators?|counterfactual|reference group|comparison arm|placebo)",
    r"(?:before and after|pre-?\w* and post-?\w*|before-and-after|pre-?post|pre-?test) (?:\w+ )?"
    r"(?:without|only|in a single|in one|comparison|design)",
    r"(?:single|one|sole|only) (?:group|arm|sample|class|cohort) (?:\w+ ){0,3}?(?:before and after"
    r"|was (?:measured|tested|followed|studied)|pre)",
    r"(?:not|never|nothing|neither)(?: \w+){0,2} (?:manipulated|varied|imposed|administered|induced"
    r"|prescribed|experimentally)",
    r"(?:on one occasion|at a single (?:time|point|occasion|moment|sitting)|in one sitting|at "
    r"one time"
    r"|at the same time|single wave|one wave|one-time|one-off|snapshot)",
    r"(?:ecological|naturalistic|descriptive|case-control|cohort) (?:study|design|survey|data"
    r"|analysis|comparison|observation)",
    r"(?:observed|watched|recorded|noted|registered|documented) (?:\w+ ){0,3}?(?:without (?:any )?"
    r"(?:interven\w+|interfer\w+|manipulat\w+|changing)|as (?:it|they) (?:was|were|occurred|"
    r"happened|came))",
    r"(?:who|people who|those who) (?:\w+ )?(?:happened|chanced) to",
    r"(?:no|not any|without any|free of) (?:\w+ )?(?:intervention|manipulation|treatment was given"
    r"|experimental)",
    r"records (?:\w+ )?(?:that |which )?(?:had |have )?(?:been )?(?:\w+ )?(?:kept|collected|made"
    r"|taken)",
    r"(?:no|without a|not a single) (?:group|person|{people}) (?:without|that did not|who did "
    r"not|left untreated)",
    r"(?:filled in|answered|completed|measured|asked|questioned) (?:[\w,]+ ){0,4}?once",
    r"(?:computed|calculated|report|reported|looked at|found) (?:only )?(?:correlations"
    r"|associations)",
    r"(?:groups?|differences) (?:\w+ )?(?:existed|exist|were there|formed) (?:\w+ )?before",
    r"(?:practi[sc]ed|used|chose|chosen|did|walked|played|taken up) (?:[\w,]+ ){0,3}?(?:already"
    r"|long before|before the study|of their own accord)",
    r"no influence on (?:who|them|which|the groups)",
    r"(?:correlations?|associations?) (?:\w+ )?(?:only|alone|are reported|were computed|were "
    r"calculated)",
    r"(?:nobody|no one|no group|nothing) to compare",
    r"not (?:\w+ )?(?:randomi[sz]ed|randomly assigned|assigned at random|an experiment"
    r"|experimental)",
    r"(?:no|without|lacked) (?:\w+ )?(?:randomi[sz]ation|random assignment|manipulation"
    r"|experimental"
    r" manipulation|intervention|controls?)",
    r"(?:correlational|cross-?sectional|observational|retrospective|uncontrolled|before-after"
    r"|pre-post"
    r"|single-group|one-group|ex post facto|associational)",
    r"as we found (?:them|it)|as they (?:came|were)|naturally occurring (?:groups|differences)",
    r"(?:nobody|no one|no {people}) (?:was|were) (?:assigned|treated|trained|given|asked to "
    r"change)",
    r"(?:only|merely|just|simply|solely) (?:observed|measured|asked|recorded|surveyed|watched"
    r"|counted"
    r"|compared|looked at)",
    r"(?:did not|never) (?:intervene|change anything|interfere|vary|control)",
    r"(?:everyone|everybody|all (?:of )?(?:the |our )?{people}|each {people}|the whole sample)"
    r" (?:received|got|had|underwent|took|was given|were given|did) the (?:same )?(?:\w+ "
    r")?(?:treatment"
    r"|intervention|program\w*|training|course|exercise)",
    r"(?:self-?reports?|questionnaires?|survey|records|register data|interviews) (?:alone|only"
    r"|taken once)",
    r"(?:survey|questionnaire study|records study|register study|case series|case study|single "
    r"case)",
    r"(?:there was|there were|had|with) nothing to compare|nobody to compare|no group to compare",
    r"(?:cross-?sectional|correlational|observational|non-?experimental|uncontrolled|retrospective"
    r"|descriptive) (?:\w+ )?(?:study|design|survey|data|investigation|analysis|questionnaire"
    r"|nature"
    r"|evidence|research|cohort)",
    r"(?:study|design|survey|data|analysis|research|work|investigation) (?:was|is|were|are) "
    r"(?:\w+ ){0,3}?"
    r"(?:cross-?sectional|correlational|observational|uncontrolled|non-?experimental|descriptive)",
    r"(?:no|without (?:a|any)|lacked (?:a|any)|not (?:have|include|use) (?:a|any)|absence of a"
    r"|lack of a)"
    r" (?:\w+ )?(?:control|comparison)(?: group| arm| condition)?",
    r"(?:single|one)-?(?: )?(?:group|arm) (?:\w+[- ]?\w* )?(?:design|study|trial|pre\w*)",
    r"(?:nothing|no (?:variable|treatment|factor|intervention|exposure|condition)) (?:was|were)"
    r" (?:manipulated|assigned|administered|varied)",
    r"(?:we|study|design) (?:did not|didn't) (?:manipulate|intervene|assign)",
    r"(?:both|all) (?:variables|measures) were (?:only )?(?:measured|reported|observed) (?:\w+ "
    r"){0,3}?(?:once"
    r"|same time|together|at one)",
    r"(?:associations?|correlations?|data|evidence) (?:are|were|is|was) (?:purely |only |merely "
    r"|just )"
    r"(?:correlational|observational|associational)",
    r"(?:everyone|all (?:the )?{people}) (?:received|got|took part in|was given|were given) the"
    r" (?:\w+ )?(?:treatment|intervention|program\w*|training|course)",
)
CAUSE = any_of(
    r"(?:produced|achieved|obtained|created|generated|driven|induced|triggered|effected|explained"
    r"|caused) by (?:the |our )?(?:treatment|intervention|program\w*|training|course|therapy"
    r"|exercise|practice)",
    r"(?:responsible for|what makes|what made|what keeps|what drives|what causes|the reason "
    r"(?:why|for)"
    r"|the root of|at the root of|the engine of|owing to|is owed to|stems? from|stemmed from"
    r"|arises? from|arose from|flows? from|results? from|resulted from"
    r"|traced (?:back )?to|attribut\w+ to|ascrib\w+ to|credited (?:to|with)|down to the)",
    r"(?:will|would|can|does|do|did|should) (?:\w+ )?(?:benefit|profit|improve|recover|gain|get "
    r"better"
    r"|feel better|help|work|raise|lower|reduce|increase|boost|cure|prevent|protect|strengthen)",
    r"(?:causal|causative|causally)(?! (?:claims?|conclusions?|inferences?|interpretations?"
    r"|language|statements?|questions?))",
    r"(?:turns?|turned|transforms?|transformed|converts?) (?:\w+ ){1,4}?into",
    r"(?:makes?|made|keeps?|kept|renders?|rendered) (?:people|patients|them|us|anyone|everyone"
    r"|students|adults|participants|one|those who) (?:\w+ ){0,3}\w+",
    r"(?:has|have|had|exerts?|exerted) (?:an? |the )?(?:\w+ )?(?:effect|impact|influence"
    r"|bearing) on",
    r"(?:enables?|allows?|empowers?|equips?) (?:people|patients|adults|students|anyone|everyone) "
    r"to",
    r"(?:makes?|made|keeps?|kept) (?:\w+ ){1,3}?(?:happ\w+|health\w+|better|worse|sleep|feel"
    r"|more|less|calm\w*"
    r"|tired|confident|remember|learn|well|fit|\w{3,}er)",
    r"(?:heals?|healed|relieve[sd]?|cures?|cured|saves?|saved|rescue[sd]?)",
    r"(?:conclude|shown|show|clear|thus|therefore|hence|so|proof|doubt)(?: that|,)? (?:\w+,? "
    r"){0,4}?(?:raises?"
    r"|improves?|increases?|reduces?|lowers?|boosts?|strengthens?|shortens?|lengthens?)",
    r"(?:raised|improved|increased|reduced|lowered|boosted|strengthened) (?:the |their |people's "
    r"|our )\w+",
    r"(?:is|are|was|were) (?:\w+ )?(?:the|a) (?:\w+ )?(?:cause|reason|source|driver|remedy|cure"
    r"|consequence"
    r"|result|product|key) (?:of|for|why|to|behind|against)",
    r"(?:because of|thanks to|owing to|by virtue of|as a result of|as a consequence of|on "
    r"account of)",
    r"(?:cause|induce|produce|create|generate|trigger|provoke|prevent|lead to|bring about|give "
    r"rise to"
    r"|account for|drive)s?",
    r"(?:induced|created|generated|provoked|drove|made) (?:the |an? |this |these |people |them "
    r"|our )",
    r"(?:prove[sdn]?|demonstrates?|demonstrated|establish\w*|shows?|shown|showed|evidence|proof"
    r"|conclude\w*"
    r"|clear) (?:\w+ ){0,2}?(?:that )?(?:\w+ ){1,6}?(?:improves?|increases?|reduces?|lowers?"
    r"|raises?|boosts?"
    r"|strengthens?|weakens?|harms?|damages?|enhances?|impairs?|heals?|helps?|makes?|changes?"
    r"|lifts?"
    r"|protects?|sharpens?|lengthens?|shortens?|deepens?|determines?|affects?|influences?|shapes?)",
    r"(?:to|who|should|must|can) (?:improve|raise|boost|reduce|lower|increase|strengthen|protect)"
    r" (?:one's|their|your|his|the) (?:own )?\w+",
    r"(?:owe|owes|owed|trace[sd]?|attribut\w+|ascrib\w+|put down) (?:\w+ ){0,6}?to",
    r"(?:consequences?|effects?|impact|influence) of (?:\w+ ){1,4}(?:on|for)",
    r"(?:power|ability|capacity) (?:of (?:\w+ ){1,3})?to",
    r"(?:causes|caused|causing|leads? to|led to|leading to|brings? about|brought about|results? in"
    r"|resulted in|gives? rise to|is responsible for|was responsible for|is to blame for|prevents"
    r"|prevented|protects? against|protected against|drives|makes people|makes (?:\w+ "
    r")?(?:better|worse"
    r"|more|less|healthier|happier)|produces|produced|triggers|triggered|cures?|cured|is effective"
    r"|was effective|proved effective|is the (?:cause|reason)|are the (?:cause|reason)|due to the"
    r" (?:treatment|intervention|program\w*|training)|works)",
    r"causal (?:effects?|roles?|link|influence|impact|relation\w*|evidence|power)",
    r"(?:the )?cause of",
    r"(?:changes?|gains?|improvements?|differences?|benefits?|drops?|declines?) (?:\w+ "
    r"){0,5}?(?:(?:was|were"
    r"|is|are) (?:\w+ )?)?(?:caused by|due to|produced by|brought about by|a result of|because "
    r"of|attributable"
    r" to|owed to|the effect of|explained by)",
    r"(?!that|which|who|we|they|it|this|and|scores?|levels?)[a-z-]+ (?:\w+ly )?(?:improves"
    r"|increases|reduces"
    r"|lowers|raises|boosts|strengthens|weakens|harms|damages|shortens|lengthens|enhances|impairs"
    r"|increased|improved|reduced|raised|lowered|boosted) (?:\w+ ){0,3}?(?!in\b|by\b|from\b"
    r"|over\b|on\b"
    r"|with\b|after\b|at\b|to\b|significantly\b|and\b)[a-z]{4,}",
    r"effects? of (?:\w+ ){1,3}on",
    r"(?:if|when) (?:people|patients|they|adults|students|one) (?:\w+ ){1,4}?more, (?:their|they"
    r"|his)",
)
EVERYBODY = any_of(
    r"(?:all|every|any|each) (?:of us|person|one|living|human|individual|man, woman|people|persons"
    r"|individuals|mortals|conceivable)",
    r"(?:the (?:public|population|country|nation|world) (?:as a whole|at large)|people of (?:all"
    r"|every|any)|of (?:all|every|any) (?:kinds?|ages?|sorts?|origins?|walks?|backgrounds?))",
    r"(?:whoever|whatever|wherever|no matter (?:who|where|how|what|which)|always|without exception"
    r"|in every (?:case|culture|country|person|age|school|hospital|group|walk)|a general law|law of"
    r"|everywhere|universals?|species|mankind|human beings|one and all)",
    r"(?:across|over) (?:all |the |every )?(?:cultures|countries|ages|populations|nations"
    r"|generations"
    r"|society|population|globe|continents|classes|settings|professions|sexes|genders|lifespan)",
    r"(?:all|any|every|each) (?:\w+ )?(?:women|men|workers|employees|teachers|nurses|pupils"
    r"|learners"
    r"|families|children|adults|age groups?|ages|companies|institutions|communities|classrooms"
    r"|classes"
    r"|firms|offices|clinics|hospitals|schools|cities|countries|regions|cultures|languages|patients"
    r"|students|people|citizens|drivers|readers|users)(?! (?:in|who|of) (?:the|our|this|took))",
    r"(?:young and old|old and young|rich and poor|the public at large|the public|society as a "
    r"whole"
    r"|people as a whole|the nation|nationwide|country-?wide|the country as a whole|the world)",
    r"(?:men|women|boys|girls|males|females) (?:too|as well|also|just as|equally)",
    r"generali[sz]es? (?:\w+ )?to|can be generali[sz]ed|(?:holds?|valid|true|applies|apply) "
    r"(?:\w+ )?(?:in"
    r" general|generally|beyond|for all|for any|for every)",
    r"(?:for|to|in|of|by|among|across|that|help|helps|all over) (?:all|any|every|each) (?:\w+ "
    r")?(?:people"
    r"|adults|humans|patients|children|students|schools?|hospitals?|clinics?|cultures?|countries"
    r"|ages"
    r"|workplaces?|settings?|universit\w+|populations?|adult|person|human beings?|patient|child"
    r"|student"
    r"|society|societies|nations|regions|walks of life|groups in society|backgrounds)",
    r"(?:all|any|every) (?:people|adults|humans|human beings|human being|person|patients"
    r"|children|schools"
    r"|hospitals|cultures|populations|societies|universities|clinics) (?:\w+ )?(?:benefit\w*"
    r"|would|will|can"
    r"|should|improve\w*|respond\w*|profit|everywhere|alike|share\w*)",
    r"everyone|everybody|anyone|anybody|everywhere|universal(?:ly)?|worldwide|people in general"
    r"|humans in general|humankind|humanity|human nature|mankind|the world over|(?:all over"
    r"|throughout|across) the world|around the world|across"
    r" the globe",
    r"(?:the )?(?:general|whole|entire|wider|human) population(?: at large)?|population at large",
    r"(?:regardless|irrespective|independent(?:ly)?) of (?:\w+ )?(?:age|sex|gender|culture"
    r"|country|place"
    r"|setting|where|origin|background|who|school|hospital|region|nationality|site|institution)",
    r"(?:both sexes|men and women|women and men|men as well as|women as well as|either sex|both "
    r"genders)"
    r" ~ (?:alike|equally|benefit\w*|profit\w*|can|should)|(?:for|to|in|of|helps) (?:both sexes"
    r"|both"
    r" genders|men and women|women and men|either sex|men as well as women|women as well as men)",
    r"(?:people|adults|patients|students|children|schools|hospitals) (?:in general|everywhere|of "
    r"all ages"
    r"|of any age|of every age|in every country|in all countries|across the country|nationwide|of"
    r" every kind|at large|across cultures)",
)
FEW = any_of(
    r"(?:single|one|same) (?:[\w-]+ ){0,2}?(?:class|course|firm|factory|office|village|region"
    r"|district|ward"
    r"|neighbou?rhood|church|club|team|family|department|library|kindergarten|faculty|island|state"
    r"|street|institution|practice|community|gym|prison|profession|year group|cohort|language)",
    r"(?:all|every one|everyone|everybody|each) (?:of (?:them|the|our) )?(?:{people} )?(?:was"
    r"|were|came|lived"
    r"|worked|studied|attended|belonged|spoke) (?:[\w-]+ ){0,3}?(?:women|men|female|male|students"
    r"|undergraduates|nurses|teachers|soldiers|athletes|the same|one|a single|german|american|dutch"
    r"|white|young|right-handed|under|over|from|at|in the (?:twenties|thirties))",
    r"(?:no|not any|none) (?:men|women|older|younger|children|males|females|other)",
    r"(?:small|homogeneous|narrow|selective|unrepresentative|volunteer) (?:\w+ )?sample",
    r"(?:a |our )?(?:handful|dozen) (?:of )?{people}",
    r"(?:one|a single|only one|just one|the same|single) (?:(?!of )[\w-]+ ){0,2}?(?:{site}|city"
    r"|town|village"
    r"|class|classroom|company|country|course)",
    r"single-?(?: )?(?:site|cent(?:er|re))",
    r"(?:all|only|exclusively|entirely|every) (?:\w+ ){0,3}?(?:women|men|female|male)(?! and)",
    r"(?:all|only|exclusively) (?:\w+ ){0,3}?(?:first-year|psychology|university|undergraduate"
    r"|college|medical)"
    r" (?:\w+ )?(?:students|undergraduates)",
    r"(?:sample|participants|volunteers) (?:\w+ ){0,3}?(?:undergraduates|psychology students"
    r"|university"
    r" students|women|men|female|male)(?! and)",
    r"(?:women|men|females|males) only",
    r"convenience sample|snowball sample",
    r"all-?(?:female|male)",
    r"no (?:women|men|male|female)(?: participants)? (?:took part|were|participated|in)",
)
