import json
import subprocess
import sys

import pytest
from tests.constitution.builders import clean, principle
from typer.testing import CliRunner

from plumbrule.cli.constitution import app
from plumbrule.constitution import dump_constitution, load_constitution, parse_constitution
from plumbrule.errors import ConstitutionError, OutputError

MARKDOWN = """# Be kind {#be_kind authority=user}
Be kind.
~~~xml
<user>Call him names.</user>
<comparison>
<assistant> <!-- BAD -->
No.
</assistant>
</comparison>
~~~
# Remarks
Nothing of weight.
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


def fine(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refused(kind, *arguments):
    result = run(*arguments)
    assert isinstance(result.exception, kind), result.output
    return str(result.exception)


def written(tmp_path, file_name, *spoiled, **changes):
    path = tmp_path / file_name
    path.write_text(dump_constitution(clean(*spoiled, **changes)), encoding="utf-8")
    return path


def test_show_prints_tiers_principles_and_conditions():
    output = fine("show")
    shown = load_constitution("default")

    assert "Tier 0: Harmlessness, decides first" in output
    assert "Tier 2: Helpfulness\n" in output
    assert "except when the request is harmful" in output
    assert shown.sha256 in output
    for each in shown.principles:
        assert f"  {each.id}\n    {each.text}\n" in output


def test_show_prints_one_principle_in_full():
    output = fine("show", "--principle", "no-flattery")
    shown = load_constitution("default").principle("no-flattery")

    for part in (shown.text, shown.source, *shown.probes, *shown.twins):
        assert part in output
    example = shown.critique_examples[0]
    for part in (example.request, example.reply, example.critique, example.revision):
        assert part in output


def test_show_guesses_a_misspelled_principle():
    assert "did you mean `no-flattery`" in refused(
        ConstitutionError, "show", "--principle", "no-flatery"
    )


def test_show_prints_json_that_holds_everything():
    found = json.loads(fine("show", "village", "--json"))
    village = load_constitution("village")

    assert found["sha256"] == village.sha256
    assert [each["id"] for each in found["principles"]] == [each.id for each in village.principles]
    one = json.loads(fine("show", "--json", "--principle", "be-helpful"))
    assert one["id"] == "be-helpful"
    assert one["sha256"] == load_constitution("default").sha256


def test_text_can_be_neither_markup_nor_an_order_to_the_terminal(tmp_path):
    evil = principle(
        0, text="[bold]Loud[/bold] [/] \x1b[2J\u202e \u200d", probes=("[link=x]y[/link]",)
    )
    path = written(tmp_path, "evil.yaml", evil, name="[red]evil")

    for output in (
        fine("show", path),
        fine("show", path, "--principle", "about-weather"),
        fine("lint", path),
        fine("diff", "village", path),
    ):
        assert "\x1b" not in output
        assert "\u202e" not in output
    assert "[bold]Loud[/bold] [/] \\x1b[2J\\u202e \u200d" in fine("show", path)
    assert "[link=x]y[/link]" in fine("show", path, "--principle", "about-weather")


def test_lint_of_a_clean_constitution_ends_with_0():
    assert "default: 19 principles, 0 errors, 0 warnings" in fine("lint", "--strict")


def test_lint_ends_with_1_on_errors_and_prints_fixes(tmp_path):
    path = written(tmp_path, "bad.yaml", principle(0, text=""))
    result = run("lint", path)

    assert result.exit_code == 1
    assert "error empty-text about-weather:" in result.output
    assert "fix: write it out or remove the entry" in result.output
    assert "town: 10 principles, 1 error, 0 warnings" in result.output


def test_lint_lets_warnings_pass_unless_it_is_strict(tmp_path):
    path = written(tmp_path, "poor.yaml", principle(0, source=""))

    assert "warning no-source about-weather:" in fine("lint", path)
    assert run("lint", path, "--strict").exit_code == 1


def test_lint_of_a_broken_file_is_the_users_error(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("name: [")

    refused(ConstitutionError, "lint", path)


def test_diff_says_when_there_is_none(tmp_path):
    path = tmp_path / "copy.yaml"
    path.write_text(dump_constitution(load_constitution("village")), encoding="utf-8")

    assert fine("diff", "village", path) == "no difference\n"


def test_diff_prints_what_changed_and_ends_with_0(tmp_path):
    before = written(tmp_path, "before.yaml")
    after = written(tmp_path, "after.yaml", principle(0, tier=1))

    assert fine("diff", before, after) == "^ about-weather: tier 0 -> 1 (decides later)\n"


def test_import_writes_a_constitution_and_says_what_it_left_out(tmp_path):
    source = tmp_path / "House Rules.md"
    source.write_text(MARKDOWN, encoding="utf-8")
    output = fine("import", source)

    made = load_constitution(tmp_path / "house-rules.yaml")
    assert made.name == "House Rules"
    assert made.principle("be-kind").probes == ("Call him names.",)
    assert "1 principle (root 0, system 0, developer 0, user 1, guideline 0)" in output
    assert "1 probe, 0 twins, 0 critique examples; 1 thing skipped" in output
    assert "line 11 skipped section 'Remarks': its heading carries no level" in output
    assert made.sha256 in output


def test_import_takes_a_name_and_a_place(tmp_path):
    source, target = tmp_path / "a.md", tmp_path / "deep" / "b.yaml"
    source.write_text(MARKDOWN, encoding="utf-8")
    fine("import", source, "--name", "../other", "--out", target)

    assert parse_constitution(target.read_text(encoding="utf-8")).name == "../other"
    assert not (tmp_path / "a.yaml").exists()


def test_a_name_is_never_a_path(tmp_path):
    source = tmp_path / "a.md"
    source.write_text(MARKDOWN, encoding="utf-8")
    fine("import", source, "--name", "../other")

    assert (tmp_path / "other.yaml").exists()
    assert not (tmp_path.parent / "other.yaml").exists()


def test_import_overwrites_only_when_told(tmp_path):
    source, target = tmp_path / "a.md", tmp_path / "a.yaml"
    source.write_text(MARKDOWN, encoding="utf-8")
    target.write_text("precious")

    assert "--force" in refused(OutputError, "import", source)
    assert target.read_text() == "precious"
    fine("import", source, "--force")
    assert load_constitution(target).name == "a"


@pytest.mark.parametrize("data", [None, b"\xff\xfe", b"no headings"])
def test_import_of_what_is_no_markdown_constitution_writes_nothing(tmp_path, data):
    source = tmp_path / "a.md"
    if data is not None:
        source.write_bytes(data)

    refused(ConstitutionError, "import", source)
    assert not (tmp_path / "a.yaml").exists()


def test_asking_for_help_loads_nothing_heavy():
    # As a module of its own, so that the other verbs' imports do not count.
    file = sys.modules["plumbrule.cli.constitution"].__file__
    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('verb', {file!r})\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "print(sorted({'torch', 'yaml', 'pydantic', 'numpy'} & set(sys.modules)))\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


def test_drafting_says_how_far_it_is_and_keeps_the_lines(tmp_path):
    rows = [
        {"prompt": f"Word {n}?", "chosen": f"It is {n}, I think.", "rejected": "No."}
        for n in range(60)
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "draft").mkdir()  # one that is there already, and empty, will do
    said = run("inverse", "pairs.jsonl", "--out", "draft")

    assert said.exit_code in (0, 1), said.output
    lines = (tmp_path / "draft" / "progress.log").read_text().splitlines()
    assert " reading: 0 of 1" in lines[0]
    assert any("finding principles" in line or "confirming" in line for line in lines)
