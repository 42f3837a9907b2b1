"""Patterns of prose: gaps between words, groups of people, and what denies a statement."""

import re
from collections.abc import Sequence

from plumbrule.oversight.papers.numerals import COUNT

VOCABULARY = {
    "people": r"(?:participants?|(?:in|out)?patients?|people|persons?|subjects?|students?"
    r"|adults?|children"
    r"|child"
    r"|volunteers?|respondents?|individuals?|women|men|famil(?:y|ies)|parents|pupils?|workers?"
    r"|employees?|teachers?|nurses?|users?|athletes?|adolescents?|teenagers?|residents?|clients?"
    r"|learners?|recruits?|interviewees?|undergraduates?|applicants?|attendees?|smokers?|mothers?"
    r"|enrollees?|girls|boys|infants?|seniors?|pensioners?|veterans?|cases)",
    "arm": r"(?:treatments?|interventions?|experimental|controls?|comparison|placebo|conditions?"
    r"|groups?|arms?|program(?:me)?s?|wait(?:ing)?-?\s?list|courses?|training)",
    "count": COUNT,
    "unit": r"(?:days?|weeks?|months?|years?|fortnights?|hours?|minutes?)",
    "assign": r"(?:assign(?:ed|ing|ment)?|allocat(?:ed|ing|ion|e)|allotted|plac(?:ed|ing|ement)"
    r"|divided|split|distribut(?:ed|ion)|sorted|put|entered|join(?:ed|ing)|grouped|went)",
    "rater": r"(?:(?:those|people|persons?|staff|assistants?|researchers?|colleagues?|whoever"
    r"|authors?"
    r"|helpers?|psychologists?) who (?:\w+ )?(?:rated|scored|coded|assessed|graded|marked|judged"
    r"|evaluated)(?: the \w+| them)?|raters?|coders?|assessors?|scorers?|judges|graders?"
    r"|observers?|examiners?"
    r"|evaluators?|markers?|annotators?|outcome assess\w+|testers?)",
    "staff": r"(?:experimenters?|research assistants?|investigators?|interviewers?|staff"
    r"|therapists?"
    r"|clinicians?|instructors?|nurses?|research(?:ers?| team| staff)|assistants?)",
    "site": r"(?:sites?|cent(?:er|re)s?|locations?|hospitals?|clinics?|schools?|universit(?:y|ies)"
    r"|laborator(?:y|ies)|labs?|colleges?|campus(?:es)?|practices?|nursing homes?|wards?)",
}
_GAP = r"(?:[\s,()]+[\w'-]+){0,6}?[\s,()]+"
_SHORT = r"(?:[\s,]+[\w'-]+){0,2}?[\s,]+"
_DENIAL = re.compile(
    r"\b(?:not(?! only)|never|no|without|neither|nor|cannot|lack(?:s|ed|ing)?(?: of)?|absence of"
    r"|none of the|none|nobody|failed to|unable to|impossible to|refrained from|instead of"
    r"|rather than|did ?n't|was ?n't|were ?n't|could ?n't|hardly)\b(?:\W+[\w'-]+){0,4}\W*$"
)
_DENIED_AFTER = re.compile(
    r"^(?:\W+[\w'-]+){0,4}?\W+(?:not (?:be )?(?:possible|feasible|performed|done|used|carried"
    r"|sought"
    r"|obtained|asked|requested|collected|available|attempted|practicable|maintained|kept|achieved"
    r"|required|needed|granted|applied|given|implemented|preserved)|impossible|infeasible"
    r"|unfeasible|impractical|waived|lacking|absent|missing|out of the question|broken|never)\b"
)


def words(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of prose.

    `{people}` and the like stand for lists of words, ` ~ ` for up to six words between, ` ~~ ` for
    up to two, and a blank for any white space. Texts are lower-case, see `places`.

    Example:
        >>> bool(words("{people} ~ chose").search("the patients in ward two chose"))
        True
    """
    for name, choices in VOCABULARY.items():
        pattern = pattern.replace("{" + name + "}", choices)
    pattern = pattern.replace(" ~~ ", _SHORT).replace(" ~ ", _GAP).replace(" ?", r"\s*")
    pattern = pattern.replace(r"\w+ ", r"[\w'-]+ ").replace(" ", r"\s+")
    return re.compile(rf"(?<![\w-])(?:{pattern})(?![\w])")


def any_of(*patterns: str) -> tuple[re.Pattern[str], ...]:
    """Compile several."""
    return tuple(words(pattern) for pattern in patterns)


def found(patterns: Sequence[re.Pattern[str]], text: str) -> re.Match[str] | None:
    """The first match of the first pattern that has one."""
    return next((match for each in patterns if (match := each.search(text))), None)


def denied(text: str, match: re.Match[str]) -> bool:
    """Whether the words around a match say that it was not so.

    Example:
        >>> text = "they were not randomly assigned"
        >>> denied(text, words("randomly assigned").search(text))
        True
    """
    before = re.split(r"[;:.]|, (?:but|and|so|while)\b|\bbut\b", text[: match.start()])[-1]
    after = re.split(r"[;:.]|, ", text[match.end() :])[0]
    inside = match[0]
    return (
        _DENIAL.search(before) is not None
        or _DENIED_AFTER.search(after) is not None
        or (
            re.search(r"\b(?:not|never|no)\b", inside) is not None
            and not re.search(
                r"\b(?:know\w*|see|tell|told|learned|saw|informed|information)\b", inside
            )
        )
    )
