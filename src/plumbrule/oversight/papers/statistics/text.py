"""A text without its markup, and the words around a reported number."""

import re
import unicodedata
from array import array
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from plumbrule.oversight.papers.statistics.records import Check, StatisticFinding, Verdict

_COMMANDS = {
    "chi": "χ",
    "beta": "β",
    **dict.fromkeys(("le", "leq", "leqslant"), "<="),
    **dict.fromkeys(("ge", "geq", "geqslant"), ">="),
    **dict.fromkeys(("lt", "textless"), "<"),
    **dict.fromkeys(("gt", "textgreater"), ">"),
    **dict.fromkeys(("approx", "sim", "simeq"), "~"),
    **dict.fromkeys(("times", "cdot"), "x"),
    "pm": "±",
    **dict.fromkeys(("quad", "qquad", "thinspace", "space"), " "),
    **dict.fromkeys(
        (
            *("textit", "emph", "mathit", "textrm", "mathrm", "text", "textbf", "mathbf", "it"),
            *("rm", "bf", "bar", "left", "right", "big", "Big", "textsubscript", "mbox", "hbox"),
            *("ensuremath", "operatorname", "mathsf", "textsf", "textnormal", "limits"),
        ),
        "",
    ),
}
_ENTITIES = {
    **{"lt": "<", "gt": ">", "le": "<=", "ge": ">=", "minus": "-", "chi": "χ", "nbsp": " "},
    **{"thinsp": " ", "times": "x", "amp": "&", "plusmn": "±"},
}
_CHARACTERS = {
    **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014\ufe63", "-"),
    **dict.fromkeys("≤⩽≦", "<="),
    **dict.fromkeys("≥⩾≧", ">="),
    **dict.fromkeys("\u2248\u223c\u2243", "~"),
    **{
        "\u00d7": "x",
        "~": " ",
        "\u200b": "",
        "\u00ad": "",
        "\ufeff": "",
        "·": ".",
    },
    **{str(chr(0x2080 + digit)): f"_{digit}" for digit in range(10)},
}
_TOKEN = re.compile(
    r"(?P<blank>\s+)"
    r"|\\(?P<command>[A-Za-z]{1,20})"
    r"|(?P<escape>\\[,;:! ()\[\]%&_$#])"
    r"|&(?P<entity>[a-z]{2,7});"
    r"|(?P<tag></?(?:i|em|b|strong|sup|span)>)|(?P<sub></?sub>)"
    r"|(?<![A-Za-z0-9_])_(?P<italic>[A-Za-zχ])_(?![A-Za-z0-9_])"
    r"|(?P<comma>\{,\})|(?P<mark>[*${}])"
    r"|(?P<power>[\u207b\u00b2\u00b3\u00b9\u2070\u2074-\u2079]+)"
    r"|(?P<special>[^\x00-\x7f\u0370-\u03ff])|(?P<sign>[~])"
)


@dataclass(frozen=True)
class Plain:
    """Simplified text, and where each of its pieces stood."""

    text: str
    """What patterns are matched against."""

    original: str

    places: "array[int]"
    """Character of the simplified text at which each piece begins."""

    begins: "array[int]"
    ends: "array[int]"
    verbatim: "array[int]"
    """1 where a piece is a copy, so that its characters correspond one to one."""

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Characters of the original behind a non-empty stretch of the simplified text."""
        first = bisect_right(self.places, start) - 1
        last = bisect_right(self.places, end - 1) - 1
        begin, finish = self.begins[first], self.ends[last]
        if self.verbatim[first]:
            begin += start - self.places[first]
        if self.verbatim[last]:
            finish = self.begins[last] + end - self.places[last]
        return begin, finish

    def finding(
        self,
        place: tuple[int, int],
        check: Check,
        verdict: Verdict,
        reason: str,
        recomputed: str | None = None,
        values: Mapping[str, float] | None = None,
    ) -> StatisticFinding:
        """A finding that quotes the original text behind a stretch of the simplified one."""
        start, end = self.span(*place)
        return StatisticFinding(
            check=check,
            verdict=verdict,
            quote=self.original[start:end],
            start=start,
            end=end,
            reason=reason,
            recomputed=recomputed,
            values=values or {},
        )


class _Builder:
    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.length = 0
        self.after_blank = True
        self.arrays = tuple(array("q") for _ in range(4))

    def add(self, piece: str, begin: int, end: int, *, verbatim: bool) -> None:
        if piece == " " and self.after_blank:
            return
        if not piece:
            return
        for column, value in zip(
            self.arrays, (self.length, begin, end, int(verbatim)), strict=True
        ):
            column.append(value)
        self.pieces.append(piece)
        self.length += len(piece)
        self.after_blank = piece[-1] in " \n"


def simplify(text: str) -> Plain:
    """Take the markup off, keeping the way back to every character."""
    builder, done = _Builder(), 0
    for found in _TOKEN.finditer(text):
        start, end = found.span()
        piece = _replacement(found)
        if piece is None:
            continue
        if start > done:
            builder.add(text[done:start], done, start, verbatim=True)
        builder.add(piece, start, end, verbatim=False)
        done = end
    if done < len(text):
        builder.add(text[done:], done, len(text), verbatim=True)
    return Plain("".join(builder.pieces), text, *builder.arrays)


def _replacement(found: re.Match[str]) -> str | None:
    """What stands for a piece of markup; None leaves it as it is."""
    kind, value = found.lastgroup, found[found.lastgroup or 0]
    if kind == "blank":
        return "\n" if value.count("\n") > 1 else " "
    if kind == "command":
        return _COMMANDS.get(value)
    if kind == "escape":
        return {"%": "%", "&": "&", "_": "_", "$": "$", "#": "#"}.get(
            value[1], "" if value[1] in "()[]" else " "
        )
    if kind == "entity":
        return _ENTITIES.get(value)
    if kind in ("tag", "mark"):
        return ""
    if kind == "sub":
        return "" if "/" in value else "_"
    if kind == "power":
        return "^" + unicodedata.normalize("NFKC", value).replace("\u2212", "-")
    if kind == "comma":
        return ","
    if kind == "italic":
        return value
    if value in _CHARACTERS:
        return _CHARACTERS[value]
    folded = unicodedata.normalize("NFKC", value)
    return folded if folded != value and folded.isprintable() else None


REACH = 400
"""Characters to both sides that count as near."""

_SENTENCE_END = re.compile(r"[.!?][)\]]? (?=[A-Z(])|\n")
_WORDS = {
    word: number
    for number, word in enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), 2
    )
}
_PEOPLE = (
    r"(?:participants|patients|students|adults|respondents|subjects|volunteers|people|children"
    r"|women|men|undergraduates|individuals|raters|mice|rats|animals|users|teachers|workers)"
)
_COUNT = r"(\d{1,3}(?:,\d{3}){1,3}|\d{1,9})(?![\d.%]|,\d)"
_FREE = r"(?<![A-Za-z0-9_])(?<!\(\d, )(?<!\(\d,)(?<!\(\d\d, )"
"""Not the N beside the degrees of freedom of one test, which belongs to that test."""

_TOTAL = re.compile(
    rf"{_FREE}N ?= ?{_COUNT}"
    rf"|(?<![\d.,=<>-])(?<![=<>-] )(?<!% of ){_COUNT} (?:[a-z]{{3,20}} ){{0,2}}{_PEOPLE}\b"
    r"(?! (?:were |was |who were )?(?:excluded|removed|dropped|lost))"
)
SPELLED = re.compile(
    r"\b(?:[Hh]undred|[Tt]housand|(?:[Tt]we|[Tt]hir|[Ff]or|[Ff]if|[Ss]ix|[Ss]even|[Ee]igh|[Nn]ine)n?"
    rf"ty(?:-[a-z]{{3,5}})?|[A-Za-z]{{3,6}}teen) (?:[a-z]{{3,20}} ){{0,2}}{_PEOPLE}\b"
)
"""A size that is written in words, so that the sizes in digits are not all of them."""

_NAMED = re.compile(rf"{_FREE}N ?= ?{_COUNT}")
_GROUP = re.compile(rf"{_FREE}n(?:_[A-Za-z0-9]{{1,12}}|[12])? ?= ?{_COUNT}")
_GROUPS = re.compile(
    rf"\b({'|'.join(_WORDS)}|[2-9]|10)[- ](?:[a-z]{{3,20}} ){{0,2}}"
    r"(?:groups|conditions|arms|levels)\b"
)
_ONE_SIDED = re.compile(
    r"\b(?:[Oo]ne|1)[- ](?:tail(?:ed)?|sided?)\b|(?<![A-Za-z-])(?:uni)?[Dd]irectional\b"
)
TWO_SIDED = re.compile(r"\b(?:[Tt]wo|2)[- ](?:tail(?:ed)?|sided?)\b|\b[Nn]on-?directional\b")
"""Words which say that a test has two sides."""

ROUNDED_FREEDOM = re.compile(
    r"Greenhouse|Huynh|Welch|Satterthwaite|Kenward|[Uu]nequal variances?"
    r"|[Mm]ixed(?:-effects)? model"
)
"""Words which say that degrees of freedom were estimated: whole ones are rounded then, too."""

ALL_ONE_SIDED = re.compile(r"\b[Aa]ll [A-Za-z ,-]{0,50}\b(?:one|1)[- ](?:tailed|sided)")
"""Words which say that all tests of a text have one side."""

_CORRECTED = re.compile(
    r"Bonferroni|Holm\b|FDR|Benjamini|Tukey|Scheff|[Cc]orrected|[Aa]djusted|[Pp]ermutation"
    r"|[Bb]ootstrap|Greenhouse|Huynh|[Ee]xact test"
)
CORRECTS = re.compile(
    r"[Mm]ultiple (?:comparison|test|contrast)|[Ff]alse discovery|Benjamini|Bonferroni"
    r"|(?:Holm|Tukey|Scheff[eé]|[SŠ]id[aá]k)(?:.s)?[- ]"
    r"(?:HSD|[Hh]onest|[Tt]est|[Pp]ost|[Cc]orrect|[Aa]djust|[Pp]rocedure|[Mm]ethod)"
    r"|[Ff]amily-?wise (?:error|rate)|\bFDR\b|[Pp]ost[- ]hoc"
    r"|multivariate t\b|Greenhouse[- ]Geisser|Huynh[- ]Feldt"
)
"""Words which say, anywhere, that p-values of several comparisons were corrected."""

CORRECTION_REACH = 100


@dataclass(frozen=True)
class Surroundings:
    """Text near a report, cut at the paragraph."""

    text: str
    start: int
    """Where the report begins in `text`."""

    end: int

    @property
    def sentence(self) -> str:
        """The sentence that holds the report."""
        return self._from(1)

    @property
    def lead(self) -> str:
        """The sentence that holds the report and the one before it."""
        return self._from(2)

    def _from(self, sentences: int) -> str:
        ends = [0, 0, *(each.end() for each in _SENTENCE_END.finditer(self.text, 0, self.start))]
        stop = _SENTENCE_END.search(self.text, self.end)
        return self.text[ends[-sentences] : stop.start() if stop else len(self.text)]

    def within(self, reach: int) -> str:
        """Text no farther than some characters from the report."""
        return self.text[max(0, self.start - reach) : self.end + reach]


def surroundings(text: str, start: int, end: int) -> Surroundings:
    """Cut out what is near a report."""
    begin = max(0, start - REACH)
    line = text.rfind("\n", begin, start)
    begin = line + 1 if line >= 0 else begin
    stop = text.find("\n", end, end + REACH)
    stop = stop if stop >= 0 else min(len(text), end + REACH)
    return Surroundings(text[begin:stop], start - begin, end - begin)


def says_one_sided(near: Surroundings) -> bool:
    """Whether the words nearby say that the test has one side."""
    if TWO_SIDED.search(near.text, near.start, near.end + 40):
        return False
    return _ONE_SIDED.search(near.text) is not None


def says_corrected(near: Surroundings) -> bool:
    """Whether p may have been changed after the statistic was computed."""
    return _CORRECTED.search(near.within(CORRECTION_REACH)) is not None


def totals(text: str) -> tuple[int, ...]:
    """Distinct sizes of whole samples, in order: `N = 60`, `60 participants`."""
    return tuple(dict.fromkeys(whole(each[1] or each[2]) for each in _TOTAL.finditer(text)))


def named_total(text: str) -> int | None:
    """The one N that is written as such; None where there is none or several."""
    named = {whole(each[1]) for each in _NAMED.finditer(text)}
    return named.pop() if len(named) == 1 else None


def group_sizes(text: str) -> tuple[int, ...]:
    """Sizes of groups, in order, repeats kept: `n = 30`, `n_1 = 30`."""
    return tuple(whole(each[1]) for each in _GROUP.finditer(text))


def only_size(text: str) -> int | None:
    """The one size, of a group or of all, in a stretch of text; None for none or several."""
    sizes = group_sizes(text)
    return sizes[0] if len(sizes) == 1 else None if sizes else named_total(text)


def number_of_groups(text: str) -> int | None:
    """How many groups are compared, where exactly one number is named."""
    named = {_WORDS.get(each[1]) or int(each[1]) for each in _GROUPS.finditer(text)}
    return named.pop() if len(named) == 1 else None


def whole(text: str) -> int:
    """A count with or without commas between its thousands."""
    return int(text.replace(",", ""))
