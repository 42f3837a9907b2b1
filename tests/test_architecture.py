"""Who may import whom: arrows point down, and the stages meet only through the core."""

import ast
from pathlib import Path

import pytest
from benchmarks.house_counts import circles, doubled, import_graph, imported_files

import plumbrule

ROOT = Path(plumbrule.__file__).parent
STAGES = {"training", "compliance", "behavior", "mechanism", "oversight", "drafting", "monitoring"}
LAYERS = {
    "version": set(),
    "errors": set(),
    "records": {"errors"},
    "store": {"errors", "records"},
    "statistics": {"errors", "records"},
    "constitution": {"errors", "records", "store"},
    "models": {"errors", "records", "store"},
    "ledger": {"errors", "records", "store"},
    "data": {"errors", "records", "store", "constitution"},
    "folders": {"errors", "records", "store"},
    "files": {"errors"},
    "scaling": {"version", "errors", "records", "store"},
    "local_pages": {"errors"},
}
CORE = {*LAYERS, "judging", "people"} - {"scaling"}
LAYERS["judging"] = CORE - {"judging", "people", "data"}
LAYERS["people"] = {
    "errors", "records", "store", "statistics", "constitution", "ledger", "local_pages"
}  # fmt: skip
LAYERS |= {stage: CORE for stage in STAGES}
LAYERS["lab"] = CORE
LAYERS["report"] = {"errors", "records", "store"}
LAYERS["serving"] = {"errors", "files", "local_pages", "report"}
LAYERS["internalization"] = CORE | STAGES
LAYERS["loop"] = CORE | STAGES | {"internalization", "report"}
LAYERS["evidence"] = LAYERS["loop"] | {"loop"}
LAYERS["recipes"] = CORE | STAGES | {"internalization", "loop", "lab", "report"}
LAYERS["results"] = CORE | STAGES | {"internalization", "loop", "report"}
LAYERS["opened_model"] = LAYERS["results"] | {"results"}
LAYERS["api"] = LAYERS["results"] | {"results", "opened_model", "serving"}
LAYERS["cli"] = CORE | STAGES | {
    "internalization", "loop", "lab", "recipes", "report", "evidence", "scaling", "serving",
}  # fmt: skip


def part(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(source):
    """First-level parts that a file imports; ruff bans relative imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in found if name.startswith("plumbrule.")} & set(LAYERS)


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_imports_only_what_lies_below_it(path):
    if part(path) in ("__init__", "__main__"):
        return
    above = imports(path.read_text(encoding="utf-8")) - LAYERS[part(path)] - {part(path)}

    assert not above, f"{path.relative_to(ROOT)} imports {above}"


def test_no_file_imports_itself_in_a_circle():
    assert [sorted(each) for each in circles(import_graph())] == []


def test_a_circle_is_seen_however_its_files_import_each_other():
    files = {
        "a": "from b import x",
        "b": "def late():\n    import c\n",
        "c": "if TYPE_CHECKING:\n    from a import X\n",
        "d": "import a",
    }
    graph = {name: imported_files(source, files) for name, source in files.items()}

    assert circles(graph) == {frozenset("abc")}


def test_one_class_name_means_one_thing():
    assert doubled() == []


def test_only_one_file_knows_trl():
    users = [
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if "import trl" in path.read_text("utf-8") or "from trl" in path.read_text("utf-8")
    ]

    assert users == ["training/trl.py"]


def test_every_form_of_import_is_seen():
    source = (
        "import plumbrule.cli\nfrom plumbrule import loop\nfrom plumbrule.lab.text import read\n"
    )

    assert imports(source) == {"cli", "loop", "lab"}
