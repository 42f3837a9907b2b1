import json

import pytest
from typer.testing import CliRunner

from plumbrule.cli.inspect import app
from plumbrule.errors import ConfigError, ModelError


def said(*arguments):
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.exception
    return result.output


def test_heads_are_listed_with_their_roles_and_copying():
    few = said("heads", "lab:pico", "--sequences", "4")
    every = said("heads", "lab:pico", "--sequences", "4", "--all")

    assert "roles and" in few
    assert "0.heads.1" in every
    assert "induction" in every
    assert "positive share" in every
    assert len(every.splitlines()) > len(few.splitlines())


def test_heads_are_looked_for_in_another_model():
    found = said("heads", "lab:small", "--against", "lab:small", "--sequences", "48")
    nothing = said("heads", "lab:pico", "--against", "lab:small", "--sequences", "4", "--all")

    assert "of 12 heads recur" in found
    assert "recurs as" in found
    assert ": 0 of" in nothing
    assert "0.heads.1" in nothing


def test_the_lens_shows_each_depth_and_what_the_model_says_is_no_markup():
    output = said("lens", "lab:nano", "[bold]What[/] is the job of Mara?")

    lines = [line.split()[0] for line in output.splitlines() if line.strip()]
    assert [line for line in lines if line in ("embed", "0.out", "1.out")] == [
        "embed",
        "0.out",
        "1.out",
    ]
    assert said("lens", "lab:nano", "Mara", "--raw", "--top", "1").count("'") >= 6


def test_neurons_are_shown_with_what_activates_them(tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    lines = [json.dumps({"prompt": text}) for text in ("Where is Anna?", "[red]Who sings?[/]")]
    prompts.write_text("\n".join(lines) + "\n")

    output = said("neurons", "lab:pico", "--layer", "0", "--neuron", "3", "--prompts", str(prompts))
    without = said("neurons", "lab:pico", "--layer", "0")

    assert "1 neurons" in output
    assert "most active at" in output
    assert "20 neurons" in without
    assert "--prompts FILE.jsonl" in without


def test_weights_are_taken_apart_and_no_change_is_said_to_be_none():
    whole = said("weights", "lab:pico", "--name", "0.heads.1 OV", "--top", "1")
    change = said("weights", "lab:pico", "--against", "lab:pico")

    assert "0.heads.1 OV" in whole
    assert "structure found in 0 of" in change
    assert "did not change at all" in change


@pytest.mark.parametrize("verb", ["heads", "lens", "neurons", "weights"])
def test_help_says_what_one_sees(verb):
    output = said(verb, "--help")

    assert len(output.split()) > 80
    assert "lab:NAME" in output


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (("neurons", "lab:pico", "--layer", "7"), ConfigError, "from 0 to 0, got 7"),
        (("neurons", "lab:pico", "--layer", "0", "--neuron", "9999"), ConfigError, "got 9999"),
        (("weights", "lab:pico", "--name", "nothing"), ConfigError, "expected a matrix inside"),
        (("weights", "lab:pico", "--against", "lab:nano"), ModelError, "two models of one shape"),
        (("heads", "lab:nothing"), ModelError, "expected the name of a lab specimen"),
        (("heads", "http://localhost:1/v1#m"), ModelError, "is an endpoint"),
    ],
)
def test_wrong_input_is_refused_in_the_users_words(arguments, error, says):
    result = CliRunner().invoke(app, list(arguments))

    assert isinstance(result.exception, error)
    assert says in str(result.exception)
