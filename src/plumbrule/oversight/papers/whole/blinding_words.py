"""How papers say that raters or participants did not know who was in which group."""

from plumbrule.oversight.papers.whole.properties import Property
from plumbrule.oversight.papers.whole.words import any_of

_CONDITION = (
    r"(?:groups?|conditions?|treatments?|allocations?|assignments?|arms?|hypothes[ie]s"
    r"|interventions?"
    r"|who (?:had )?(?:received|got|had|was|belonged)|status|label\w*|medication|diagnos\w+"
    r"|wh(?:o|ich|at) (?:\w+ ){0,3}?(?:received?|got|get|had|was|were|belonged|took|drug|pill"
    r"|version)"
    r"|purpose)"
)
_BLIND = r"(?:blind(?:ed)?|masked|na[iï]ve|unaware|ignorant|uninformed|kept in the dark)"
_KNEW = (
    r"(?:knew|aware|knew about|could see|could tell|saw|had access to|were told|had been told"
    r"|was told"
    r"|were informed|had been informed|knowledge of|knowing|had learned|learned|informed|unblinded"
    r"|had the list|was known|were known)"
)
_RATED_BLIND = (
    "(?:rat(?:ed|ings?)|scor(?:ed|ing)|cod(?:ed|ing)|assess(?:ed|ments?)|grad(?:ed|ing)"
    "|judg(?:ed|ments?)|mark(?:ed|ing)|outcomes?|interviews) ~ (?:" + _BLIND + "|blindly|without "
    "(?:any )?knowledge of) (?:\\w+ ){0,3}?" + _CONDITION,
    "(?:assessor|rater|observer|evaluator|examiner|coder)-?(?: )?(?:blind|blinded|masked)",
    "(?:rating|scoring|coding|assessment|grading|evaluation|marking)s? (?:was|were) (?:\\w+ "
    ")?(?:done "
    "|carried out |performed |made )?(?:blind|blinded|blindly|masked)",
)
_RATED_KNOWING = (
    "(?:rat(?:ed|ings?)|scor(?:ed|ing)|cod(?:ed|ing)|assess(?:ed|ments?)|grad(?:ed|ing)"
    "|judg(?:ed|ments?)"
    "|mark(?:ed|ing)|evaluat(?:ed|ions?)) (?:[\\w,]+ ){0,8}?(?:by|from) (?:the )?(?:same "
    ")?(?:trainers?"
    "|instructors?|therapists?|teachers?|leaders?|people|staff|persons?|experimenters?"
    "|assistants?)"
    " (?:who|that) (?:\\w+ )?(?:taught|led|gave|delivered|ran|run|assigned|trained|treated"
    "|knew|held)",
    "{rater} (?:[\\w,]+ ){0,6}?(?:had (?:also )?|also )(?:taught|led|given|delivered|run"
    "|assigned|trained"
    "|treated|held|handed out|allocated|placed)",
    "(?:unblinded|unmasked|open) (?:ratings?|scoring|assessments?|raters?|assessors?|coding"
    "|coders?)",
    "(?:expectations?|beliefs?|hopes) of (?:the )?{rater}, who (?:\\w+ )?(?:knew|saw)",
    "(?:rat(?:ed|ings?)|scor(?:ed|ing)|cod(?:ed|ing)|assess(?:ed|ments?)|grad(?:ed|ing)"
    "|judg(?:ed|ments?)|mark(?:ed|ing)) ~ (?:with(?: full)? knowledge of|knowing|aware of|by "
    "{people} who knew|by staff who knew) (?:\\w+ ){0,4}?" + _CONDITION,
    "(?:staff|assistants?|researchers?|authors?|team|therapists?|people|person|colleagues?"
    "|experimenters?) who (?:rated|scored|coded|assessed|graded|marked|judged) (?:\\w+ ){0,6}?"
    + _KNEW
    + " (?:\\w+ ){0,5}?"
    + _CONDITION,
)


def blinding(party: str, name: str) -> Property:
    """Blinding of raters, or of the people who took part."""
    raters = party == "{rater}"
    return Property(
        name=f"blinding of {name}",
        says=(f"{name} did not know the group", f"{name} knew the group"),
        yes=any_of(
            party + " ~ " + _BLIND,
            party + " (?:\\w+ ){0,4}?(?:did not know|did not see|could not see|could not know"
            "|could not tell|were not told|was not told|were never told|not informed|no knowledge"
            "|had no (?:information|way|access)|without knowing|without knowledge|never knew"
            "|never learned|never saw) (?:\\w+ ){0,6}?" + _CONDITION,
            _BLIND + " ~~ " + party,
            "(?:hidden|concealed|kept|withheld|kept secret) from (?:\\w+ ){0,2}?" + party,
            "(?:double|triple)-? ?(?:blind(?:ed)?|masked)",
            *(_RATED_BLIND if raters else ()),
        ),
        no=any_of(
            party + " (?:\\w+,? ){0,5}?" + _KNEW + " (?:\\w+ ){0,6}?" + _CONDITION,
            party + " (?:\\w+ ){0,3}?(?:unblinded|unmasked)",
            "(?:group|condition|allocation|assignment|treatment)(?: \\w+)? (?:was|were) (?:\\w+ "
            ")?(?:"
            "known|visible|obvious|apparent|disclosed|revealed) to (?:\\w+ ){0,3}?" + party,
            *(("open-?label",) if party == "{people}" else ()),
            *(_RATED_KNOWING if raters else ()),
        ),
    )
