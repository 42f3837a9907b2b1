"""Reads YAML as text, whole numbers, lists and mappings, and says where it finds anything else.

Values are taken from the nodes of the document rather than from what a YAML constructor would make
of them, so nothing is ever built from a tag, and `yes` or `2024-01-01` cannot turn into something
the author did not mean.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import cast

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from plumbrule.errors import ConstitutionError

MAX_BYTES = 1_000_000
"""A constitution is read by people; a file larger than this is not one."""

_MAX_DEPTH = 20
_NAMES = {
    "bool": "the yes/no value",
    "int": "the number",
    "float": "the number",
    "timestamp": "the date",
    "str": "the text",
}


class _Loader(yaml.SafeLoader):
    """Composes nodes; refuses aliases and deep nesting, which a small file can use as a bomb."""

    _depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        mark = cast(yaml.Mark, event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="aliases (`*name`) are not read here: write the text out in full",
                problem_mark=mark,
            )
        if self._depth >= _MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=f"lists and mappings are nested more than {_MAX_DEPTH} deep",
                problem_mark=mark,
            )
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


@dataclass(frozen=True)
class NodeReader:
    """Reads the nodes of one file."""

    origin: str
    """What the messages call the file."""

    def root(self, text: str) -> Node:
        """Parse a document.

        Raises:
            ConstitutionError: It is too large, empty, or not YAML.
        """
        size = len(text.encode("utf-8", "replace"))
        if size > MAX_BYTES:
            raise ConstitutionError(
                f"{self.origin}: expected at most {MAX_BYTES:,} bytes, got {size:,}; "
                "keep long material elsewhere and name it under `source`"
            )
        try:
            node = yaml.compose(text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            problem = ", ".join(filter(None, (error.context, error.problem)))
            raise ConstitutionError(
                f"{self.origin}{_line(error.problem_mark)}: expected YAML, got a line that cannot "
                f"be read: {problem}; put quotes around text that holds a colon or starts with a "
                "sign"
            ) from error
        except yaml.YAMLError as error:
            raise ConstitutionError(
                f"{self.origin}: expected YAML text, got a character that YAML does not allow "
                f"({' '.join(str(error).split())}); remove it or write it as an escape"
            ) from error
        if node is None:
            raise ConstitutionError(
                f"{self.origin}: expected a constitution, got an empty file; it needs at least "
                "`name`, `version` and `principles`"
            )
        return node

    def fields(
        self, node: Node, where: str, *, required: Collection[str], known: Collection[str]
    ) -> dict[str, Node]:
        """Read a mapping with known keys, each at most once."""
        if not isinstance(node, MappingNode):
            raise self.error(node, where, "a mapping of fields", f"start with `{min(required)}:`")
        found: dict[str, Node] = {}
        for key, value in node.value:
            name = self.text(key, f"{where}, a field's name")
            if name not in known:
                close = get_close_matches(name, known, n=1)
                advice = f"did you mean `{close[0]}`?" if close else "remove it"
                expected = f"one of the fields {', '.join(known)}"
                raise self.error(key, where, expected, advice)
            if name in found:
                first = found[name].start_mark
                raise self.error(
                    key,
                    f"{where}, field `{name}`",
                    f"the field once (it is{_line(first).replace(',', ' on', 1)} already)",
                    "keep one of them",
                )
            found[name] = value
        missing = [name for name in required if name not in found]
        if missing:
            raise ConstitutionError(
                f"{self.origin}{_line(node.start_mark)}, {where}: expected the field "
                f"`{missing[0]}`, got only {', '.join(found) or 'nothing'}; add `{missing[0]}:`"
            )
        return found

    def items(self, node: Node, where: str) -> list[Node]:
        """Read a list."""
        if not isinstance(node, SequenceNode):
            raise self.error(node, where, "a list", "write one entry a line, each after `- `")
        return list(node.value)

    def text(self, node: Node, where: str, *, or_number: bool = False) -> str:
        """Read text; with `or_number`, a number as it was typed."""
        allowed = {"str", "int", "float"} if or_number else {"str"}
        if not isinstance(node, ScalarNode) or _kind(node) not in allowed:
            raise self.error(node, where, "text", "put it in quotes if it is meant as text")
        return str(node.value)

    def texts(self, node: Node, where: str) -> tuple[str, ...]:
        """Read a list of texts."""
        entries = self.items(node, where)
        return tuple(self.text(each, f"{where}, entry {n}") for n, each in enumerate(entries, 1))

    def whole(self, node: Node, where: str) -> int:
        """Read a whole number from 0 up."""
        plain = isinstance(node, ScalarNode) and _kind(node) == "int"
        if not plain or not re.fullmatch(r"[0-9]{1,6}", node.value):
            raise self.error(node, where, "a whole number from 0 up", "0 decides first")
        return int(node.value)

    def error(self, node: Node, where: str, expected: str, advice: str) -> ConstitutionError:
        """Say what was expected at a node, what was found, and what to do."""
        return ConstitutionError(
            f"{self.origin}{_line(node.start_mark)}, {where}: expected {expected}, "
            f"got {_described(node)}; {advice}"
        )


def _kind(node: Node) -> str:
    return str(node.tag).rpartition(":")[2]


def _described(node: Node) -> str:
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    if _kind(node) == "null":
        return "nothing"
    value = str(node.value)
    shown = repr(value) if len(value) <= 60 else repr(value[:57] + "...")
    return f"{_NAMES.get(_kind(node), f'a value tagged {node.tag}')} {shown}"


def _line(mark: yaml.Mark | None) -> str:
    return f", line {mark.line + 1}" if mark else ""
