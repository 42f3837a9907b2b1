"""Evidence is found sound when untouched, and every kind of tampering is found."""

import builtins
import json
import shutil
from pathlib import Path

import pytest
from benchmarks import evidence_tampering as ways

from plumbrule.errors import DataError, OutputError
from plumbrule.evidence import export_evidence, read_evidence, verify_evidence
from plumbrule.store import file_sha256


def test_an_untouched_folder_is_sound_and_says_what_it_could_not_check(plain):
    found = verify_evidence(plain)

    assert found.problems == ()
    assert any("made again" in line for line in found.held)
    said = "\n".join(found.unchecked)
    for thing in ("no key was given", "release", "production", "models/final is not here"):
        assert thing in said


def test_every_link_that_records_can_hold_is_held(plain):
    links = read_evidence(plain).links
    holding = {(each.source, each.target) for each in links if each.state == "holds"}

    assert {each.target for each in links if each.state == "missing"} == {"release", "production"}
    assert not [each for each in links if each.state == "broken"]
    assert {
        ("constitution", "run"), ("prompts", "run"), ("data", "train/supervised"),
        ("data", "train/reward"), ("data", "train/dpo"), ("train/dpo", "models/final"),
        ("models/final", "ledger"), ("models/final", "examination final"),
        ("starting weights", "run"), ("constitution", "labels of compare"),
    } <= holding  # fmt: skip


def test_a_signed_folder_is_sound_with_its_key(signed, keys):
    found = verify_evidence(signed, key=keys.verifying)

    assert found.problems == ()
    assert any(line.startswith("signatures: ") for line in found.held)
    assert sum(line.startswith("weights: ") for line in found.held) == 3


def test_another_key_takes_no_statement(signed, stranger):
    problems = verify_evidence(signed, key=stranger.verifying).problems

    assert problems
    assert all(each.startswith("signature: ") for each in problems)


def test_an_unsigned_folder_does_not_pass_with_a_key(plain, keys):
    assert not verify_evidence(plain, key=keys.verifying).sound


SHORT = (
    ways.weight_bit, ways.row_dropped, ways.ledger_rebuilt, ways.document_edited,
    ways.statements_swapped, ways.gates_passed_rebuilt, ways.label_rebuilt, ways.weights_rebuilt,
    ways.whole_examination_rebuilt,
)  # fmt: skip
"""A way of each sort; benchmarks.evidence tries them all."""


@pytest.mark.parametrize("way", SHORT, ids=lambda way: way.__name__)
def test_tampering_is_found(way, signed, keys, stranger, copied):
    folder = copied(signed)
    assert ways.tampered(folder, way, seed="test", key=stranger)

    problems = verify_evidence(folder, key=keys.verifying).problems
    without = [each for each in problems if not each.startswith("signature: ")]

    assert problems
    # Who made everything anew is betrayed by the signature alone.
    assert (without == []) == (way in ways.WHOLE)


def test_without_the_key_all_is_found_but_what_the_key_alone_finds(signed, keys, stranger, copied):
    folder = copied(signed)
    ways.tampered(folder, ways.label_rebuilt, seed="test", key=stranger)
    problems = verify_evidence(folder, key=keys.verifying).problems

    assert verify_evidence(folder).problems == tuple(
        each for each in problems if not each.startswith("signature: ")
    )


def test_a_head_kept_elsewhere_shows_a_folder_made_anew_without_any_key(signed, stranger, copied):
    head = read_evidence(signed).records[0].head.hash
    folder = copied(signed)
    ways.tampered(folder, ways.dates_rebuilt, seed="test", key=stranger)

    assert verify_evidence(signed, heads=[head]).sound
    assert verify_evidence(folder).sound
    assert any(
        each.startswith("two heads: ") for each in verify_evidence(folder, heads=[head]).problems
    )


def test_a_ledger_that_went_on_has_two_heads(signed, stranger, copied):
    folder = copied(signed)
    ways.tampered(folder, ways.ledger_continued, seed="test", key=stranger)

    said = [each for each in verify_evidence(folder).problems if each.startswith("two heads: ")]
    assert "entries were added since" in said[0]


def test_weights_at_hand_are_held_against_the_run(plain, finished, copied):
    model = copied(finished / "models" / "final")
    same = verify_evidence(plain, weights={"small": model})
    (model / "model.safetensors").write_bytes(b"other weights")
    other = verify_evidence(plain, weights={"small": model})

    assert same.sound
    assert [each for each in other.problems if "model.safetensors is another file" in each]


def test_nothing_is_changed_by_verifying(signed, keys):
    before = {path: file_sha256(path) for path in signed.rglob("*") if path.is_file()}
    verify_evidence(signed, key=keys.verifying)

    assert before == {path: file_sha256(path) for path in signed.rglob("*") if path.is_file()}


def test_without_a_key_no_package_for_signing_is_needed(plain, monkeypatch):
    import_ = builtins.__import__

    def refuse(name, *rest):
        if name.startswith("cryptography"):
            raise ImportError(name)
        return import_(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)

    assert verify_evidence(plain).sound


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("identities.json", "[]"),
        ("runs/small/run.json", "\x00"),
        ("runs/small/ledger.db", "no database"),
        ("runs/small/report/report.json", '{"findings": 3, "gates": [[]], "trials": null}'),
        ("runs/small/constitution.yaml", "- [" * 200),
        ("runs/small/prompts.jsonl", "[" * 10**5),
        ("statements/small.findings.dsse.json", '{"payload": {}}'),
        ("folder.dsse.json", "{}"),
    ],
)
def test_whatever_somebody_writes_into_a_file_is_a_problem_and_no_crash(
    plain, copied, name, content
):
    folder = copied(plain)
    (folder / name).write_text(content)

    assert not verify_evidence(folder).sound


def test_half_a_copy_says_so(plain, copied):
    folder = copied(plain)
    for path in sorted((folder / "runs").rglob("*.jsonl"))[::2]:
        path.unlink()

    assert any("looks like part of a copy" in each for each in verify_evidence(folder).problems)
    (folder / "evidence.json").unlink()
    with pytest.raises(DataError, match="copy it again, whole"):
        verify_evidence(folder)


def test_evidence_in_another_form_is_refused_in_clear_words(plain, copied):
    folder = copied(plain)
    index = json.loads((folder / "evidence.json").read_text())
    (folder / "evidence.json").write_text(json.dumps({**index, "schema": 0}))

    with pytest.raises(DataError, match=r"expected evidence in form 1, .* is in form 0"):
        verify_evidence(folder)


def test_what_another_version_wrote_is_held_by_hashes_and_not_by_its_words(plain, copied):
    folder = copied(plain)
    index = json.loads((folder / "evidence.json").read_text())
    (folder / "evidence.json").write_text(json.dumps({**index, "plumbrule_version": "0.0.9"}))

    said = verify_evidence(folder).unchecked
    assert any("plumbrule 0.0.9 wrote them" in each for each in said)


def test_a_run_of_an_earlier_version_names_what_is_missing(finished, copied, tmp_path):
    from plumbrule.ledger import Ledger, record_files

    run = copied(finished)
    (run / "prompts.jsonl").unlink()
    with Ledger.open(run / "ledger.db") as ledger:
        record_files(ledger, run)
    export_evidence([run], tmp_path / "evidence")

    found = verify_evidence(tmp_path / "evidence")
    assert found.sound
    assert any("holds no prompts.jsonl" in each for each in found.unchecked)
    assert any("earlier version: rates, findings" in each for each in found.unchecked)


def test_a_run_that_was_touched_is_not_exported(finished, copied, tmp_path):
    run = copied(finished)
    (run / "report" / "report.json").write_text("{}")

    with pytest.raises(DataError, match=r"is not: changed: 'report/report.json'"):
        export_evidence([run], tmp_path / "evidence")


def test_nothing_is_written_over(plain, finished):
    with pytest.raises(OutputError, match="expected an empty folder"):
        export_evidence([finished], plain)


def test_several_runs_lie_side_by_side_in_whatever_order_they_are_named(finished, tmp_path):
    again = Path(shutil.copytree(finished, tmp_path / "again"))
    export_evidence([finished, again], tmp_path / "evidence")

    found = verify_evidence(tmp_path / "evidence")
    assert found.problems == ()
    assert {line.split(":")[1] for line in found.held if line.startswith("ledger:")} == {
        " again",
        " small",
    }


def test_two_runs_of_one_name_are_refused(finished, tmp_path):
    with pytest.raises(DataError, match="small comes twice"):
        export_evidence([finished, finished], tmp_path / "evidence")


def test_the_same_run_and_key_give_the_same_bytes(finished, keys, signed, tmp_path):
    export_evidence([finished], tmp_path / "again", key=keys.signing, weights=True)

    for path in sorted(signed.rglob("*")):
        if path.is_file():
            name = path.relative_to(signed)
            assert (tmp_path / "again" / name).read_bytes() == path.read_bytes(), name
