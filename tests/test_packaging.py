"""What is shipped says the same everywhere, and the page on installing names all of it."""

import re
import tomllib
from pathlib import Path

from plumbrule.evidence.page import VERIFIER
from plumbrule.version import __version__

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INSTALLING = (ROOT / "docs" / "installing.md").read_text()


def test_the_version_is_the_same_in_both_places():
    assert PROJECT["version"] == __version__


def test_every_extra_is_on_the_page_about_installing():
    for extra in PROJECT["optional-dependencies"]:
        assert f"`plumbrule[{extra}]`" in INSTALLING


def test_extras_are_pinned_in_the_lock():
    lock = (ROOT / "requirements.lock").read_text()
    for needed in PROJECT["optional-dependencies"].values():
        for each in needed:
            name = re.split(r"[^\w-]", each)[0]
            assert re.search(rf"^{name}==", lock, flags=re.MULTILINE | re.IGNORECASE), name


def test_the_container_brings_a_python_that_the_package_names():
    bases = set(re.findall(r"^FROM python:(\d+\.\d+)", (ROOT / "Containerfile").read_text(), re.M))
    named = {each.rpartition(" ")[2] for each in PROJECT["classifiers"] if "3." in each}

    assert bases
    assert bases <= named


def test_what_the_page_of_evidence_installs_stands_in_the_document_too():
    assert f"../verifier/bin/pip install {' '.join(VERIFIER)}\n" in (
        ROOT / "docs" / "evidence.md"
    ).read_text(encoding="utf-8")
