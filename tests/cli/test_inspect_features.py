import json

import pytest
from typer.testing import CliRunner

from plumbrule.cli.inspect import app
from plumbrule.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    names, places = ("Mara", "Hugo", "Finn", "Anna"), ("inn", "market", "well", "harvest")
    lines = [
        {"text": f"What is the job of {name} at the {place}? I want {count} coins."}
        for name in names
        for place in places
        for count in range(6)
    ]
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return path


def invoked(*arguments):
    return CliRunner().invoke(app, ["features", *map(str, arguments)], env={"COLUMNS": "200"})


def said(*arguments):
    result = invoked(*arguments)
    assert result.exit_code == 0, result.exception
    return result.output


def refused(*arguments):
    return invoked(*arguments).exception


SMALL = ("--latents", "64", "--active", "4", "--tokens", "4000")


@pytest.fixture(scope="module")
def trained(texts, tmp_path_factory):
    out = tmp_path_factory.mktemp("features")
    labels = out / "labels.jsonl"
    rows = [json.loads(line) for line in texts.read_text().splitlines()]
    labels.write_text(
        "".join(json.dumps({**each, "label": "Mara" in each["text"]}) + "\n" for each in rows)
    )
    output = said("lab:pico", "--texts", texts, "--train", *SMALL, "--labels", labels, "--out", out)
    return out, output


def test_a_dictionary_is_trained_scored_and_set_beside_plainer_methods(trained):
    out, output = trained
    record = json.loads((out / "report.json").read_text())

    assert "of the variance explained" in output
    assert "difference of means" in output
    assert "logistic probe" in output
    assert record["baselines"]["texts"] == 48
    assert 0 < record["score"]["variance_explained"] <= 1
    assert record["features"]
    assert "Mara" in (out / "index.html").read_text()


def test_what_was_trained_is_read_again(trained, texts, tmp_path):
    out, _ = trained
    output = said(
        "lab:pico", "--texts", texts, "--dictionary", out / "dictionary", "--latent", "7",
        "--out", tmp_path,
    )  # fmt: skip

    before = json.loads((out / "report.json").read_text())
    after = json.loads((tmp_path / "report.json").read_text())
    assert after["score"] == before["score"]
    assert [each["feature"]["latent"] for each in after["features"]] == [7]
    assert "No labeled texts were given" in output


def test_a_dictionary_of_another_model_is_refused(trained, texts, tmp_path):
    error = refused(
        "lab:nano", "--texts", texts, "--dictionary", trained[0] / "dictionary", "--out", tmp_path
    )

    assert isinstance(error, DataError)
    assert "other weights" in str(error)


def test_two_models_are_read_side_by_side(texts, tmp_path):
    output = said(
        "lab:pico", "--against", "lab:pico", "--texts", texts, "--train", *SMALL, "--out", tmp_path
    )

    assert "belong to one model alone" in output
    record = json.loads((tmp_path / "report.json").read_text())
    assert record["dictionary"]["task"] == "crosscoder"
    # The same model twice: whatever is in one is in the other.
    assert not any(each["specific"] for each in record["scaled"])
    assert "Which model a latent belongs to" in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "either --train or --dictionary"),
        (("--train", "--site", "17.out"), r"17.out"),
        (("--train", "--kind", "l0"), "kind"),
        (("--train", "--latents", "8"), "active"),
    ],
)
def test_what_cannot_be_is_refused(texts, tmp_path, arguments, said):
    error = refused("lab:pico", "--texts", texts, "--out", tmp_path, *arguments)

    assert isinstance(error, ConfigError)
    assert said in str(error)
    assert not (tmp_path / "index.html").exists()
