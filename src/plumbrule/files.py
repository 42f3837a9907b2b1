"""A user's small text files, read within bounds: size, depth, and what they expand to."""

from pathlib import Path
from typing import Any

import yaml

from plumbrule.errors import ConfigError, PlumbruleError

LARGEST_TEXT = 2**20
"""Bytes of a recipe or a set of questions."""

DEEPEST = 50
"""Levels of lists and mappings within one another."""

MOST_VALUES = 100_000
"""Values in a YAML text, each counted wherever an alias repeats it."""


def read_small_text(
    path: Path,
    what: str,
    *,
    most: int = LARGEST_TEXT,
    error: type[PlumbruleError] = ConfigError,
) -> str:
    """Read a text file that should be a small one.

    Args:
        path: The file.
        what: What the message calls it, with its article.
        most: Bytes it may have.
        error: Kind of the error where it cannot be read.

    Raises:
        PlumbruleError: It is no file, too large or not UTF-8, of the kind that was asked for.
    """
    try:
        if not path.exists():
            raise error(f"expected {what}, there is none at {path}; check the path")
        if not path.is_file():  # a folder, or something that is read without end
            raise error(f"expected {what}, {path} is no file; give the path of a file")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as trouble:
        if isinstance(trouble, PlumbruleError):
            raise
        raise error(f"expected {what}, {path} cannot be read: {trouble}") from trouble
    if len(data) > most:
        raise error(f"expected {what} of at most {most:,} bytes, {path} has more; shorten it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as trouble:
        raise error(
            f"expected {what} in UTF-8, {path} has the byte 0x{data[trouble.start]:02x} at "
            f"{trouble.start}; save it as UTF-8"
        ) from trouble


def parse_yaml(text: str, origin: str, *, error: type[PlumbruleError] = ConfigError) -> Any:
    """Read YAML that holds plain values.

    Args:
        text: The YAML.
        origin: What the message calls it.
        error: Kind of the error where it cannot be read.

    Raises:
        PlumbruleError: It is no YAML, nested too deep, or expands to too much; of the kind that was
            asked for.
    """
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _check(node)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except RecursionError as trouble:
        raise error(
            f"{origin} is nested more than {DEEPEST} levels deep; it must be flatter"
        ) from trouble
    except (yaml.YAMLError, ValueError, OverflowError, TypeError) as trouble:
        # Values that look like dates or numbers and are none are no YAML errors to the library.
        raise error(
            f"{origin} cannot be read as YAML: {_in_a_line(trouble)}; correct it"
        ) from trouble


def _in_a_line(trouble: Exception) -> str:
    """What is wrong with YAML and where, without the picture that the library draws of it."""
    if isinstance(trouble, yaml.MarkedYAMLError):
        mark = trouble.problem_mark or trouble.context_mark
        place = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        said = ", ".join(filter(None, (trouble.context, trouble.problem, trouble.note)))
        return " ".join(f"{place}{said}".split())
    return " ".join(str(trouble).split())


def _check(root: yaml.Node) -> None:
    """Refuse what is nested too deep, contains itself, or grows by its aliases."""
    sizes: dict[int, int] = {}
    above: set[int] = set()

    def size(node: yaml.Node, depth: int) -> int:
        if id(node) in above or depth > DEEPEST:
            raise RecursionError
        if id(node) in sizes:
            return sizes[id(node)]
        above.add(id(node))
        parts = node.value if isinstance(node.value, list) else []
        total = 1
        for part in parts:
            for each in part if isinstance(part, tuple) else (part,):
                total += size(each, depth + 1)
                if total > MOST_VALUES:
                    raise ValueError(f"it expands to more than {MOST_VALUES:,} values")
        above.discard(id(node))
        sizes[id(node)] = total
        return total

    size(root, 0)


def absent(path: Path) -> str:
    """What is at a path where a file was expected, and what to do.

    Example:
        >>> absent(Path("."))
        'no file at ., which is a folder; name a file in it'
        >>> absent(Path("nowhere.md"))
        'no file at nowhere.md; check the path'
    """
    if path.is_dir():
        return f"no file at {path}, which is a folder; name a file in it"
    return f"no file at {path}; check the path"
