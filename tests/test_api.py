"""The tool from Python: a thin call of what the command line calls."""

import gc
import json
import subprocess
import sys
from dataclasses import replace

import pytest
from benchmarks.synthetic_papers import make_paper
from tests.fakes import ScriptedModel

import plumbrule as pr
from plumbrule.behavior import verify_comparison
from plumbrule.compliance import OracleJudgment, readable_tests
from plumbrule.constitution import load_constitution
from plumbrule.errors import ConfigError, DataError, OutputError
from plumbrule.lab import village_prompts
from plumbrule.lab.circuits import TASKS, save_circuit
from plumbrule.loop.verifying import page_problems
from plumbrule.mechanism import capture, find_sites
from plumbrule.oversight.papers import verify_paper_review
from plumbrule.recipes import village_oracle
from plumbrule.recipes.village_tests import village_tests
from plumbrule.records import Message, Prompt

DECLINES = "I'm sorry, but I can't help with that."
TEXTS = [f"Question {number} on {topic}?" for number in range(40) for topic in ("bread", "boats")]


def endpoint(name, changed=""):
    return ScriptedModel(
        answer=lambda asked: DECLINES if changed and changed in asked else f"One may. {len(asked)}",
        identity=name,
        spec=name,
    )


@pytest.fixture(scope="module")
def nano():
    return pr.open_model("lab:nano", dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def found():
    return pr.compare(
        endpoint("base"), endpoint("<b>tuned</b>", "bread"), TEXTS, budget=600, localize=False
    )


def test_importing_it_brings_nothing_heavy():
    heavy = "('torch', 'numpy', 'typer')"
    code = f"import sys, plumbrule; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_the_module_runs_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "plumbrule", "--help"], capture_output=True, text=True, check=True
    )

    assert "compare" in done.stdout


def test_every_name_that_is_offered_is_there():
    assert {name for name in pr.__all__ if not hasattr(pr, name)} == set()
    assert set(pr.__all__) <= set(dir(pr))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pr.nothing


def test_a_comparison_of_plain_strings_tells_what_changed(found, tmp_path):
    (first, *_) = found.findings

    assert first.hypothesis.property.text == "refusal"
    assert any("declines more often" in line for line in found.summary)
    page = found.save(tmp_path / "kept")
    assert "declines more often" in page.read_text()
    assert page.with_name("report.json").exists()


def test_results_are_tables_and_show_themselves(found):
    table = found.to_dataframe()

    assert len(table) == len(found.comparison.verdicts)
    assert table["confirmed"].sum() == len(found.findings)
    row = table[table["confirmed"]].iloc[0]
    assert row["low"] <= row["change"] <= row["high"]
    shown = found._repr_html_()
    assert "<h3>" in shown
    assert "<b>" not in shown


def test_a_table_without_a_row_has_its_columns():
    same = pr.compare(endpoint("base"), endpoint("other"), TEXTS, budget=100, localize=False)

    assert not len(same.findings)
    assert list(same.to_dataframe()[["confirmed", "where", "change"]]) == [
        "confirmed",
        "where",
        "change",
    ]


def test_a_comparison_in_a_folder_can_be_verified(tmp_path):
    given = (endpoint("base"), endpoint("tuned", "bread"), TEXTS)
    options = {"out": tmp_path / "c", "budget": 600, "localize": False}

    first, again = pr.compare(*given, **options), pr.compare(*given, **options)

    assert all(each.holds for each in verify_comparison(tmp_path / "c"))
    assert (tmp_path / "c" / "report" / "index.html").exists()
    assert first.summary == again.summary


def test_a_model_is_looked_into_by_its_own_methods(nano):
    texts = ["Who is Anna?", "Where does Udo live?"]
    rows = [nano.tokens(text) for text in texts]
    expected = capture(nano.module, find_sites(nano.module), rows, ["1.out"])

    found = nano.capture(texts, "1.out")

    for one, other in zip(found.values["1.out"], expected.values["1.out"], strict=True):
        assert (one == other).all()
    assert nano.capture(texts[0], ["0.out"], positions="last").values["0.out"][0].ndim == 1
    assert nano.logit_lens(texts[0]).shape[0] == len(nano.sites.layers) + 1


def test_heads_neurons_and_matrices_are_read_by_methods(nano):
    neurons = nano.neurons(1, ["Who is Anna?"], neurons=[3, 5])
    matrices = nano.weight_directions(against=pr.open_model("lab:nano"), names=None, top=1)

    assert [each.neuron for each in neurons] == [3, 5]
    assert len(neurons[0].reads) > 0
    assert {each.norm for each in matrices} == {0.0}
    assert len(nano.find_copying()) == len(nano.find_heads()) // 3


def test_patching_and_circuits_take_texts(nano):
    pairs = [
        {
            "clean": f"Who is {one}?",
            "corrupted": f"Who is {other}?",
            "right": " Anna",
            "wrong": " Udo",
        }
        for one, other in (("Anna", "Udo"), ("Mara", "Elsa"))
    ]
    patched = nano.patch(**pairs[0])

    assert len(patched.cells) == len(nano.sites.named("out"))
    assert patched.clean != patched.corrupted
    with pytest.raises(DataError, match="at least 8 pairs"):
        nano.find_circuit(pairs)
    with pytest.raises(ConfigError, match="got both"):
        nano.find_circuit(pairs, task="copying")


def finds_all_well(exchanges):
    names = [each.id for each in load_constitution("village").principles]
    return [
        OracleJudgment(
            exchange_id=each.id,
            manner="helps",
            right=True,
            verdicts=dict.fromkeys(names, "pass"),
        )
        for each in exchanges
    ]


@pytest.mark.parametrize("verb", [pr.comply, pr.red_team])
def test_an_examination_leaves_a_folder_only_where_one_is_named(tmp_path, monkeypatch, verb):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    given = {"judge": finds_all_well, "constitution": "village"}
    given |= {"most_asked": 4} if verb is pr.comply else {"budget": 8}
    verb(endpoint("asked"), **given)
    assert list(tmp_path.iterdir()) == []

    found = verb(endpoint("asked"), out=tmp_path / "kept", **given)
    assert found.summary
    assert (tmp_path / "kept" / "report" / "index.html").exists()


@pytest.mark.parametrize("verb", [pr.comply, pr.red_team])
def test_the_villages_answer_key_is_asked_only_what_it_knows(verb):
    given = {"most_asked": 4} if verb is pr.comply else {"budget": 8}
    found = verb(endpoint("asked"), constitution="village", judge=village_oracle, **given)

    assert found.summary
    (note,) = [each for each in found.content["notes"] if "left out" in each]
    assert "the answer key knows no such request" in note


def test_requests_that_an_answer_key_does_not_know_are_left_out_and_counted():
    known = village_tests(tempting=1, deserving=1)
    strange = replace(known.cases[0], id="king", dialogue=(Message("user", "Who is king?"),))
    more = replace(known, cases=(*known.cases, strange))

    assert readable_tests(known, village_oracle) == (known, ())
    left, (note,) = readable_tests(more, village_oracle)
    assert left == known
    assert note.startswith(f"1 of {len(more.cases)} tests are left out: the answer key knows no")
    assert readable_tests(more, endpoint("reads everything")) == (more, ())
    with pytest.raises(DataError, match="it knows none of 1: the village has no request like"):
        readable_tests(replace(more, cases=(strange,)), village_oracle)


def test_a_circuit_is_a_result_with_table_drawing_and_files(tmp_path):
    known = TASKS["pairing"].build(0, family="llama")
    save_circuit(known, tmp_path / "model", pairs=64, seed=1)
    lines = (tmp_path / "model" / "pairs.jsonl").read_text("utf-8").splitlines()
    model = pr.open_model(str(tmp_path / "model"), dtype="float32", device="cpu")
    assert isinstance(model, pr.Model)

    found = model.find_circuit([json.loads(line) for line in lines[:32]])

    edges = {(each.edge.writer, each.edge.reader) for each in found.findings}
    assert edges == set(known.edges)
    table = found.to_dataframe()
    assert table["confirmed"].sum() == len(known.edges)
    assert f"{len(known.edges)} of 82 edges confirmed" in found.summary[0]
    assert "<svg" in found._repr_html_()
    assert found.save(tmp_path / "found").read_text("utf-8") == found.report.drawing()
    record = json.loads((tmp_path / "found" / "circuit.json").read_text("utf-8"))
    assert record["model"] == str(tmp_path / "model")


def test_a_run_from_python_is_the_run_of_the_command(tmp_path):
    small = {"epochs": 1, "learning_rate": 1e-3, "max_tokens": 512}
    own = {
        text
        for principle in load_constitution("village").principles
        for text in (*principle.probes, *principle.twins)
    }
    asked = [
        each
        for each in village_prompts(tempting=6, honesty=2, deserving=3)
        if not each.held_out and each.dialogue[-1].content not in own
    ]

    done = pr.align(
        "lab:nano",
        asked,
        out=tmp_path / "run",
        constitution="village",
        judging_prompts="village",
        dtype="float32",
        sampling={"max_new_tokens": 24, "temperature": 0.5},
        supervised=small,
        reward=small,
        dpo=small,
        most_compared=24,
        examine_between=False,
        comparison=None,
    )

    table = done.to_dataframe()
    assert done.gates_passed == done.content["gates_passed"]
    assert (done.model / "config.json").exists()
    assert (done.report / "index.html").exists()
    assert set(table["stage"]) == {"before", "final"}
    assert set(table["principle"]) <= {each["id"] for each in done.content["principles"]}
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    assert list(done.findings) == list(done.content["findings"])
    assert "<p>" in done._repr_html_()


BAD = make_paper(5, flaws=["wrong_p_value", "missing_entry"], pages=3).markdown


def test_a_review_is_that_of_the_command(tmp_path):
    paper = tmp_path / "paper.md"
    paper.write_text(BAD)

    found = pr.review(paper, out=tmp_path / "r")
    again = pr.review(out=tmp_path / "r")

    assert found.outcome == "fail"
    assert {each["kind"] for each in found.findings} >= {"p-value", "missing_entry"}
    assert any("method" in line for line in found.summary)
    assert found.closed_because == again.closed_because != ()
    assert again.findings == found.findings
    assert verify_paper_review(tmp_path / "r").sound
    table = found.to_dataframe()
    assert len(table) == len(found.findings)
    assert "Results" in set(table["place"])
    assert "<p>high: " in found._repr_html_()


def test_a_review_without_a_folder_is_kept_until_it_is_saved(tmp_path):
    (tmp_path / "paper.md").write_text(BAD)
    found = pr.review(tmp_path / "paper.md")
    folder = found.folder

    page = found.save(tmp_path / "kept")

    assert page.is_file()
    assert verify_paper_review(tmp_path / "kept").sound
    assert page_problems(tmp_path / "kept") == []
    with pytest.raises(OutputError, match="holds something"):
        found.save(tmp_path)
    del found
    gc.collect()
    assert not folder.exists()


def test_a_review_needs_a_paper_or_a_folder(tmp_path):
    with pytest.raises(ConfigError, match="got neither"):
        pr.review()
    with pytest.raises(ConfigError, match="got none"):
        pr.review(out=tmp_path, bibliography="a.bib")
    with pytest.raises(ConfigError, match="holds none"):
        pr.review(out=tmp_path)
    with pytest.raises(DataError, match="no file at"):
        pr.review(tmp_path / "none.md", out=tmp_path / "r")


def test_prompts_may_be_texts_records_or_a_file(tmp_path):
    record = Prompt(id="mine", dialogue=(Message("user", "Why?"),))
    file = tmp_path / "p.jsonl"
    file.write_text('{"prompt": "How?"}\n')

    assert [each.dialogue[-1].content for each in pr.as_prompts(["How?", record, "How?"])] == [
        "How?",
        "Why?",
    ]
    assert [each.dialogue[-1].content for each in pr.as_prompts(str(file))] == ["How?"]
    for wrong, says in (([], "got none"), ([" "], "prompt 1 is empty"), ("How?", "got one text")):
        with pytest.raises(DataError, match=says):
            pr.as_prompts(wrong)
