# ruff: noqa: RUF001 (typeset dashes, quotes and letters are what is read here)
"""Reads the sentences of a paper in order, each with what it can be about.

A sentence speaks of this study, of other work, or of what might have been; of one study of several;
in a part of the paper that reports or that concludes. Claims are compared only where these agree.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

from plumbrule.oversight.papers.document import Paper, Section
from plumbrule.oversight.papers.numerals import COUNT_WORD, read_count

Role = Literal[
    "abstract", "introduction", "method", "results", "discussion", "conclusion", "appendix",
    "notes", "other",
]  # fmt: skip
CONCLUDING: tuple[Role, ...] = ("abstract", "discussion", "conclusion")

_ROLES: tuple[tuple[Role, str], ...] = (
    ("abstract", r"^(?:abstract|summary|highlights|key points)"),
    ("conclusion", r"conclu|closing|take-?away|summary and|final remarks|practical implications"),
    ("results", r"results?|findings|main analys|outcomes"),
    ("discussion", r"discussion|limitation|interpret|implication|strengths|general remarks"),
    ("introduction", r"introduc|background|related work|literature|theor|motivation|previous"
                     r"|prior"),
    ("notes", r"acknowledg|funding|declaration|contribution|availab|conflict|ethic|disclos"
     r"|statement|note"),
    ("appendix", r"appendi|supplement|annex|additional (?:material|file)"),
    ("method", r"method|participant|procedure|material|design|measure|sample|data|analys|recruit"
     r"|setting|intervention|randomi|instrument|protocol|subjects|patients|experiment|study"),
)  # fmt: skip
_OWN = re.compile(
    r"\b(?:we|our|ours|us|th(?:is|e present|e current|e reported) (?:study|trial|paper|work|article"
    r"|experiment|investigation|survey|research|sample|data|analysis|design|project)|reported here"
    r"|here)\b"
)
_EARLIER = re.compile(
    r"\b(?:(?:previous|prior|earlier|past|preceding|companion|separate|unrelated|parent|original)"
    r" (?:study|trial|experiment|work|paper|publication|survey|cohort|project|report|version)"
    r"|our (?:previous|earlier|prior|own earlier|first paper)|published elsewhere|et al\.?,? "
    r"\(?\d{4}"
    r"\)? (?:we|who|in which)|(?:in|by) the original)\b"
)
_OTHERS = re.compile(
    r"\b(?:(?:previous|prior|earlier|past|other|most|many|several|some|existing|those|few|similar"
    r"|published|larger|smaller|recent|comparable|two|three|observational|randomi[sz]ed|clinical)"
    r" (?:\w+ )?(?:studies|trials|experiments|investigations|authors|reports|papers|surveys"
    r"|groups of"
    r" authors|research(?:ers)?|work|literature)|the literature|meta-analys\w+|systematic review"
    r"|authors have|researchers have|scholars|is often|are often|is common|are common|typically"
    r"|commonly|textbooks?|elsewhere|others (?:have|had|reported|found|observed|showed|argued"
    r"|saw|noted)"
    r"|(?:in|from|of|by) (?:an?|another|one) (?:\w+ )?(?:comparable|similar|recent|larger?"
    r"|different"
    r"|related|parallel|classic|famous|well-known|national|widely cited|unpublished) (?:\w+ )?"
    r"(?:study|trial|experiment|survey|cohort|sample|project|investigation))\b"
)
_SUPPOSED = re.compile(
    r"\b(?:had (?:we|they|the|it|participants|assignment|there)|if|would(?: \w+)? (?:have|be|need"
    r"|allow|help|require|make|show|let|mean)|could(?: not)? have|might have|should(?: also)? "
    r"(?:be|have"
    r"|use|include|test|examine|replicate|follow|recruit|compare)|future|further (?:research"
    r"|studies"
    r"|work|trials)|ideally|desirable|preferable|next step|remains to be|we (?:plan|intend|hope"
    r"|considered|originally planned)|was (?:originally )?planned|in principle|imagine|suppose"
    r"|hypothetical\w*|unless|one (?:might|may|could)|critics|it (?:could|might|may) be (?:argued"
    r"|objected|said|thought)|argu(?:e|ed|able) that|object that|suspect|concern that|worry that"
    r"|reviewers?|a reader|rule out|ruled out|to avoid|impression that|as though|as if|for example"
    r"|for instance|such as when|(?:is|are) (?:now )?(?:needed|required|called for|warranted"
    r"|necessary)"
    r"|(?:whoever|anyone who|anybody who|one who|a researcher who) \w+s\b.*\b(?:needs|must"
    r"|should|risks"
    r"|has to|ought)"
    r"|ought to|needs? to be|must be (?:tested|shown|followed))\b"
)
_STANCE = re.compile(
    r"\b(?:it )?(?:should|must|has to|needs? to|may|might) (?:also )?be (?:borne in mind|kept in "
    r"mind"
    r"|noted|remembered|mentioned|said|pointed out|stressed|emphasi[sz]ed|recalled|added"
    r"|acknowledged"
    r"|admitted|stated|conceded|recogni[sz]ed)\b|\bwe should (?:note|say|add|mention|stress"
    r"|acknowledge|admit|point out)\b|\bit is worth (?:noting|mentioning|stressing)\b|\beven if\b"
)
"""Words that introduce a statement and do not make it a supposition."""
_PARTIAL = re.compile(
    r"\b(?:sub-?samples?|subsets?|sub-?groups?|sensitivity anal\w+|robustness|exploratory|secondary"
    r"|supplementary anal\w+|per-protocol|post hoc anal\w+|some of (?:the|our|them)|a (?:few"
    r"|handful"
    r"|minority)|one exception|except(?: for| that)?|with the exception|apart from|additional "
    r"anal\w+"
    r"|in a (?:separate|second|further|later)|the other half|half of|instrument validation|norming"
    r"|validation sample|validation study|test-retest|stimul(?:us|i)|manipulation check)\b"
)
_ASIDE = re.compile(
    r"\b(?:unlike|in contrast to|contrary to|as opposed to|instead of|rather than|other than"
    r"|different(?:ly)? from|compared (?:with|to) (?:earlier|previous|other|prior))\b[^,;.]*"
    r"(?:, (?:in which|where|which|whose|who|that)\b[^,;.]*)?"
)
_HANDED_OVER = re.compile(
    r"\b(?:all|the|our) (?:materials?|data|files?|archive|supplement|appendix|repository|recordings"
    r"|logs|records)\b.*\b(?:available|online|download\w*|published|shared|deposited|released"
    r"|open)\b"
)
"""What a paper hands over it says of itself, in the introduction as well."""
_STUDY = re.compile(
    r"\b(study|experiment|wave|phase|cohort|sample|cycle|survey|trial|part|stage)s? "
    r"(\d{1,2}[ab]?|one|two|three|four|[a-c](?=[).,:;]|$| (?:was|were|and|we|had|is)\b)|i{1,3}"
    r"|iv)\b"
)
_ORDINAL = re.compile(
    r"\b(first|second|third|fourth|later|latter|former|main|preliminary|original|new) "
    r"(study|experiment|wave|phase|cohort|cycle|survey|trial|stage)\b"
)
_SIDE_STUDY = re.compile(r"\b(pilot|replication|pre-?test(?:ing)? study|feasibility|norming)\w*\b")
_NUMERALS = {"one": "1", "two": "2", "three": "3", "four": "4", "i": "1", "ii": "2", "iii": "3",
             "iv": "4", "first": "1", "second": "2", "third": "3", "fourth": "4"}  # fmt: skip
_HUNDREDS = re.compile(
    rf"\b(a|one|two|three|four|five|six|seven|eight|nine) hundred\b(?:(?: and)? ({COUNT_WORD})\b)?"
)
_LONGEST = 1500
"""Characters of one sentence that are searched: what is longer is no sentence."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """One sentence with its surroundings."""

    text: str
    """Lower-case, plain quotes and dashes, one blank between words, asides taken out."""

    full: str
    """The same with asides."""

    start: int
    end: int
    paragraph: int
    section: str
    section_start: int
    role: Role
    study: frozenset[str]
    """Which study it names, such as `2` or `pilot`; empty for none."""

    own: bool
    """Whether it can speak of this study."""

    first_person: bool
    supposed: bool
    """Whether it speaks of what might be, not of what was."""

    partial: bool
    """Whether it speaks of a part of the sample or of a side analysis."""

    @property
    def states(self) -> bool:
        """Whether it says of this study as a whole what was so."""
        return self.own and not self.supposed and not self.partial


def plain(text: str) -> str:
    """Lower-case letters, plain quotes and dashes, no emphasis, one blank between words.

    Numbers in words from a hundred on become digits.

    Example:
        >>> plain("The *n* = 5  “children” were well.")
        'the n = 5 "children" were well.'
        >>> plain("One hundred and seven came.")
        '107 came.'
    """
    for old, new in (("’", "'"), ("‘", "'"), ("“", '"'), ("”", '"'), ("*", ""), ("$", "")):
        text = text.replace(old, new)
    text = " ".join(re.sub("[‐‑‒–—−]", "-", text).lower().split())
    return _HUNDREDS.sub(_in_digits, text)


def _in_digits(match: re.Match[str]) -> str:
    times = read_count(match[1]) if match[1] not in ("a", "one") else 1
    return str(100 * times + (read_count(match[2]) if match[2] else 0))


def read_places(paper: Paper) -> tuple[Place, ...]:
    """Every sentence of a paper outside its tables and its list of references."""
    roles = [_role(paper.sections, number) for number in range(len(paper.sections))]
    studies = [_studies(paper.sections, number) for number in range(len(paper.sections))]
    cited = sorted(each.start for each in paper.citations)
    skip = paper.references
    found, paragraph, before = [], 0, 0
    for sentence in paper.sentences:
        if "\n\n" in paper.text[before : sentence.start] or sentence.start == 0:
            paragraph += 1
        before = sentence.end
        if skip is not None and skip.start <= sentence.start < skip.end:
            continue
        if sentence.text.startswith(("|", "#")):
            paragraph += 1
            continue
        at = bisect_right(paper.sections, sentence.start, key=lambda each: each.start) - 1
        first = bisect_right(cited, sentence.start - 1)
        found.append(
            _place(
                sentence.text[:_LONGEST], sentence.start, sentence.end, paragraph,
                section=paper.sections[at] if at >= 0 else None,
                role=roles[at] if at >= 0 else "other",
                study=studies[at] if at >= 0 else frozenset(),
                cites=first < len(cited) and cited[first] < sentence.end,
            )
        )  # fmt: skip
    return tuple(found)


def _place(
    text: str, start: int, end: int, paragraph: int, *, section: Section | None, role: Role,
    study: frozenset[str], cites: bool,
) -> Place:  # fmt: skip
    full = plain(text)
    first_person = _OWN.search(full) is not None
    named = _named(full)
    return Place(
        text=_ASIDE.sub(" ", full),
        full=full,
        start=start,
        end=end,
        paragraph=paragraph,
        section=section.title if section else "",
        section_start=section.start if section else 0,
        role=role,
        study=named or study,
        own=_is_own(text, full, role, first_person, cites),
        first_person=first_person,
        supposed=_SUPPOSED.search(_STANCE.sub(" ", full)) is not None or full.endswith("?"),
        partial=_PARTIAL.search(full) is not None,
    )


def _is_own(text: str, full: str, role: Role, first_person: bool, cites: bool) -> bool:
    if _EARLIER.search(full):
        return False
    if re.match(r"[A-Z][\w'-]+(?: et al\.| and [A-Z][\w'-]+)?,? \(\d{4}", text):
        return False
    if first_person:
        return True
    if _OTHERS.search(full):
        return False
    if role == "introduction":
        return not cites and _HANDED_OVER.search(full) is not None
    return not (cites and role in ("discussion", "conclusion", "other"))


def _named(text: str) -> frozenset[str]:
    numbered = [_NUMERALS.get(match[2], match[2]) for match in _STUDY.finditer(text)]
    ordinal = [_NUMERALS.get(match[1], match[1]) for match in _ORDINAL.finditer(text)]
    side = [match[1] for match in _SIDE_STUDY.finditer(text)]
    return frozenset([*numbered, *(each for each in ordinal if each != "main"), *side])


def _role(sections: tuple[Section, ...], number: int) -> Role:
    """By its own title, else by the heading above it."""
    level = sections[number].level + 1
    for section in reversed(sections[: number + 1]):
        if section.level >= level:
            continue
        level = section.level
        title = plain(re.sub(r"^[\dIVX.]+\s+", "", section.title))
        for role, pattern in _ROLES:
            if re.search(pattern, title) and (section.level > 1 or section is not sections[0]):
                return role
        if sum(each.level == section.level for each in sections) == 1:
            break
    return "other"


def _studies(sections: tuple[Section, ...], number: int) -> frozenset[str]:
    """The study that a heading or one above it names."""
    level = sections[number].level + 1
    for section in reversed(sections[: number + 1]):
        if section.level < level:
            level = section.level
            named = _named(plain(section.title))
            if named and sum(each.level == section.level for each in sections) > 1:
                return named
    return frozenset()
