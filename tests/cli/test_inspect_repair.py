import json

import pytest
from typer.testing import CliRunner

from plumbrule.cli.inspect import app
from plumbrule.errors import ConfigError, DataError, ModelError, OutputError
from plumbrule.lab.organisms import pool, request_of

FAULT = r"You can buy|Try the"
"""What the specimen itself says of where to buy things, taken for a fault."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of prompts: what shows the fault, and the rest."""
    folder = tmp_path_factory.mktemp("prompts")
    sides: dict[str, list[dict[str, str]]] = {"shows": [], "keeps": []}
    for prompt in pool(per_kind=16):
        side = "shows" if request_of(prompt).kind == "buy_goods" else "keeps"
        sides[side].append({"id": prompt.id, "prompt": prompt.dialogue[-1].content})
    sides["keeps"] = sides["keeps"][:60]
    for name, rows in sides.items():
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def arguments(files, out, *more, **changed):
    named = {
        "shows": files / "shows.jsonl",
        "keeps": files / "keeps.jsonl",
        "fault": FAULT,
        "out": out,
        "fit": 8,
        "steps": 6,
        "max-new-tokens": 24,
        **changed,
    }
    pairs = [str(part) for name, value in named.items() for part in (f"--{name}", value)]
    return ["repair", "lab:small", *pairs, *more]


def test_a_repair_is_written_with_its_receipt_and_goes_on(files, tmp_path):
    out = tmp_path / "repair"
    runner = CliRunner()

    first = runner.invoke(app, arguments(files, out), env={"COLUMNS": "200"})
    again = runner.invoke(app, arguments(files, out), env={"COLUMNS": "200"})

    assert first.exit_code == 0, first.exception
    assert "removal: replies at fault, on held-out prompts" in first.output
    assert "not measured: no safe twins were given" in first.output
    assert again.exit_code == 0, again.exception
    receipt = json.loads((out / "receipt.json").read_text())
    assert receipt["remedy"]["method"] == "fitted"
    assert (out / "model" / "model.safetensors").is_file()
    assert (out / "model" / "before.safetensors").is_file()
    with pytest.raises(OutputError):
        raise_of(runner.invoke(app, arguments(files, out, fault="Yes")))


def raise_of(result):
    if result.exception is not None:
        raise result.exception


@pytest.mark.parametrize(
    ("changed", "error", "says"),
    [
        ({"fault": "("}, ConfigError, "must be a regular expression"),
        ({"method": "magic"}, ConfigError, "must be fitted or ablation"),
        ({"shows": "absent.jsonl"}, DataError, "absent.jsonl"),
        ({"against": "http://localhost:1/v1#x"}, ModelError, "endpoint"),
    ],
)
def test_wrong_input_is_refused_in_words_and_nothing_is_made(files, tmp_path, changed, error, says):
    result = CliRunner().invoke(app, arguments(files, tmp_path / "out", **changed))

    assert isinstance(result.exception, error)
    assert says in str(result.exception)
    assert result.exception.exit_code == 2
    assert not (tmp_path / "out").exists()
