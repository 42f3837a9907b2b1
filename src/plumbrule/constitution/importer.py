"""Constitutions out of Markdown in the style of OpenAI's Model Spec.

A heading such as `## Be honest {#be_honest authority=user}` starts a principle; the level of
authority becomes its tier. The paragraphs under it become its text, its worked examples become
tests. What could not be used is listed, never dropped in silence.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from plumbrule.constitution.examples import Conversation, Tests, conversations, tests_of
from plumbrule.constitution.schema import Constitution, Principle, slug
from plumbrule.errors import ConstitutionError
from plumbrule.records import strict
from plumbrule.store import fingerprint

AUTHORITY = ("root", "system", "developer", "user", "guideline")
"""Levels of authority, highest first; the place in this list is the tier."""

MAX_TEXT = 800
"""Characters of a principle's text; cut at the end of a sentence where it is longer."""

MAX_CHARACTERS = 2_000_000

_HEADING = re.compile(r"^(#{1,6})[ \t]+(.*)$")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*([\w-]*)")
_CROSS_REFERENCE = re.compile(r"\[\?\]\(#([^()\s]*)\)")
_LINK = re.compile(r"\[([^\[\]]*)\]\([^()]*\)")
_FOOTNOTE = re.compile(r"\[\^[^\[\]]*\]")
_EMPHASIS = re.compile(r"(?<!\w)(\*\*|\*|__|_)(?=\S)(.{1,300}?)(?<=\S)\1(?!\w)")
_SENTENCE_END = re.compile(r"(?<!e\.g)(?<!i\.e)(?<!\d)[.!?][\"'\u201d\u2019)]*(?=\s|$)")
_TAGS = {"under_18": "the user is under 18 years old"}


@strict
@dataclass(frozen=True, kw_only=True)
class Skipped:
    """Something in the Markdown that is not in the constitution."""

    line: int
    """Line of the file, counted from 1."""

    what: str
    """What was found."""

    why: str
    """Why it could not be used."""


@strict
@dataclass(frozen=True, kw_only=True)
class MarkdownImport:
    """A constitution made from Markdown, and what it leaves out."""

    constitution: Constitution

    by_authority: Mapping[str, int]
    """Principles at each level of authority, the highest first."""

    skipped: tuple[Skipped, ...]
    """In the order of the file."""


@dataclass
class _Section:
    line: int
    title: str
    id: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    prose: list[str] = field(default_factory=list)
    """Lines before the first example."""

    later: list[str] = field(default_factory=list)
    """Lines after it."""

    blocks: list[tuple[int, str, str]] = field(default_factory=list)
    """Fenced blocks: line, language, content."""


def import_markdown(text: str, *, name: str) -> MarkdownImport:
    """Turn Markdown with identifiers and levels of authority into a constitution.

    Examples become tests. A pair of a bad reply, with a comment on what is bad, and a good one
    becomes a critique example. Of the others, the user's turn becomes a twin where every bad reply
    is bad for being unhelpful (marked `BAD[#chain_of_command]`), and a probe otherwise.

    Args:
        text: The whole document.
        name: What the constitution will be called.

    Raises:
        ConstitutionError: No heading carries a level of authority, one carries an unknown level,
            an identifier is missing or occurs twice, or a fenced block is never closed.

    Source:
        OpenAI (2025), "Model Spec", github.com/openai/model_spec: the notation.

    Example:
        >>> found = import_markdown("# Be kind {#be_kind authority=user}", name="small")
        >>> found.constitution.principle("be-kind").tier
        3
    """
    if len(text) > MAX_CHARACTERS:
        raise ConstitutionError(
            f"expected Markdown of at most {MAX_CHARACTERS:,} characters, got {len(text):,}; "
            "import it in parts"
        )
    sections = list(_sections(re.sub(r"\r\n?", "\n", text).split("\n")))
    titles = {section.id: section.title for section in sections if section.id}
    skipped: list[Skipped] = []
    principles = []
    for section in sections:
        if "authority" in section.attributes:
            principles.append(_principle(section, titles, name, skipped))
        else:
            skipped.extend(_without_authority(section))
    if not principles:
        raise ConstitutionError(
            "expected a heading with a level of authority, such as "
            f"`## Be honest {{#be_honest authority=user}}`, got none in {len(sections)} "
            f"sections; add one of {', '.join(AUTHORITY)} to each heading that is a principle"
        )
    _check_ids(principles)
    return MarkdownImport(
        constitution=Constitution(
            name=name,
            version=f"markdown-{_digest(text)}",
            description="Imported from Markdown; authority levels became tiers.",
            tiers=tuple(level.capitalize() for level in AUTHORITY),
            principles=tuple(principles),
        ),
        by_authority={
            level: sum(each.tier == tier for each in principles)
            for tier, level in enumerate(AUTHORITY)
        },
        skipped=tuple(sorted(skipped, key=lambda each: each.line)),
    )


def _digest(text: str) -> str:
    try:
        return fingerprint(text)[:12]
    except UnicodeEncodeError as error:
        raise ConstitutionError(
            "expected text that UTF-8 can hold, got a half character (a lone surrogate) at "
            f"character {error.start}; remove it"
        ) from error


def _sections(lines: Sequence[str]) -> Iterator[_Section]:
    """Cut the document at its headings; what is inside a fence is no heading."""
    section = _Section(1, "(before the first heading)")
    number = 0
    while number < len(lines):
        line = lines[number]
        fence, heading = _FENCE.match(line), _HEADING.match(line)
        if fence:
            end = _end_of_fence(lines, number, fence.group(1))
            content = "\n".join(lines[number + 1 : end])
            section.blocks.append((number + 1, fence.group(2), content))
            number = end
        elif heading:
            yield section
            section = _heading(number + 1, heading.group(2).strip())
        else:
            (section.later if section.blocks else section.prose).append(line)
        number += 1
    yield section


def _end_of_fence(lines: Sequence[str], start: int, mark: str) -> int:
    closing = re.compile(rf"^ {{0,3}}{re.escape(mark[0])}{{{len(mark)},}}[ \t]*$")
    for number in range(start + 1, len(lines)):
        if closing.match(lines[number]):
            return number
    raise ConstitutionError(
        f"line {start + 1}: expected the block opened with `{mark[:10]}` to be closed, got the end "
        f"of the document; add a line `{mark[:10]}` where the block ends"
    )


def _heading(line: int, text: str) -> _Section:
    title, opening, rest = text.rpartition("{#")
    if not opening or rest.find("}") != len(rest) - 1:
        return _Section(line, text)
    identifier, *words = f"#{rest[:-1]}".split()
    attributes = dict(word.partition("=")[::2] for word in words)
    section = _Section(line, title.strip(), identifier.removeprefix("#"), attributes)
    level = attributes.get("authority")
    if level is not None and level not in AUTHORITY:
        raise ConstitutionError(
            f"line {line}: expected a level of authority among {', '.join(AUTHORITY)}, "
            f"got {level[:60]!r}; correct the heading"
        )
    return section


def _principle(
    section: _Section, titles: Mapping[str, str], name: str, skipped: list[Skipped]
) -> Principle:
    identifier = slug(section.id)
    if not identifier:
        raise ConstitutionError(
            f"line {section.line}: expected an identifier of letters and digits after `#`, "
            f"got {section.id[:60]!r}; name the principle, for instance "
            f"`{{#{slug(section.title[:60]).replace('-', '_') or 'be_honest'} authority=user}}`"
        )
    tests = _tests(section, titles, skipped)
    skipped.extend(_unused_prose(section))
    return Principle(
        id=identifier,
        text=_text(section, titles, skipped),
        tier=AUTHORITY.index(section.attributes["authority"]),
        applies_when=_conditions(section, skipped),
        source=f'{name}, section "{_plain(section.title, titles)}" (#{section.id})',
        critique_examples=tests.critique_examples,
        probes=tests.probes,
        twins=tests.twins,
    )


def _conditions(section: _Section, skipped: list[Skipped]) -> tuple[str, ...]:
    found: list[str] = []
    for key, value in section.attributes.items():
        if key == "tags" and all(tag in _TAGS for tag in value.split(",")):
            found.extend(_TAGS[tag] for tag in value.split(","))
        elif key != "authority":
            what = f"attribute `{key}={value}`"
            why = "it has no meaning here; write a condition by hand"
            skipped.append(Skipped(line=section.line, what=what, why=why))
    return tuple(found)


def _text(section: _Section, titles: Mapping[str, str], skipped: list[Skipped]) -> str:
    """Title and paragraphs as plain text, cut at the end of a sentence."""
    title = _plain(section.title, titles)
    # Marks and links shorten a text, never so much that more than this would be needed.
    body = _plain(" ".join(_paragraphs(section.prose))[: 25 * MAX_TEXT], titles)
    text = f"{title.rstrip('.')}. {body}".strip()
    if len(text) <= MAX_TEXT:
        return text
    ends = [each.end() for each in _SENTENCE_END.finditer(text, 0, MAX_TEXT)]
    if ends and ends[-1] > len(title) + 2:
        shorter = text[: ends[-1]]
    else:
        shorter = text[: MAX_TEXT - 1].rsplit(" ", 1)[0] + "…"
    what = f"part of its text after {len(shorter)} characters"
    why = f"a principle's text has at most {MAX_TEXT} characters"
    skipped.append(Skipped(line=section.line, what=what, why=why))
    return shorter


def _paragraphs(lines: Sequence[str]) -> Iterator[str]:
    """Lines that state the rule: no commentary, no footnotes, no title of an example."""
    in_commentary = False
    for line in lines:
        stripped = line.strip()
        if in_commentary and (not stripped or line.startswith((" ", "\t"))):
            continue
        in_commentary = stripped.startswith("!!!")
        if not in_commentary and not stripped.startswith(("**Example**", "[^", "<!--")):
            yield stripped


def _unused_prose(section: _Section) -> Iterator[Skipped]:
    later = [line for line in _paragraphs(section.later) if line]
    if later:
        count = f"{len(later)} line" + ("" if len(later) == 1 else "s")
        what = f"{count} after the first example"
        why = "a principle's text ends where its examples begin"
        yield Skipped(line=section.line, what=what, why=why)
    remarks = sum(line.strip().startswith("!!!") for line in (*section.prose, *section.later))
    if remarks:
        what = f"{remarks} commentary" if remarks == 1 else f"{remarks} commentaries"
        yield Skipped(line=section.line, what=what, why="it explains the rule and is no part of it")


def _plain(text: str, titles: Mapping[str, str]) -> str:
    """Markdown without its marks."""
    text = _CROSS_REFERENCE.sub(
        lambda found: f'"{titles.get(found.group(1), found.group(1).replace("_", " "))}"', text
    )
    text = _FOOTNOTE.sub("", text)
    text = _LINK.sub(r"\1", text)
    text = _EMPHASIS.sub(r"\2", _EMPHASIS.sub(r"\2", text))
    return " ".join(text.replace(" --- ", " — ").split())


def _tests(section: _Section, titles: Mapping[str, str], skipped: list[Skipped]) -> Tests:
    """Tests out of the examples of a section."""
    found: list[Conversation] = []
    for line, language, content in section.blocks:
        if language != "xml":
            why = "only blocks marked `xml` hold examples"
            skipped.append(Skipped(line=line, what="fenced block", why=why))
        else:
            found.extend(conversations(content, line=line))
    tests = tests_of(found, lambda comment: _plain(comment, titles))
    for line, why in tests.unused:
        skipped.append(Skipped(line=line, what="example", why=why))
    return tests


def _without_authority(section: _Section) -> Iterator[Skipped]:
    if any(line.strip() for line in section.prose) or section.blocks:
        count = len(section.blocks)
        yield Skipped(
            line=section.line,
            what=f"section {section.title[:80]!r}" + (f" with {count} examples" if count else ""),
            why="its heading carries no level of authority",
        )


def _check_ids(principles: Sequence[Principle]) -> None:
    seen: set[str] = set()
    for principle in principles:
        if principle.id in seen:
            raise ConstitutionError(
                f"expected each identifier once, got `{principle.id}` twice (hyphens, underscores "
                "and case do not count); rename one of the headings"
            )
        seen.add(principle.id)
