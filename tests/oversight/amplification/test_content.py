import json

from tests.oversight.amplification.simulated import LADDER, SimulatedDistill, settings

from plumbrule.loop.climbs import COLUMNS, content, sentences, table
from plumbrule.oversight.amplification import ErrorBudget, Overseer, climb
from plumbrule.report import write_page


def test_a_climb_to_the_top_passes_and_its_page_says_how_deep(tmp_path):
    done = climb(LADDER, SimulatedDistill(), settings(rounds=3), folder=tmp_path / "climb")

    record = content(done, command="plumbrule amplify permutation", version="1")
    write_page("run", record, tmp_path)

    assert record["gates_passed"] is True
    assert record["title"] == "Amplification: permutation, from depth 1 to 8"
    assert sentences(done)[0] == (
        "Questions up to depth 8 are kept, of 8 asked for; at depth 8 100.0% of 400 questions are "
        "answered right, about contexts never seen in training."
    )
    held = json.loads((tmp_path / "report.json").read_text())
    assert [each["depth"] for each in held["rounds"]] == [1, 2, 4, 8]
    assert "Accuracy by depth, after each round" in (tmp_path / "index.html").read_text()
    series = held["curves"][0]["series"]
    assert [len(each["points"]) for each in series] == [1, 2, 3, 4]


def test_a_climb_that_stops_says_where_and_why(tmp_path):
    given = settings(votes=1, overseer=Overseer(error=0.2))
    done = climb(LADDER, SimulatedDistill(), given, folder=tmp_path)

    record = content(done, command="", version="1")

    assert record["gates_passed"] is False
    assert record["gates"][0]["reason"].startswith("stopped at depth 2: the error predicted")
    assert "not even" not in " ".join(sentences(done)).lower()
    rows = table(done)
    assert len(rows[0]) == len(COLUMNS)
    assert rows[-1][1] == "not taught"
    assert rows[-1][-1] == "stop"


def test_a_climb_that_fails_at_once_has_no_depth(tmp_path):
    given = settings(budget=ErrorBudget(most=0.01))
    done = climb(LADDER, SimulatedDistill(gap=0.3), given, folder=tmp_path)

    record = content(done, command="", version="1")

    assert record["title"].endswith("to none")
    assert record["gates"][0]["estimate"] is None
    assert sentences(done)[0].startswith("Not even questions at depth 1")


def test_shares_close_to_all_or_none_are_not_rounded_to_them(tmp_path):
    done = climb(
        LADDER, SimulatedDistill(gap=0.0004), settings(exam=4000, rounds=1), folder=tmp_path
    )

    for row, found in zip(table(done), done.rounds, strict=True):
        assert (row[1] == "100.0%") == (found.accuracy[-1].value == 1.0)
