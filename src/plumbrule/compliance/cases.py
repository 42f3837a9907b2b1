"""Tests of a constitution: requests that each test one principle, in a file with a version.

A file of tests is JSON lines. The first line is a header: the format's version, the constitution it
was made for, and the hash of all that follows; a file that was changed by hand is refused.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from plumbrule.constitution import Constitution
from plumbrule.errors import DataError
from plumbrule.files import read_small_text
from plumbrule.records import Dialogue, from_json, strict, to_json, to_jsonl
from plumbrule.store import canonical, derive_seed, fingerprint, write_atomic

FORMAT = "plumbrule-tests"
FORMAT_VERSION = 1
LARGEST_TESTS = 256 * 2**20
"""Bytes of a file of tests."""

CaseKind = Literal["probe", "twin", "regression"]
"""A probe tempts a model to break the principle; a twin looks like one and deserves plain help; a
regression test once broke it."""


@strict
@dataclass(frozen=True, kw_only=True)
class TestCase:
    """One request that tests one principle."""

    __test__: ClassVar[bool] = False  # pytest collects classes by this name

    id: str
    """Stable name, unique within a set."""

    principle_id: str
    kind: CaseKind
    dialogue: Dialogue

    family: str
    """Requests that are one another's paraphrases share it; what counts once is a family."""

    way: str = "plain"
    """How it is asked: `plain`, `context`, `turns`, `test cue`, `use cue`, a language …"""

    source: str = ""
    """Where it comes from, such as `constitution` or the finding that it repeats."""


@dataclass(frozen=True, kw_only=True)
class TestSet:
    """Tests of one constitution."""

    __test__: ClassVar[bool] = False  # as above

    constitution: str
    """Name of the constitution."""

    constitution_sha256: str
    cases: tuple[TestCase, ...]

    revision: int = 1
    """Raised by one whenever tests are added."""

    @property
    def sha256(self) -> str:
        """Hash of all tests, in order."""
        return fingerprint([to_json(case) for case in self.cases])

    def families(self, principle_id: str, kind: CaseKind) -> dict[str, list[TestCase]]:
        """The cases of one kind that test a principle, by family, in order."""
        found: dict[str, list[TestCase]] = {}
        for case in self.cases:
            if case.principle_id == principle_id and case.kind == kind:
                found.setdefault(case.family, []).append(case)
        return found

    def halves(self, seed: int) -> tuple["TestSet", "TestSet"]:
        """Two sets without a paraphrase family in common, each principle and kind halved.

        What the first has found is repaired and then examined with the second: nothing is repaired
        on the test that found it. Regression tests stay in the first.

        Args:
            seed: Decides which family goes where.
        """
        second: set[str] = set()
        placed: set[str] = {case.family for case in self.cases if case.kind == "regression"}
        groups: dict[tuple[str, str], list[str]] = {}
        for case in self.cases:
            if case.family not in placed:
                placed.add(case.family)
                groups.setdefault((case.principle_id, case.kind), []).append(case.family)
        for group, families in groups.items():
            order = np.random.default_rng(derive_seed(seed, "halves", *group))
            mixed = order.permutation(len(families)).tolist()
            second |= {families[place] for place in mixed[: len(families) // 2]}
        one, other = (
            tuple(case for case in self.cases if (case.family in second) is side)
            for side in (False, True)
        )
        return replace(self, cases=one), replace(self, cases=other)


def write_tests(tests: TestSet, path: Path) -> None:
    """Write a file of tests.

    Raises:
        StorageError: The disk did not take it; what stood there before still stands.
    """
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "revision": tests.revision,
        "constitution": tests.constitution,
        "constitution_sha256": tests.constitution_sha256,
        "sha256": tests.sha256,
    }
    write_atomic(path, canonical(header) + "\n" + to_jsonl(tests.cases))


def read_tests(path: Path) -> TestSet:
    """Read a file of tests back.

    Raises:
        DataError: There is none, it holds something else, or it is not what was written there.
    """
    text = read_small_text(path, "a file of tests", most=LARGEST_TESTS, error=DataError)
    first, *lines = text.removesuffix("\n").split("\n")
    try:
        header = json.loads(first)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise DataError(
            f"expected a file of tests, {path} does not begin with a line that says so; make one "
            "with `plumbrule comply … --plan`, or give prompts with --prompts"
        )
    if header.get("format_version") != FORMAT_VERSION:
        raise DataError(
            f"{path} is in version {header.get('format_version')!r:.20} of the format, this "
            f"program reads version {FORMAT_VERSION}; make it again"
        )
    cases = []
    for number, line in enumerate(lines, 2):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number} is not JSON: {error}") from error
        cases.append(from_json(TestCase, value, origin=f"{path}, line {number}"))
    tests = TestSet(
        constitution=str(header.get("constitution")),
        constitution_sha256=str(header.get("constitution_sha256")),
        cases=checked_cases(cases, str(path)),
        revision=int(header.get("revision") or 1),
    )
    if tests.sha256 != header.get("sha256"):
        raise DataError(
            f"{path} is not what was written there: its tests do not have the hash that its first "
            "line names. Take the file as it was written; `plumbrule comply --add-test` adds tests"
        )
    return tests


def checked_cases(cases: Iterable[TestCase], origin: str) -> tuple[TestCase, ...]:
    """Cases whose ids differ.

    Raises:
        DataError: Two have one id, or one has nothing to ask.
    """
    kept: dict[str, TestCase] = {}
    for case in cases:
        if case.id in kept:
            raise DataError(f"{origin} has two tests with the id {case.id!r:.80}; rename one")
        if not case.dialogue or case.dialogue[-1].role != "user":
            raise DataError(f"{origin}: test {case.id!r:.80} must end with the user's turn")
        kept[case.id] = case
    return tuple(kept.values())


def check_law(tests: TestSet, law: Constitution) -> None:
    """See that every test speaks of a principle that there is.

    Raises:
        DataError: One does not.
    """
    known = {principle.id for principle in law.principles}
    strange = sorted({case.principle_id for case in tests.cases} - known)
    if strange:
        raise DataError(
            f"the tests speak of {', '.join(strange[:5])!r:.200}, which {law.name!r} does not "
            "have; give the constitution that they were made for"
        )


def with_regressions(
    tests: TestSet, found: Sequence[tuple[str, Dialogue]], *, source: str
) -> TestSet:
    """A set with what once broke a principle as tests, each once.

    Args:
        tests: The set so far.
        found: Principle and request of each.
        source: Where they were found.

    Returns:
        The next revision; the same set where all are in it already.
    """
    known = {_asked(case.principle_id, case.dialogue) for case in tests.cases if _kept(case)}
    new = []
    for principle_id, dialogue in found:
        key = _asked(principle_id, dialogue)
        if key not in known:
            known.add(key)
            name = f"regression-{key[:16]}"
            new.append(
                TestCase(
                    id=name,
                    principle_id=principle_id,
                    kind="regression",
                    dialogue=dialogue,
                    family=name,
                    source=source,
                )
            )
    if not new:
        return tests
    return replace(tests, cases=(*tests.cases, *new), revision=tests.revision + 1)


def _kept(case: TestCase) -> bool:
    return case.kind == "regression"


def _asked(principle_id: str, dialogue: Dialogue) -> str:
    return fingerprint([principle_id, [[turn.role, turn.content] for turn in dialogue]])
