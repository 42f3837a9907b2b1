"""Counts of the source: lines, files, import circles, class names, names in the reference.

python -m benchmarks.house_counts --json benchmarks/results/house_parts.json  the lines of each part
"""

import argparse
import ast
import importlib.util
import inspect
import io
import json
import subprocess
import tarfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import plumbrule
from benchmarks.rows import Row, single

SOURCE = Path(plumbrule.__file__).parent
MOST_LINES, MOST_OVERSIGHT_LINES, MOST_OVERSIGHT_FILES, MOST_DOUBLED = 56, 11, 60, 5
"""Bounds: lines in thousands, files, names."""

BOUNDED_AT = "fbd26ed"
"""Revision at which these bounds had just been worked towards, and nothing new been added."""


def lines(folder: Path) -> float:
    """Thousands of lines of all Python files below a folder."""
    texts = (path.read_text("utf-8") for path in folder.rglob("*.py"))
    return sum(len(text.splitlines()) for text in texts) / 1000


def by_part(revision: str | None = None) -> Counter[str]:
    """Lines of the Python files of each first-level part, now or at a revision.

    Raises:
        CalledProcessError: This is no checkout, or the revision is not in it.
    """
    if revision is None:
        texts = {path.relative_to(SOURCE): path.read_bytes() for path in SOURCE.rglob("*.py")}
    else:
        packed = subprocess.run(
            ["git", "archive", revision, "src/plumbrule"],
            cwd=SOURCE.parents[1], capture_output=True, check=True,
        ).stdout  # fmt: skip
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            files = [each for each in archive if each.name.endswith(".py")]
            texts = {
                Path(each.name).relative_to("src/plumbrule"): content.read()
                for each in files
                if (content := archive.extractfile(each)) is not None
            }
    found: Counter[str] = Counter()
    for path, text in texts.items():
        part = path.parts[0] if len(path.parts) > 1 else "single files"
        found[part] += len(text.decode().splitlines())
    return found


def parts_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The lines of each part as Markdown, the largest first."""
    lines = ["| part | lines then | lines now | more |", "| --- | ---: | ---: | ---: |"]
    for row in rows:
        then, now = row["then"], row["now"]
        lines.append(f"| `{row['part']}` | {then:,} | {now:,} | {now - then:+,} |")
    then, now = (sum(row[name] for row in rows) for name in ("then", "now"))
    lines.append(f"| all | {then:,} | {now:,} | {now - then:+,} |")
    return "\n".join(lines)


def modules() -> dict[str, Path]:
    """Every file by the name it is imported by."""
    return {
        ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(
            ".__init__"
        ): path
        for path in SOURCE.rglob("*.py")
    }


def imported_files(source: str, files: Collection[str]) -> set[str]:
    """Files that a file imports by name: at its top, within functions, or for types alone."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in files else str(node.module) for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(files)


def import_graph() -> dict[str, set[str]]:
    """Each file of the package with the files that it imports."""
    known = modules()
    return {
        name: imported_files(path.read_text("utf-8"), known) - {name}
        for name, path in known.items()
    }


def circles(graph: Mapping[str, Collection[str]]) -> set[frozenset[str]]:
    """Groups of nodes that can be reached from one another."""
    reached = {name: set(targets) for name, targets in graph.items()}
    for middle in reached:
        for targets in reached.values():
            if middle in targets:
                targets |= reached[middle]
    within = [name for name, targets in reached.items() if name in targets]
    return {
        frozenset({one, *(two for two in within if two in reached[one] and one in reached[two])})
        for one in within
    }


def doubled() -> list[str]:
    """Names of classes that are defined in more than one place."""
    defined = Counter(
        node.name
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    return sorted(name for name, count in defined.items() if count > 1)


def missing_names() -> list[str] | None:
    """Exported names that the reference lacks; None where there is no reference."""
    path = Path(__file__).parents[1] / "docs" / "reference.py"
    if not path.is_file():
        return None
    found = importlib.util.spec_from_file_location("reference", path)
    if found is None or found.loader is None:
        return None
    reference = importlib.util.module_from_spec(found)
    found.loader.exec_module(reference)
    shown = set(reference.public_modules())
    names = ["plumbrule", *(each.name for each in walk_packages(plumbrule.__path__, "plumbrule."))]
    lacking = []
    for name in names:
        if name.endswith("__main__") or name.split(".")[1:2] == ["cli"]:
            continue
        module = import_module(name)
        for each in getattr(module, "__all__", ()):
            value = getattr(module, each)
            # A name for a type has no docstring of its own; the reference shows what it stands for.
            own = inspect.isclass(value) or inspect.isroutine(value)
            undocumented = own and not value.__doc__
            if name not in shown or undocumented:
                lacking.append(f"{name}.{each}")
    return lacking


def rows(work: Path) -> Sequence[Row]:
    """The counts."""
    del work
    oversight = SOURCE / "oversight"
    files = sum(1 for _ in oversight.rglob("*.py"))
    lacking = missing_names()

    def most(measure: str, value: float, bound: int, unit: str) -> Row:
        return single(
            measure, value, unit=unit, n=1, target=f"at most {bound:,}", met=value <= bound
        )

    found = [
        most("source lines", lines(SOURCE), MOST_LINES, "thousand lines"),
        most("source lines of oversight", lines(oversight), MOST_OVERSIGHT_LINES, "thousand lines"),
        most("files of oversight", files, MOST_OVERSIGHT_FILES, "files"),
        most("circles of imports between files", len(circles(import_graph())), 0, "circles"),
        most("class names with two meanings", len(doubled()), MOST_DOUBLED, "names"),
    ]
    if lacking is not None:
        found.append(most("exported names missing from the reference", len(lacking), 0, "names"))
    return found


def main() -> None:
    """Write the lines of each part, as they were and as they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    then, now = by_part(BOUNDED_AT), by_part()
    names = sorted({*then, *now}, key=lambda part: -now[part])
    rows = [{"part": name, "then": then[name], "now": now[name]} for name in names]
    parser.parse_args().json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    print(parts_table(rows))


if __name__ == "__main__":
    main()
