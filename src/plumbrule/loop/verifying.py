"""The files of a run, a comparison, a climb or a review, against what was recorded of them."""

from pathlib import Path

from plumbrule.errors import PlumbruleError
from plumbrule.ledger import compare_files, nested_ledgers, read_entries, verify
from plumbrule.ledger.files import KIND
from plumbrule.oversight.papers import verify_paper_review
from plumbrule.report.review import changed_pages


def folder_of(run: str) -> Path | None:
    """The folder whose ledger was named; None for a database elsewhere or a ledger by itself."""
    path = Path(run)
    if path.is_dir():
        return path
    return path.parent if path.is_file() and path.name == "ledger.db" else None


def verify_files(folder: Path) -> tuple[list[str], str]:
    """What is changed, missing or extra in a folder, and a sentence on what was looked at."""
    if (folder / "review.json").is_file():
        return _review(folder), "files: all records, sources and pages of the review looked at"
    try:
        entries = read_entries(folder / "ledger.db")
    except PlumbruleError:  # the chain names what is wrong with it
        return [], "files: not looked at, because the ledger cannot be read"
    problems = compare_files(folder, entries)
    found = [str(problem) for problem in problems or ()]
    for inner in nested_ledgers(folder):
        name = inner.relative_to(folder).as_posix()
        try:
            found += [f"{problem} (in {name})" for problem in verify(inner).problems]
        except PlumbruleError as error:
            found.append(f"changed: {name}: {error}")
    if problems is None:
        return found, "files: none is recorded yet; that is done when the command ends"
    if all(entry.kind != KIND for entry in entries):
        return found, "files: only records of finished stages are recorded yet"
    return found, "files: all of the folder looked at"


def _review(folder: Path) -> list[str]:
    found = verify_paper_review(folder)
    problems = [
        f"{each.kind}: {each.place}: {each.detail}"
        for each in found.problems
        # What the chain itself says is said beside this.
        if not each.place.startswith("ledger")
    ]
    if found.complete:
        problems += page_problems(folder)
    return problems


def page_problems(folder: Path) -> list[str]:
    """What is wrong with the page of a finished review."""
    try:
        names = changed_pages(folder)
    except PlumbruleError as error:
        return [f"changed: report: {error}"]
    return [
        f"{'changed' if (folder / name).is_file() else 'missing'}: {name}: it is not what this "
        "version makes of the review's records"
        for name in names
    ]
