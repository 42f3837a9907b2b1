"""How papers say what a study's design was: for each property, words for one side and the other."""

from plumbrule.oversight.papers.whole.assignment_words import ASSIGNMENT
from plumbrule.oversight.papers.whole.blinding_words import blinding
from plumbrule.oversight.papers.whole.properties import Property
from plumbrule.oversight.papers.whole.words import any_of, words

PROPERTIES = (
    ASSIGNMENT,
    blinding("{rater}", "the raters"),
    blinding("{people}", "the participants"),
    Property(
        name="registration of the hypotheses",
        says=("in advance", "after the data were seen"),
        yes=any_of(
            "pre-?regist\\w+",
            "(?:before|prior to|ahead of|in advance of) (?:[\\w,]+ ){0,8}?(?:regist\\w+"
            "|deposit\\w+|fixed|wrote"
            "|written|lodged|specified|set out|stated|settled|published|committed|sealed|laid "
            "down) "
            "(?:[\\w,]+ ){0,6}?(?:hypothes[ie]s|predictions?|plan|expectations?|analys[ie]s"
            "|outcomes?)",
            "(?:hypothes[ie]s|predictions?|plan|expectations?) (?:[\\w,]+ ){0,8}?(?:before (?:we"
            "|any|the|a"
            "|data|anyone|testing|recruit\\w*|looking|seeing)|in advance|beforehand|ahead of"
            "|prior to|at the"
            " outset|from the (?:start|outset))",
            "(?:regist\\w+|deposited|sealed|time-?stamped) (?:[\\w,]+ ){0,8}?(?:before|prior to"
            "|in advance)",
            "registered (?:report|in advance|beforehand|prospectively|before)",
            "(?:hypothes[ie]s|predictions?|analys[ie]s(?: plan)?|plan|outcomes?|tests?|protocol) "
            "~ (?:fixed"
            "|stated|specified|set|formulated|written down|deposited|registered|laid down|decided"
            "|logged|published|declared|frozen|filed|posted|time-stamped|defined|committed to) ~ "
            "(?:"
            "in advance|before|a priori|prior to|beforehand|ahead of)",
            "a[ -]priori (?:hypothes[ie]s|predictions?|registered)",
            "(?:before|prior to) (?:any |the )?(?:data|first|results|collect\\w+|recruit\\w+"
            "|enrol\\w+)"
            " ~ (?:registered|fixed (?:the|our)|specified|deposited|wrote down|lodged) ~ "
            "(?:hypothes[ie]s"
            "|plan|predictions?|analys[ie]s|protocol)",
        ),
        no=any_of(
            "(?:hypothes[ie]s|predictions?|expectations?|questions?|ideas?|prediction) ~ "
            "(?:formed|arose"
            "|emerged|formulated|developed|derived|came|suggested|written|framed|occurred|generated"
            "|made|settled|chosen|stated|conceived|devised|proposed|grew|fixed|specified|born|took"
            " shape|drafted|adopted|set) ~ (?:after|once|when|from|by|out of|on seeing|on "
            "inspecting"
            "|only when) (?:we )?(?:(?:had )?(?:seeing|seen|looking|looked|inspect\\w+|explor\\w+"
            "|examin\\w+|analy[sz]\\w+|having|collect\\w+|knew) )?(?:\\w+ ){0,3}?(?:data|results?|"
            "pattern|findings|means|scores|outcomes?|numbers|figures)",
            "(?:after|once|having|on|when) (?:we (?:had )?)?(?:seeing|seen|looking|looked"
            "|inspect\\w+"
            "|explor\\w+|examin\\w+|knew) (?:\\w+ ){0,4}?(?:data|results?|pattern|findings|means"
            "|scores)"
            " ~ (?:formed|formulated|developed|derived|wrote|framed|arrived at|settled on|proposed"
            "|stated|came up|decided|chose|adopted|generated|conceived) ~ (?:hypothes[ie]s"
            "|predictions?"
            "|expectations?|ideas?|questions?)",
            "(?:formed|formulated|developed|derived|framed|arrived at|settled on|came up with|chose"
            "|generated|wrote) (?:\\w+ ){0,3}?(?:hypothes[ie]s|predictions?) ~ (?:after|once"
            "|only when"
            "|on) ~ (?:data|results?|pattern|findings|means|scores)",
            "(?:hypothes[ie]s|predictions?|expectations?|ideas?|research questions?"
            "|explanations?|questions?) (?:[\\w,]+ ){0,8}?(?:form\\w*|developed|came|arose"
            "|emerged|suggested|formulated|generated|derived|wrote|written|framed|conceived"
            "|occurred|proposed|devised|thought of|invented|adopted|chosen|settled|stated|turned "
            "to|added|put together|drew up|drawn up|grew|inspired|led us|gave us|shaped|hit upon"
            "|made up|rephrased|changed|revised|adapted|rewrote|rewritten|fitted|tailored) "
            "(?:[\\w,]+ ){0,8}?(?:after|once|when|only|following|from|later|afterwards|in "
            "hindsight|by|while|as) (?:[\\w,]+ ){0,6}?(?:data|results?|pattern|findings|means"
            "|scores|outcomes?|numbers|figures|answers|plots?|tables)",
            "(?:hypothes[ie]s|predictions?|expectations?|ideas?|research questions?"
            "|explanations?|questions?) (?:[\\w,]+ ){0,4}?(?:in hindsight|after the fact"
            "|retrospectively|in retrospect|with hindsight)",
            "(?:after|once|having|when|only when|only after|on|in) (?:[\\w,]+ ){0,6}?(?:data"
            "|results?|pattern|findings|means|scores|outcomes?|numbers|figures|answers|plots?"
            "|tables) (?:[\\w,]+ ){0,8}?(?:form\\w*|developed|came|arose|emerged|suggested"
            "|formulated|generated|derived|wrote|written|framed|conceived|occurred|proposed"
            "|devised|thought of|invented|adopted|chosen|settled|stated|turned to|added|put "
            "together|drew up|drawn up|grew|inspired|led us|gave us|shaped|hit upon|made up"
            "|rephrased|changed|revised|adapted|rewrote|rewritten|fitted|tailored) (?:[\\w,]+ "
            "){0,5}?(?:hypothes[ie]s|predictions?|expectations?|ideas?|research questions?"
            "|explanations?|questions?)",
            "(?:data|results?|pattern|findings|means|scores|outcomes?|numbers|figures|answers"
            "|plots?|tables) (?:[\\w,]+ ){0,4}?(?:suggested|inspired|led us to|gave (?:us|rise "
            "to)|brought us to|prompted|pointed us to) (?:[\\w,]+ ){0,5}?(?:hypothes[ie]s"
            "|predictions?|expectations?|ideas?|research questions?|explanations?|questions?)",
            "(?:hypothes[ie]s|predictions?|expectations?) (?:[\\w,]+ ){0,8}?(?:results?|data"
            "|findings|outcomes?) (?:in hand|at hand|in front of us|before us|known)",
            "(?:what we tested|the (?:main )?(?:test|comparison|question)) (?:[\\w,]+ "
            "){0,5}?(?:suggested|chosen|picked|inspired|shaped) (?:by|from|after) (?:[\\w,]+ "
            "){0,5}?(?:data|results?|findings)",
            "(?:hypothes[ie]s|predictions?|expectations?|outcomes?|plan|tests?|what (?:we|to)"
            "|questions?)"
            " (?:[\\w,]+ ){0,10}?(?:after|once|only when|having|until) (?:[\\w,]+ ){0,4}?(?:seen"
            "|seeing|looked"
            "|looking|inspect\\w*|explor\\w*|examin\\w*|known|knew|viewed|viewing|plotted"
            "|plotting)",
            "(?:after|once|only when|having) (?:[\\w,]+ ){0,4}?(?:seen|seeing|looked|looking"
            "|inspect\\w*"
            "|explor\\w*|examin\\w*|known|knew|viewed|viewing|plotted|plotting) (?:[\\w,]+ ){0,10}?"
            "(?:hypothes[ie]s|predictions?|expectations?|what to (?:test|expect)|the plan)",
            "post[ -]?hoc (?:hypothes[ie]s|predictions?)",
            "(?:hypothes[ie]s|predictions?) (?:\\w+ ){0,3}?post[ -]?hoc",
        ),
        ignore=words(
            "(?:not|other than|beyond|deviat\\w+ from) (?:\\w+ ){0,2}?(?:the )?pre-?registered"
            "|(?:hypothes[ie]s|predictions?) (?:that|which) (?:are|is)"
            "|(?:analys[ie]s|tests?|models?|moderators?|comparisons?) (?:\\w+ ){0,3}?not "
            "pre-?registered"
        ),
    ),
    Property(
        name="consent",
        says=("was given", "was not sought"),
        yes=any_of(
            "(?:gave|given|giving|provid\\w+|signed|obtain\\w+|secured|collected|sought) ~ consent",
            "consent\\w* ~ (?:obtained|given|provided|signed|secured|collected|sought)",
            "(?:{people}|all|everyone|they|who) (?:had )?consented",
            "(?:{people}|all|everyone|they) (?:\\w+ )?agreed in writing",
            "(?:agreed in writing|written agreement|gave (?:their )?(?:written )?(?:permission"
            "|agreement)|signed (?:a"
            "|the|an) (?:\\w+ )?(?:form|agreement|declaration))",
        ),
        no=any_of(
            "consent ~~ (?:was |were )?waived",
            "(?:waiver of|waived|dispensed with|waive) (?:\\w+ ){0,3}?consent",
            "(?:unaware|not aware|did not know|never told|not told|not informed|without knowing"
            "|never"
            " learned|without their knowledge|no idea) (?:that )?(?:they )?(?:(?:were|was) "
            ")?(?:\\w+ )?(?:"
            "being )?(?:studied|observed|recorded|part of|taking part|in a study|participating"
            "|in an"
            " experiment|of the study)",
            "(?:never|not) asked for (?:their )?(?:agreement|permission|consent)",
            "(?:secretly|covertly|unknowingly|hidden cameras?|unwittingly|without (?:being asked"
            "|their"
            " knowledge|telling|asking|permission))",
            "(?:did not|never) (?:tell|inform|let) (?:\\w+ ){0,4}?(?:studied|observed|study"
            "|research|experiment"
            "|recorded|know)",
            "(?:first|only|later) (?:learned|told|informed|found out) (?:[\\w,]+ "
            "){0,4}?(?:afterwards|after|when"
            " it was over|at the end|later)",
            "without (?:\\w+ ){0,3}?consent\\w*",
            "(?:{people}|we|nobody|no one|they) ~ (?:did not|never) (?:ask(?:ed)?"
            "|request(?:ed)?) (?:\\w+ )"
            "{0,4}?consent",
            "(?:{people}|they) (?:were|was) (?:not|never) asked (?:\\w+ ){0,4}?(?:consent"
            "|permission"
            "|agree)",
            "consent ~~ (?:was |were )?(?:not|never) (?:\\w+ )?(?:sought|obtained|asked"
            "|requested|collected"
            "|required|needed|necessary)",
        ),
        ignore=words("without (?:\\w+ ){0,2}?consent (?:were|was) (?:excluded|not)|did not consent"
                     "|consent (?:to publish|for publication|rates?)|declined to consent"),
    ),
    Property(
        name="ethics approval",
        says=("was obtained", "was not obtained"),
        yes=any_of(
            "approved by ~ (?:ethic\\w*|review board|irb|committee|institutional)",
            "(?:ethic\\w*|irb|review board|institutional review) (?:[\\w,]+ ){0,8}?(?:agreed"
            "|permitted"
            "|consented|accepted|granted|no objections?|favou?rable|positive|gave|allowed"
            "|reviewed|passed)",
            "(?:reviewed|accepted|granted|permitted|allowed|passed|permission|agreement"
            "|clearance|consent|checked)"
            " (?:[\\w,]+ ){0,6}?(?:ethic\\w*|irb|review board)",
            "(?:ethic\\w*|irb|review board|institutional review) ~ (?:approv\\w+|clear\\w+"
            "|permission)",
            "approv\\w+ ~ (?:ethics|ethical|review board|irb)",
        ),
        no=any_of(
            "(?:ethic\\w*|irb|review board) ~ (?:waived|exempt\\w*|not (?:\\w+ )?(?:sought|obtained"
            "|required|needed|consulted|requested|asked|involved|necessary|applied))",
            "(?:ethic\\w*|irb|review board) (?:[\\w,]+ ){0,6}?(?:not|never|no) (?:\\w+ "
            ")?(?:approv\\w+|consulted"
            "|asked|saw|seen|informed|heard|involved|reviewed|permission)",
            "(?:did not|never|no need to|nobody) (?:\\w+ )?(?:ask|asked|apply|applied|seek"
            "|consult|consulted"
            "|submit|submitted|approach) (?:\\w+ ){0,6}?(?:ethic\\w*|irb|review board)",
            "(?:exempt\\w* from|without|not (?:seek|submitted|reviewed|apply)\\w*|waived|never"
            " (?:submitted|reviewed|seen)) (?:\\w+ ){0,4}?(?:ethic\\w*|irb|review board)",
            "no (?:ethics|ethical|review board|irb|institutional) ~ (?:approv\\w+|committee|review"
            "|clearance|permission|board)",
        ),
    ),
)  # fmt: skip
