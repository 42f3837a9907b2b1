"""Turns Markdown into the text that a reader sees: no comments, no emphasis marks, no links."""

import re
from typing import Any

import yaml

from plumbrule.oversight.papers.hiding import Veil
from plumbrule.oversight.papers.latex import AT
from plumbrule.oversight.papers.latex_words import math_text

_FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*\n", re.DOTALL)
_FIELD = re.compile(r"^(title|bibliography):[ \t]*(\S[^\n]*)$", re.MULTILINE)
_CODE = re.compile(r"(`{1,3})(?!`)([^`]{1,300})\1(?!`)")
_COMMENT = re.compile(r"<!--(.*?)(?:-->|\Z)", re.DOTALL)
_FENCE = re.compile(r"^(```+|~~~+)[^\n]*\n(.*?)(?:^\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_WHITE = re.compile(
    r"<(\w+)[^<>]{0,200}(?:color\s*[:=]\s*[\"']?\s*(?:white\b|#fff(?:fff)?\b)|display\s*:\s*none"
    r"|font-size\s*:\s*[01](?:px|pt)?\b)[^<>]{0,200}>(.*?)</\1>",
    re.DOTALL | re.IGNORECASE,
)
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]{0,300}>")
_IMAGE = re.compile(r"!\[([^\]\n]{0,2000})\]\([^()\s]{0,500}\)(?:\{[^{}\n]{0,200}\})?")
_LINK = re.compile(
    r"\[([^\]\n]{1,1000})\]\(([^()\s]{1,500}(?:\([^()\s]{0,100}\)[^()\s]{0,200})?)\)"
)
_MATH = re.compile(r"(?<![\\$\w])\$(?=\S)([^$\n]{1,400}?)(?<=\S)\$(?!\d)")
_STRONG = re.compile(r"(?<![\w*\\])(\*{1,3})(?=[^\s*])([^*\n]{1,1000}?)(?<=[^\s*\\])\1(?!\*)")
_UNDER = re.compile(r"(?<![\w\\])(_{1,2})(?=[^\s_])([^_\n]{1,1000}?)(?<=[^\s_\\])\1(?!\w)")
_ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+\-.!|<>$%&~@])")


def markdown_text(source: str, veil: Veil) -> tuple[str, tuple[str, ...]]:
    """Clean a Markdown source.

    Args:
        source: With unified line ends and without invisible characters.
        veil: Takes comments, code and white text.

    Returns:
        The text, and the names of bibliography files that its front matter gives.
    """
    source, files = _front_matter(source)
    text = _COMMENT.sub(lambda match: veil.hide(match[1], "HTML comment"), source)
    text = _FENCE.sub(lambda match: veil.hide(match[2], "code block") + "\n", text)
    text = _WHITE.sub(lambda match: veil.hide(_TAG.sub("", match[2]), "white text"), text)
    text = _TAG.sub("", text)
    text = _IMAGE.sub(lambda match: match[1], text)
    text = _LINK.sub(_link, text)
    # In code an @ is no citation, nor is one behind a stroke.
    text = _CODE.sub(lambda match: match[0].replace("@", AT), text).replace("\\@", AT)
    text = _MATH.sub(lambda match: math_text(match[1]), text)
    for pattern in (_STRONG, _STRONG, _UNDER):
        text = pattern.sub(lambda match: match[2], text)
    return _ESCAPE.sub(r"\1", text), files


def _front_matter(source: str) -> tuple[str, tuple[str, ...]]:
    """Write title and abstract of the front matter as headings; keep what is no front matter."""
    match = _FRONT.match(source)
    if match is None:
        return source, ()
    try:
        front: Any = yaml.safe_load(match[1])
    except yaml.YAMLError:  # such as a colon in a title: what is needed of it is still there
        front = {field[1]: field[2].strip(" '\"[]") for field in _FIELD.finditer(match[1])}
    if not isinstance(front, dict):
        return source, ()
    head = f"# {front['title']}\n\n" if isinstance(front.get("title"), str) else ""
    if isinstance(front.get("abstract"), str):
        head += f"# Abstract\n\n{front['abstract'].strip()}\n\n"
    given = front.get("bibliography", [])
    files = tuple(str(each) for each in (given if isinstance(given, list) else [given]) if each)
    return head + source[match.end() :], files


def _link(match: re.Match[str]) -> str:
    """Words of a link; its address too where that is an identifier the words do not hold."""
    words, address = match[1], match[2]
    return f"{words} {address}" if "doi.org" in address and "10." not in words else words
