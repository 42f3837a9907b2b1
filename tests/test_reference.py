"""Every public name is in the API reference, and says what it is."""

import importlib.util
import json
import re
from importlib import import_module
from pathlib import Path

import pdoc.doc
import pytest

import plumbrule

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("docs/**/*.ipynb"))]
IMPORTED = re.compile(r"from (plumbrule[\w.]*) import (\([^)]*\)|[^\n]*)")
NAMED = re.compile(r"\bplumbrule((?:\.[a-z_]\w*)+(?:\.[A-Z]\w*)?)")

spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
assert spec is not None
assert spec.loader is not None
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)

MODULES = {name: pdoc.doc.Module(import_module(name)) for name in reference.load()}


def text_of(page):
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n".join("".join(each["source"]) for each in cells)
    return re.sub(r"^(>>>|\.\.\.) ?", "", text, flags=re.MULTILINE)


def named_in(text):
    """Every name of the package that a text names, with its dots."""
    for module, names in IMPORTED.findall(text):
        for name in re.split(r"[,\s]+", names.split("#")[0].strip("() \n")):
            if name.isidentifier():
                yield f"{module}.{name}"
    for path in NAMED.findall(text):
        name = f"plumbrule{path}"
        if importable(name) or importable(name.rpartition(".")[0]):
            yield name


def importable(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def in_reference(name):
    module, _, last = name.rpartition(".")
    return name in MODULES or (module in MODULES and last in MODULES[module].members)


def test_every_name_that_the_documents_name_is_in_the_reference():
    named = {name for page in PAGES for name in named_in(text_of(page))}

    assert {name for name in named if not in_reference(name)} == set()


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_says_what_it_is(module):
    found = MODULES[module]
    offered = getattr(found.obj, "__all__", [name for name in found.members if name[0] != "_"])

    assert found.docstring.strip()
    assert {name for name in offered if name not in found.members} == set()
    silent = {name for name in offered if not found.members[name].docstring.strip()}
    # A constant says what it is where it is set, which a package that passes it on does not show.
    assert {each for each in silent if found.members[each].kind != "variable"} == set()


def test_the_tool_itself_is_in_it():
    assert set(plumbrule.__all__) <= set(MODULES["plumbrule"].members)


def test_names_in_every_form_are_seen():
    text = "from plumbrule.models import (\n  open_model,\n  Sampling)\n`plumbrule.loop.plan(x)`"

    assert set(named_in(text)) == {
        "plumbrule.models.open_model",
        "plumbrule.models.Sampling",
        "plumbrule.models",
        "plumbrule.loop.plan",
    }
