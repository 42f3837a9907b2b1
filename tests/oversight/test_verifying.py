import shutil
from dataclasses import replace

import pytest
from benchmarks.review_trail import WAYS, Rows, chained, make_review, tamper
from tests.oversight.reviews import Says, failing, run

from plumbrule.errors import ConfigError, DataError
from plumbrule.ledger import read_entries
from plumbrule.oversight import overrule, send_back, verify_review
from plumbrule.oversight.records import ReportedFlaw
from plumbrule.oversight.trail import read_records


def test_a_hundred_tamperings_are_all_noticed_and_placed():
    tried = tamper(100, seed=1)

    assert {each.way for each in tried} == {way.__name__ for way in WAYS}
    assert [each for each in tried if not each.noticed] == []
    assert [each for each in tried if not each.placed] == []


def test_an_untouched_review_is_sound_and_gives_its_verdict_again(tmp_path):
    bad = Says(answers={"root/sum": failing("The sum is 4.")})
    done = run(tmp_path, bad, Says(name="judge", kind="model"))
    found = verify_review(tmp_path, expected_head=done.head)

    assert found.sound
    assert found.complete
    assert found.verdict == done.verdict
    assert found.head == done.head


def test_every_state_of_a_review_on_its_way_is_sound(tmp_path):
    run(tmp_path, Says(), Says(name="judge", kind="model"))
    overrule(tmp_path, "root/sum", "fail", person="Ada", reason="No.")
    assert verify_review(tmp_path).complete
    send_back(tmp_path, "root/sum", "Why?", person="Ada", to=["judge"])
    waiting = verify_review(tmp_path)

    assert waiting.sound
    assert not waiting.complete


def test_one_who_writes_everything_anew_is_caught_by_a_head_kept_elsewhere(tmp_path):
    done = run(tmp_path / "true", Says(), Says(name="judge", kind="model"))
    forged = Says(answers={"root/sum": failing("The sum is 4.")})
    run(tmp_path / "forged", forged, Says(name="judge", kind="model"))

    assert verify_review(tmp_path / "forged").sound
    assert not verify_review(tmp_path / "forged", expected_head=done.head).sound


def test_a_review_forged_whole_under_the_old_head_is_caught(tmp_path):
    make_review(tmp_path / "true", seed=1)
    make_review(tmp_path / "forged", seed=2)
    shutil.copy(tmp_path / "true" / "ledger.head", tmp_path / "forged")
    found = verify_review(tmp_path / "forged")

    assert not found.sound
    assert any(problem.place.startswith("ledger entry") for problem in found.problems)


def test_a_verdict_that_its_reports_do_not_give_is_named(tmp_path):
    run(tmp_path, Says(), Says(name="judge", kind="model"))
    ledger = Rows(tmp_path / "ledger.db")
    rows = ledger.read()
    rows[-1]["payload"] = rows[-1]["payload"].replace('"outcome":"pass"', '"outcome":"fail"')
    ledger.write(chained(rows))
    found = verify_review(tmp_path)

    assert any("another verdict" in problem.detail for problem in found.problems)
    assert found.verdict is not None
    assert found.verdict.outcome == "pass"


@pytest.mark.parametrize("gone", ["ledger.db", "ledger.head", "manifest.json", "review.json"])
def test_a_missing_or_broken_file_is_named(tmp_path, gone):
    run(tmp_path, Says(), decompose=None)
    (tmp_path / gone).write_bytes(b"\xff\x00 no")
    assert any(gone in problem.place for problem in verify_review(tmp_path).problems)
    (tmp_path / gone).unlink()
    assert any(gone in problem.place for problem in verify_review(tmp_path).problems)


def test_verifying_changes_nothing(tmp_path):
    run(tmp_path, Says(), decompose=None)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    verify_review(tmp_path)

    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_every_record_is_in_the_ledger(tmp_path):
    done = run(tmp_path, Says(), Says(name="judge", kind="model"))
    kinds = [entry.kind for entry in read_entries(tmp_path)]

    assert kinds.count("review report") == done.verdict.tally.asked
    assert kinds.count("review plan") == 3  # one a level
    assert kinds.count("review manifest") == kinds.count("review verdict") == 1


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="folder of a review"):
        verify_review(tmp_path / "none")


def test_a_review_in_the_form_of_another_version_is_refused_and_not_called_altered(
    tmp_path, monkeypatch
):
    run(tmp_path / "r", Says())
    monkeypatch.setattr("plumbrule.oversight.trail.FORM", 3)

    for read in (verify_review, read_records):
        with pytest.raises(DataError, match=r"form 3, .* holds one of form 2; use the version"):
            read(tmp_path / "r")


def test_flaws_are_kept_as_records_and_their_words_are_evidence(tmp_path):
    wrong = failing("green")
    flaw = ReportedFlaw(severity="low", kind="color", message="not green", quotes=wrong.evidence)
    told = replace(wrong, flaws=(flaw,))
    done = run(tmp_path / "r", Says(answers={"root/sum": told}))

    found = read_records(tmp_path / "r").reports
    [report] = [each for each in found if (each.task_id, each.specialist) == ("root/sum", "tool")]
    assert report.flaws == (flaw,)
    assert done.verdict.outcome == "fail"
    lost = run(tmp_path / "s", Says(answers={"root/sum": replace(told, evidence=())}))
    [report] = [node.current[0] for node in lost.root.walk() if node.task.id == "root/sum"]
    assert (report.verdict, report.failure) == ("not checked", "error")
