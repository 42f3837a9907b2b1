"""Constitutions as YAML files: read strictly, written so that they read back the same."""

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from yaml.nodes import Node, ScalarNode

from plumbrule.constitution.nodes import MAX_BYTES, NodeReader
from plumbrule.constitution.schema import (
    Constitution,
    Counterfactual,
    CritiqueExample,
    Principle,
    content,
    field_names,
)
from plumbrule.errors import ConstitutionError

Record = TypeVar("Record")

SHIPPED = ("default", "village")
"""Constitutions inside the package: for general assistants, and for the lab's small world."""


def load_constitution(name_or_path: str | Path) -> Constitution:
    """Read a constitution.

    Args:
        name_or_path: `default` or `village`, which come with the package, or a YAML file. A file
            that bears one of these two names is meant by `./default`.

    Raises:
        ConstitutionError: There is no such file, or it does not hold a constitution. The message
            names the line, the principle and the field.

    Example:
        >>> load_constitution("default").tiers
        ('Harmlessness', 'Honesty', 'Helpfulness')
    """
    if name_or_path in SHIPPED:
        return _shipped(str(name_or_path))
    path = Path(name_or_path)
    try:
        if path.exists() and not path.is_file():  # a folder, or what is read without end
            raise ConstitutionError(
                f"expected a YAML file that can be read, {str(name_or_path)!r} is no file; give "
                "the path of a file"
            )
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ConstitutionError(
            f"expected a YAML file or one of {', '.join(SHIPPED)}, got {str(name_or_path)!r}, "
            "which is neither; check the spelling and the folder"
        ) from error
    except (OSError, ValueError) as error:
        raise ConstitutionError(
            f"expected a YAML file that can be read, got {str(name_or_path)!r}: "
            f"{getattr(error, 'strerror', None) or error}; give the path of a file"
        ) from error
    return _from_bytes(data, origin=str(path))


def parse_constitution(text: str, *, origin: str = "constitution") -> Constitution:
    """Read a constitution from YAML text; `origin` is what the messages call it.

    Raises:
        ConstitutionError: The text does not hold a constitution.
    """
    reader = NodeReader(origin)
    found = reader.fields(
        reader.root(text),
        "top level",
        required=("name", "version", "principles"),
        known=field_names(Constitution),
    )
    principles = reader.items(found["principles"], "field `principles`")
    values: dict[str, Any] = {
        "name": reader.text(found["name"], "field `name`"),
        "version": reader.text(found["version"], "field `version`", or_number=True),
        "principles": tuple(_principle(reader, node, n) for n, node in enumerate(principles, 1)),
    }
    if "description" in found:
        values["description"] = reader.text(found["description"], "field `description`")
    if "tiers" in found:
        values["tiers"] = reader.texts(found["tiers"], "field `tiers`")
    return _built(Constitution, values, origin)


def dump_constitution(constitution: Constitution) -> str:
    """Write a constitution as YAML that reads back to the same hash.

    Raises:
        ConstitutionError: It is larger than a constitution may be.
    """
    text = yaml.dump(
        content(constitution), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )
    size = len(text.encode())
    if size > MAX_BYTES:
        raise ConstitutionError(
            f"expected a constitution of at most {MAX_BYTES:,} bytes, got {size:,}; "
            "shorten its texts or drop some tests"
        )
    return text


@cache
def _shipped(name: str) -> Constitution:
    file = resources.files("plumbrule.constitution") / f"{name}.yaml"
    return _from_bytes(file.read_bytes(), origin=f"{name}.yaml")


def _from_bytes(data: bytes, *, origin: str) -> Constitution:
    if len(data) > MAX_BYTES:
        raise ConstitutionError(
            f"{origin}: expected a file of at most {MAX_BYTES:,} bytes, got more; "
            "keep long material elsewhere and name it under `source`"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConstitutionError(
            f"{origin}, line {line}: expected UTF-8 text, got the byte "
            f"0x{data[error.start]:02x}; save the file as UTF-8"
        ) from error
    return parse_constitution(text, origin=origin)


def _principle(reader: NodeReader, node: Node, number: int) -> Principle:
    where = _named(node, number)
    found = reader.fields(
        node, where, required=("id", "text", "tier"), known=field_names(Principle)
    )
    values: dict[str, Any] = {"tier": reader.whole(found["tier"], f"{where}, field `tier`")}
    for name in ("id", "text", "source"):
        if name in found:
            values[name] = reader.text(found[name], f"{where}, field `{name}`")
    for name in ("applies_when", "except_when", "probes", "twins", "words"):
        if name in found:
            values[name] = reader.texts(found[name], f"{where}, field `{name}`")
    for name, kind in (("critique_examples", CritiqueExample), ("counterfactuals", Counterfactual)):
        if name in found:
            place = f"{where}, field `{name}`"
            nodes = reader.items(found[name], place)
            values[name] = tuple(
                _texts_of(kind, reader, each, f"{place}, entry {n}")
                for n, each in enumerate(nodes, 1)
            )
    return _built(Principle, values, f"{reader.origin}, line {node.start_mark.line + 1}, {where}")


def _texts_of(kind: type[Record], reader: NodeReader, node: Node, where: str) -> Record:
    """A record all of whose fields are texts, each of them needed."""
    names = field_names(kind)
    found = reader.fields(node, where, required=names, known=names)
    values = {name: reader.text(found[name], f"{where}, field `{name}`") for name in names}
    return _built(kind, values, f"{reader.origin}, {where}")


def _named(node: Node, number: int) -> str:
    """`principle 3 ('be-kind')`: by number, and by id where it has one."""
    pairs = node.value if isinstance(node.value, list) else []
    for pair in pairs:
        if isinstance(pair, tuple) and pair[0].value == "id" and isinstance(pair[1], ScalarNode):
            return f"principle {number} ({pair[1].value[:80]!r})"
    return f"principle {number}"


def _built(kind: type[Record], values: dict[str, Any], place: str) -> Record:
    try:
        return kind(**values)
    except ConstitutionError as error:
        raise ConstitutionError(f"{place}: {error}") from error


class _Dumper(yaml.SafeDumper):
    """Readable where that is safe, escaped where it is not."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text_node(dumper: _Dumper, text: str) -> ScalarNode:
    lines = text.split("\n")
    style = None
    if not all(line.isprintable() for line in lines):
        style = '"'  # YAML reads U+2028 and its kin as line breaks unless they are escaped
    elif len(lines) > 1:
        tidy = all(line == line.strip() for line in lines) and lines[0] and lines[-1]
        style = "|" if tidy else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text_node)
