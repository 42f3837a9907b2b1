"""How papers count people: those who came, those who were left out, those who were analyzed."""

import re

from plumbrule.oversight.papers.whole.words import words

RECRUITED = words(
    r"(?:recruited|enrolled|randomi[sz]ed|tested|admitted) (?:a total of )?(?P<a>{count}) (?:\w+ "
    r"){0,3}?"
    r"{people}|(?P<b>{count}) (?:\w+ ){0,3}?{people} (?:\([^)]*\) )?(?:were|was)"
    r" (?:\w+ )?(?:recruited|enrolled|randomi[sz]ed|admitted)"
    r"|(?:of|from) (?:the |our |these |all )*(?P<c>{count}) (?:\w+ ){0,3}?(?:recruited|enrolled"
    r"|randomi[sz]ed"
    r"|tested|admitted)|(?<![a-z]\s)(?:of|from) (?:the |our |these |all )*(?P<d>{count}) (?:\w+ "
    r"){0,2}?{people}"
    r"|(?:enlisted|signed up|engaged|hired|secured) (?:a total of |altogether )?(?P<e>{count})"
    r" (?:\w+ ){0,3}?{people}"
    r"|(?P<f>{count}) (?:\w+ ){0,3}?{people} (?:\([^)]*\) )?(?:\w+ ){0,2}?(?:enlisted|signed up"
    r"|came forward|agreed to (?:take part|participate)|gave consent|consented|(?:entered|joined"
    r"|started|began) (?:the |our )?(?:study|trial|program\w*|experiment))"
    r"|number of (?:{people}|those) (?:\w+ ){0,3}?(?:recruited|enrolled|enlisted|signed up|admitted"
    r"|randomi[sz]ed) (?:was|were|came to|amounted to|reached|stood at) (?P<g>{count})"
    r"|(?:recruitment|enrol?lment) (?:\w+ ){0,3}?(?:yielded|brought|produced|reached|closed (?:at"
    r"|with)|ended with|stopped at|resulted in) (?:a total of )?(?P<h>{count})"
)
OUT = (
    r"(?:excluded|removed|dropped|discarded|left out|omitted|withdrew|dropped out|lost to "
    r"follow-?up"
    r"|eliminated|disregarded|set aside|taken out|screened out|lost|turned away|thrown out"
    r"|disqualified|rejected|sent home|withdrawn|weeded out|struck (?:off|from)|sifted out"
    r"|not (?:used|analy[sz]ed|included|considered|counted|usable)|unusable|could not be (?:used"
    r"|analy[sz]ed|included|scored)|ruled out)"
)
EXCLUDED = words(
    rf"(?P<a>{{count}})(?: of (?:the |our |these |them |whom |those |{{count}} )*)?(?: (?!and\b"
    rf"|but\b)[\w-]+){{0,3}}? (?:\([^)]*\) )?(?:who"
    rf" (?:\w+ ){{1,8}}?)?(?:were |was |had to be |had been |have been )?"
    rf"(?:then |later |also |therefore |thus |finally |all |subsequently |eventually )?{OUT}"
    rf"|(?:after|once|when|as|since|because) (?P<z>{{count}}) (?:\w+ ){{0,3}}?(?:had been|were"
    rf"|was|have been) {OUT}"
    rf"|(?:we|to|by|after|and|then) (?:then |therefore |also |had (?:to )?)?(?:exclud\w+"
    rf"|remov\w+|dropp\w+"
    rf"|discard\w+|omit\w+|eliminat\w+|left out|set aside|exclusion of|removal of) (?:the "
    rf")?(?:data of |data"
    rf" from |another )?(?P<b>{{count}}) (?:\w+ ){{0,2}}?(?:{{people}}|who|because|whose|for|of "
    rf"(?:them|these|those|the))"
    rf"|(?:removal|exclusion|rejection|omission|elimination|loss|disqualification) of (?:the |these"
    rf" |those |data (?:of|from) )*(?P<c>{{count}})"
    rf"|(?:cost us|lost us) (?P<d>{{count}}) (?:\w+ ){{0,2}}?{{people}}"
)
ANALYZED = words(
    r"(?:analy[sz]ed|analys[ie]s (?:\w+ )?(?:included?|includes|used?|cover\w*|(?:are|were|was"
    r"|is) (?:based"
    r" on|run on|done on|performed on|carried out on|of)|of|on|comprised?|rests? on)|results "
    r"(?:\w+ )?(?:are"
    r" based on|rest on|come from|describe)|calculated (?:for|from|over)|computed (?:for|from"
    r"|over)|based"
    r" on|mean of) (?:the |data |answers |scores |responses |of |from |all |full |complete |our "
    r"|a |sample"
    r" |these |total )*(?P<a>{count})(?: {people}| [\w-]+ {people})?"
    r"|(?:all )?(?P<b>{count}) (?:[\w-]+ )?{people} (?:\([^)]*\) )?(?:were|was|are|entered|went "
    r"into)"
    r" (?:\w+ )?(?:analy[sz]ed|included|entered|in the (?:final )?analys[ie]s|the analys[ie]s"
    r"|the model)"
    r"|(?:final|analytic|analy[sz]ed|remaining|resulting) (?:sample|data ?set)(?: size)? (?:\w+ "
    r"){0,2}?(?:of"
    r"|was|consisted of|comprised|contained|had|included) (?:n = )?(?P<c>{count})"
    r"|leaving (?:a (?:final )?sample of )?(?P<d>{count})"
    r"|(?:scores|answers|data|responses|questionnaires|measurements) (?:of|from) (?:all )?(?:the )?"
    r"(?P<e>{count}) (?:\w+ )?{people}|all (?:the )?(?P<f>{count}) (?:\w+ )?{people}"
    r"|(?:fitted|fit|estimated|applied|run|performed) (?:to|on|from|with|for|over) (?:[a-z]+ "
    r"){0,3}?"
    r"(?P<g>{count}) (?:\w+ )?{people}"
    r"|(?:power|means|scores?|estimates?|regressions?|models?|tests?|conclusions?|findings) "
    r"(?:\w+ )"
    r"{0,4}?(?:with|from|of|on|for) (?:the |data of |all |our )*(?P<h>{count}) (?:\w+ )?{people}"
)
FINAL = words(
    r"(?:final|remaining|resulting) (?:sample|data ?set|group)(?: size)? (?:\w+ ){0,2}?(?:of|was"
    r"|consisted of"
    r"|comprised|contained|had|included|numbered) (?:n = )?(?P<a>{count})"
    r"|(?:the|these|those) (?:remaining|other) (?P<b>{count}) (?:\w+ )?{people}"
    r"|(?P<c>{count}) (?:\w+ ){0,2}?(?:{people} )?(?:remained|were left|was left|stayed in the"
    r" (?:sample|analys[ie]s))"
    r"|(?:leaving|left us with|which left|that left|leaves) (?:us with )?(?:a (?:final |total )?"
    r"sample of )?(?P<d>{count})"
    r"|data (?:of|from) (?P<e>{count}) (?:\w+ )?{people} (?:were|was|are) (?:\w+ )?(?:analy[sz]ed"
    r"|available for)"
)
IN_TEST = re.compile(r"\(\s*\d+\s*,\s*n\s*=\s*(\d{2,6})\s*\)")
MORE = re.compile(
    r"\b(?:additional|further|another|others?|replac\w+|screen\w+|eligib\w+|criteri\w+|invit\w+"
    r"|initial"
    r"|declined|before (?:enrol\w+|randomi\w+|assignment)|trials|items|responses|observations"
    r"|studies"
    r"|sensitivity|contacted|approached|assessed for)\b"
)
NOT_COUNTED = re.compile(
    r"\b(?:not (?:among|part of|counted|included in)|without them|do(?:es)? not include|in addition"
    r" to|on top of|besides)\b"
)
"""The counts of the paper are already without those left out."""
