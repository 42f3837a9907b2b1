"""A run's judge with its certificate: checked before it grades, said in the report."""

import pytest
from tests.loop.test_trials import WORDS, law, sees

from plumbrule.errors import DataError
from plumbrule.judging import LabeledReply, Standing, certify_judge, conclude, known_replies
from plumbrule.judging.trial import try_judge
from plumbrule.loop.certified import certified_rates, check_certificate, say_certificate
from plumbrule.loop.steps import Jury

LAW = law()


def standing(model):
    known = known_replies(LAW)
    told = try_judge(model, known, LAW, prompts=WORDS, seeds=[0] * len(known))
    return Standing(trial=conclude(model.identity, told, LAW))


def jury(model, principle="kind", known=None):
    labels = [
        LabeledReply(request="Q?", reply=f"{word} {principle} {n}", principle=principle, broken=bad)
        for word, bad in (("BROKEN", True), ("KEPT", False))
        for n in range(10)
    ]
    found = standing(model)
    held = certify_judge(
        model, labels, LAW, prompts=WORDS, standing=found if known is None else known
    )
    return Jury(
        constitution=LAW, prompts=WORDS, critic=model, judge=model, judge_standing=found,
        certificate=held,
    )  # fmt: skip


def test_a_certificate_made_with_the_same_borders_fits(tmp_path):
    check_certificate(jury(sees("kind")), tmp_path)


def test_one_made_without_is_refused_and_told_how_to_be_made(tmp_path):
    with pytest.raises(DataError, match=f"--run DIR.*here {tmp_path}, which keeps"):
        check_certificate(jury(sees("kind"), known=Standing()), tmp_path)


def test_a_certificate_about_nothing_that_is_graded_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"judge grades \(kind\), got one about brief"):
        check_certificate(jury(sees("kind"), principle="brief"), tmp_path)


def test_without_one_the_report_says_how_to_get_one():
    nobody = Jury(constitution=LAW, prompts=WORDS, critic=sees(), judge=sees())

    assert certified_rates([], nobody, file=None) is None
    (line,) = say_certificate(None)
    assert "own word" in line
    assert "plumbrule judge certify --run DIR" in line


def test_an_old_one_is_said_to_be_old():
    found = {
        "principles": [{}], "file": "judge.json", "spec": "m", "dated": "2020-01-01",
        "labels": 90, "source": "human", "old": True,
    }  # fmt: skip
    (line,) = say_certificate(found)

    assert "certificate judge.json of m, dated 2020-01-01, from 90 labeled replies (human)" in line
    assert "It is old" in line
