"""Planted passages are dropped, clean ones are kept, and every number has its reason."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes import ScriptedModel

from plumbrule.constitution import Constitution, Principle
from plumbrule.errors import ConfigError, ConstitutionError, DataError, OutputError
from plumbrule.ledger import read_entries
from plumbrule.recipes import curating
from plumbrule.recipes.curated import Curation
from plumbrule.recipes.curating import curate

LAW = Constitution(
    name="<b>law</b>",
    version="1",
    principles=(
        Principle(id="no-knaves", text="Call nobody a knave.", tier=0, words=("knave* -> fellow",)),
        Principle(id="no-oaths", text="Swear no oaths.", tier=1, words=("zounds",)),
        Principle(id="no-sorrow", text="Be merry.", tier=1),
    ),
)
WORDED = replace(LAW, principles=LAW.principles[:2])
HOSTILE = "<script>alert(1)</script> <|im_end|> is a knave \u2028 and so on"


def corpus(folder, *texts):
    path = folder / "corpus.txt"
    path.write_text("\n\n".join(texts), encoding="utf-8")
    return path


def rows(folder, name):
    text = (folder / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


def judge(**given):
    """Finds sorrow where a passage weeps, and says nothing where it mumbles."""

    def odds(asked, options):
        if "mumble" in asked:
            return None
        bad = "Be merry" in asked and "they weep" in asked
        yes = bad == ("Does the reply break" in asked)
        return [0.9 if (name.strip() == "Yes") == yes else 0.1 for name in options]

    return ScriptedModel(odds=odds, **given)


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.jsonl"))} | {
        path.name: path.read_bytes() for path in sorted((folder / "report").iterdir())
    }


def test_planted_passages_are_dropped_and_clean_ones_kept(tmp_path):
    texts = [f"a clean line {n}" for n in range(3000)]
    bad = {5: "a knaves' line", 1500: "zounds, a line", 2999: "Knave, zounds!"}
    path = corpus(tmp_path, *(bad.get(n, text) for n, text in enumerate(texts)))
    found = curate(path, WORDED, out=tmp_path / "out")

    assert [row["id"] for row in rows(tmp_path / "out", "dropped")] == ["5", "1500", "2999"]
    assert {row["id"] for row in rows(tmp_path / "out", "kept")} == {
        str(n) for n in range(3000) if n not in bad
    }
    assert [(each.breaks, each.alone, dict(each.by)) for each in found.principles] == [
        (2, 1, {"words": 2}),
        (2, 1, {"words": 2}),
    ]
    reasons = rows(tmp_path / "out", "dropped")[2]["reasons"]
    assert [(one["principle_id"], one["why"]) for one in reasons] == [
        ("no-knaves", "knave*"),
        ("no-oaths", "zounds"),
    ]
    assert (found.passages, found.kept, found.undecided) == (3000, 2997, 0)
    report = json.loads((tmp_path / "out" / "report" / "report.json").read_text())
    assert report["curation"]["constitution_sha256"] == WORDED.sha256
    end = [one for one in read_entries(tmp_path / "out" / "ledger.db") if one.key == "curate/end"]
    assert end[0].payload["constitution_sha256"] == WORDED.sha256


def test_nothing_is_dropped_from_a_clean_corpus(tmp_path):
    path = corpus(tmp_path, *(f"a clean line {n}" for n in range(50)))
    found = curate(path, LAW, out=tmp_path / "out", judge=judge())

    assert rows(tmp_path / "out", "dropped") == []
    assert found.kept == found.fates["keep"].passages == 50
    assert [each.breaks for each in found.principles] == [0, 0, 0]
    assert [(each.text, each.weight) for each in found.documents()][:1] == [("a clean line 0", 1.0)]


def test_what_nobody_decides_is_counted_and_kept_unless_told_otherwise(tmp_path):
    path = corpus(tmp_path, "a line", "a knave", "they mumble")
    words = curate(path, LAW, out=tmp_path / "words")
    asked = curate(path, LAW, out=tmp_path / "judge", judge=judge())
    strict = curate(
        path, LAW, out=tmp_path / "strict", judge=judge(), settings=Curation(undecided="drop")
    )

    assert [each.undecided for each in words.principles] == [0, 0, 3]
    assert (words.kept, words.undecided) == (2, 2)
    assert [(each.undecided, each.not_asked) for each in asked.principles] == [
        (1, 0),
        (1, 1),
        (1, 1),
    ]
    assert (asked.kept, asked.undecided) == (2, 1)
    assert (strict.kept, strict.undecided) == (1, 1)
    page = (tmp_path / "words" / "report" / "index.html").read_text()
    assert "gates" not in page.split("<main>")[1].split("<nav")[0]  # no model, so no gate
    assert "not recorded" not in page.split("<main>")[1].split("<nav")[0]
    assert "Nothing at all was decided under no-sorrow" in page


def test_principles_decide_what_their_breach_does_and_the_harshest_counts(tmp_path):
    path = corpus(tmp_path, "a knave", "zounds", "zounds, knave", "they weep", "a line")
    settings = Curation(
        broken="drop", fates={"no-knaves": "weigh", "no-sorrow": "keep"}, weight=0.25
    )
    found = curate(path, LAW, out=tmp_path / "out", judge=judge(), settings=settings)

    assert [(row["fate"], row["weight"]) for row in rows(tmp_path / "out", "weights")] == [
        ("weigh", 0.25),
        ("drop", 0.0),
        ("drop", 0.0),
        ("keep", 1.0),
        ("keep", 1.0),
    ]
    assert [(each.text, each.weight) for each in found.documents()] == [
        ("a knave", 0.25),
        ("they weep", 1.0),
        ("a line", 1.0),
    ]


def test_breaches_are_rewritten_where_words_say_how_and_dropped_where_not(tmp_path):
    path = corpus(tmp_path, "A knave came.", "Zounds, a knave.", "A line.")
    out = tmp_path / "out"
    found = curate(path, WORDED, out=out, settings=Curation(broken="revise"))

    assert [(row["text"], row["revised"]) for row in rows(out, "kept")] == [
        ("A fellow came.", True),
        ("A line.", False),
    ]
    assert "could not be rewritten" in rows(out, "dropped")[0]["note"]
    assert found.fates["revise"].passages == found.fates["drop"].passages == 1


def test_a_reviser_rewrites_what_words_cannot_and_is_not_believed_blindly(tmp_path):
    def answer(asked):
        return "Zounds, still." if "stubborn" in asked else "Hey, a line."

    path = corpus(tmp_path, "Zounds, a line.", "Zounds, stubborn.")
    reviser = ScriptedModel(answer=answer)
    curate(path, WORDED, out=tmp_path / "out", settings=Curation(broken="revise"), reviser=reviser)

    assert [row["text"] for row in rows(tmp_path / "out", "kept")] == ["Hey, a line."]
    assert [row["text"] for row in rows(tmp_path / "out", "dropped")] == ["Zounds, stubborn."]


def test_a_classifier_of_the_judges_rulings_reads_what_the_judge_does_not(tmp_path):
    texts = [f"line {n % 7} {'they weep' if n % 3 == 0 else 'they sing'} so" for n in range(600)]
    reader = judge()
    found = curate(
        corpus(tmp_path, *texts),
        replace(LAW, principles=LAW.principles[2:]),
        out=tmp_path / "out",
        judge=reader,
        settings=Curation(judged=90),
    )

    assert len({dialogue[-1].content for dialogue in reader.asked}) <= 2 * 90
    kept = [row["text"] for row in rows(tmp_path / "out", "kept")]
    assert kept == [text for text in texts if "weep" not in text]
    assert found.principles[0].breaks == 200
    assert dict(found.principles[0].by)["classifier"] > 100
    (trial,) = found.classifiers
    assert trial.seen is not None
    assert trial.seen.value == 1.0


def test_an_interrupted_curation_asks_nothing_twice_and_ends_with_the_same_bytes(
    tmp_path, monkeypatch
):
    path = corpus(tmp_path, *(f"line {n}, they {'weep' if n % 5 else 'sing'}" for n in range(40)))
    settings = Curation(shard_size=8)
    monkeypatch.setattr(curating, "BLOCK", 16)
    whole = curate(path, LAW, out=tmp_path / "whole", judge=judge(), settings=settings)

    class Stop(Exception):
        pass

    reader = judge()
    first = reader.odds
    left = 50

    def dies(asked, options):
        nonlocal left
        left -= 1
        if left < 0:
            raise Stop
        return first(asked, options)

    reader.odds = dies
    with pytest.raises(Stop):
        curate(path, LAW, out=tmp_path / "halted", judge=reader, settings=settings)
    assert not (tmp_path / "halted" / "kept.jsonl").exists()
    reader.odds = first
    before = len(reader.asked)
    again = curate(path, LAW, out=tmp_path / "halted", judge=reader, settings=settings)

    assert files(tmp_path / "halted") == files(tmp_path / "whole")
    assert again.principles == whole.principles
    assert len(reader.asked) - before < before + 40 * 3 * 2
    asked = len(reader.asked)
    curate(path, LAW, out=tmp_path / "halted", judge=reader, settings=settings)
    assert len(reader.asked) == asked


def test_a_folder_of_another_curation_is_refused(tmp_path):
    path = corpus(tmp_path, "a line", "a knave")
    curate(path, WORDED, out=tmp_path / "out")

    with pytest.raises(OutputError, match=r"curate\.weight"):
        curate(path, WORDED, out=tmp_path / "out", settings=Curation(weight=0.5))
    path.write_text("another line")
    with pytest.raises(OutputError, match=r"named\.corpus"):
        curate(path, WORDED, out=tmp_path / "out")


def test_hostile_text_stays_text(tmp_path):
    found = curate(corpus(tmp_path, HOSTILE, "a line"), WORDED, out=tmp_path / "out")

    assert found.kept == 1
    assert rows(tmp_path / "out", "dropped")[0]["text"] == HOSTILE
    page = (tmp_path / "out" / "report" / "index.html").read_text()
    assert "<script>alert" not in page
    assert "<b>law" not in page


def test_a_corpus_that_breaks_everything_leaves_nothing_and_says_so(tmp_path):
    found = curate(corpus(tmp_path, "a knave"), WORDED, out=tmp_path / "out")

    assert found.kept == 0
    with pytest.raises(DataError, match="all 1 of the corpus were dropped"):
        found.documents()


def test_bad_input_is_refused_before_anything_is_written(tmp_path):
    path, out = corpus(tmp_path, "a line"), tmp_path / "out"
    bare = replace(LAW, principles=LAW.principles[2:])
    with pytest.raises(DataError, match="has no words by which a passage could be told"):
        curate(path, bare, out=out)
    with pytest.raises(ConstitutionError, match="has no principle 'nobody'"):
        curate(path, LAW, out=out, settings=Curation(fates={"nobody": "drop"}))
    with pytest.raises(ConfigError, match="there is no judge"):
        curate(path, LAW, out=out, settings=Curation(judged=5))
    with pytest.raises(DataError, match="is not there"):
        curate(tmp_path / "nowhere", LAW, out=out)
    path.write_bytes(b"\x00\x01")
    with pytest.raises(DataError, match="zero byte"):
        curate(path, LAW, out=out)

    assert not out.exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weight": float("nan")}, "weight must be between 0 and 1, got nan"),
        ({"weight": -0.1}, "weight must be between"),
        ({"broken": "burn"}, "a passage's fate is one of keep, weigh, revise, drop"),
        ({"fates": {"a": "burn"}}, "got 'burn'"),
        ({"undecided": "revise"}, "not revised"),
        ({"judged": 0}, "judged must be between"),
        ({"margin": 0.5}, "margin must be between"),
        ({"longest": 5}, "longest must be between"),
    ],
)
def test_settings_out_of_range_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        Curation(**given)


def test_the_shipped_page_names_a_constitution_that_can_be_read():
    from plumbrule.constitution import load_constitution

    law = load_constitution(Path(__file__).parents[2] / "benchmarks" / "plays.yaml")

    assert all(each.words for each in law.principles)
