"""What a user meets who types something wrong: one message, the right exit code, nothing lost."""

import json
import subprocess
import sys

import pytest

from plumbrule.cli.app import main


@pytest.fixture
def plumbrule(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["plumbrule", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, " ".join(captured.err.split())

    return call


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"How {n}?"}) + "\n" for n in range(40)))
    return path


def test_a_missing_constitution_is_named(plumbrule, prompts, tmp_path):
    code, _, said = plumbrule(
        "run", "--model", "lab:nano", "--prompts", prompts, "--constitution", tmp_path / "no.yaml",
        "--out", tmp_path / "out",
    )  # fmt: skip

    assert code == 2
    assert "no.yaml" in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_a_certificate_that_is_none_ends_before_any_work(plumbrule, prompts, tmp_path):
    path = tmp_path / "judge.json"
    path.write_text('{"certificate": {}}')

    code, _, said = plumbrule(
        "run", "--model", "lab:nano", "--prompts", prompts, "--certificate", path,
        "--out", tmp_path / "out",
    )  # fmt: skip

    assert code == 2
    assert "expected a judge's certificate" in said
    assert not list((tmp_path / "out").glob("stages"))


def test_a_malformed_constitution_is_named_with_its_place(plumbrule, prompts, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(
        "name: x\nversion: '1'\nprinciples:\n  - id: a\n    txt: Be kind.\n    tier: 0\n"
    )

    code, _, said = plumbrule(
        "run", "--model", "lab:nano", "--prompts", prompts, "--constitution", path,
        "--out", tmp_path / "out",
    )  # fmt: skip

    assert code == 2
    assert "txt" in said
    assert "text" in said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"promt": "a"}\n', "must have the key `prompt`"),
        (b"", "holds no prompts"),
        (b'{"prompt": "\xe9"}\n', "must be UTF-8"),
    ],
    ids=["wrong keys", "empty", "not UTF-8"],
)
def test_a_malformed_file_of_prompts_is_refused(plumbrule, tmp_path, content, message):
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(content)

    code, _, said = plumbrule(
        "run", "--model", "lab:nano", "--prompts", path, "--out", tmp_path / "out"
    )

    assert code == 2
    assert message in said


def test_a_missing_model_is_named(plumbrule, prompts, tmp_path):
    code, _, said = plumbrule(
        "run", "--model", tmp_path / "none", "--prompts", prompts, "--out", tmp_path / "out"
    )

    assert code == 2
    assert "model folder" in said


def test_half_a_request_says_what_is_missing(plumbrule, prompts):
    code, _, said = plumbrule("run", "--prompts", prompts)

    assert code == 2
    assert "expected --model, --prompts and --constitution together" in said


def test_an_unknown_field_of_a_recipe_is_named(plumbrule, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("model: lab:nano\nconstitution: village\nprompts: village\nsede: 1\n")

    code, _, said = plumbrule("run", "--recipe", path, "--out", tmp_path / "out")

    assert code == 2
    assert "sede" in said


def test_a_setting_out_of_range_is_named(plumbrule, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("model: lab:nano\nconstitution: village\nprompts: village\ncandidates: 1\n")

    code, _, said = plumbrule("run", "--recipe", path, "--out", tmp_path / "out")

    assert code == 2
    assert "at least 2" in said


def test_a_message_cannot_color_the_terminal_by_markup(plumbrule, tmp_path):
    code, _, said = plumbrule("run", "--recipe", tmp_path / "[bold]x[/bold].yaml")

    assert code == 2
    assert "[bold]x[/bold]" in said


@pytest.mark.parametrize(
    "verb", [(), ("run",), ("constitution",), ("ledger",), ("lab",), ("lab", "chat")]
)
def test_every_verb_explains_itself(plumbrule, verb):
    code, out, _ = plumbrule(*verb, "--help")

    assert code == 0
    assert len(out) > 200


def test_help_does_not_wait_for_the_heavy_libraries():
    code = (
        "import sys; from plumbrule.cli import app; "
        "print([name for name in ('torch', 'transformers', 'trl', 'datasets', 'sqlalchemy', "
        "'scipy', 'httpx', 'jinja2') if name in sys.modules])"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
