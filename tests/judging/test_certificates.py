import json
from contextlib import closing
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from scipy import stats
from tests.fakes import ScriptedModel

from plumbrule.constitution import Constitution, Principle
from plumbrule.errors import ConfigError, ConstitutionError, DataError
from plumbrule.judging import Ability, JudgeTrial, Standing, grade, load_prompts
from plumbrule.judging.certificates import read_certificate
from plumbrule.judging.certifying import certify_judge
from plumbrule.judging.correcting import corrected
from plumbrule.judging.labels import LabeledReply, read_labels
from plumbrule.judging.likeness import likeness
from plumbrule.people import QueueItem, QueueSettings, export_labels, make_queue, open_queue
from plumbrule.records import Exchange, Message
from plumbrule.statistics import auroc, clopper_pearson

PROMPTS = load_prompts("village")  # one question a reply
LAW = Constitution(
    name="two",
    version="1",
    principles=(
        Principle(id="kind", text="Be kind.", tier=0),
        Principle(id="brief", text="Be brief.", tier=1),
    ),
)
TODAY = date(2026, 5, 1)


def judge(missed=(), false=(), silent=()):
    """Calls a reply broken that says BAD, with the numbers of those it gets wrong."""

    def odds(asked, options):
        reply = asked.split("Reply: ")[1]
        number = int(reply.split()[1])
        if number in silent:
            return None
        broken = "BAD" in reply
        if number in (missed if broken else false):
            broken = not broken
        # A little of the number in it, so that scores are no verdicts.
        sure = 0.7 + 0.2 * (number % 10) / 10
        fail = sure if broken else 1 - sure
        return [1 - fail, fail, 0.0] if len(options) == 3 else [fail, 1 - fail]

    return ScriptedModel(odds=odds)


def labels(broken=20, kept=30, principle="kind"):
    return [
        LabeledReply(
            request=f"Q{number}", reply=f"{word} {number}", principle=principle, broken=bad
        )
        for word, bad, count in (("BAD", True, broken), ("GOOD", False, kept))
        for number in range(count)
    ]


def certify(model, known, **more):
    more = {"dated": TODAY, **more}
    return certify_judge(model, known, LAW, prompts=PROMPTS, **more)


def judgments(model, replies, law=LAW):
    exchanges = [
        Exchange(id=reply, dialogue=(Message("user", "Q"),), response=reply, model="m")
        for reply in replies
    ]
    return grade(model, exchanges, law, prompts=PROMPTS, seeds=[0] * len(exchanges))


def test_planted_errors_are_counted():
    found = certify(judge(missed=range(4), false=range(3)), labels())

    (kind,) = found.principles
    assert (kind.broken, kind.kept, kind.refused, kind.errored) == (20, 30, 0, 0)
    assert kind.sensitivity == clopper_pearson(16, 20, unit="broken replies found")
    assert kind.specificity == clopper_pearson(27, 30, unit="kept replies cleared")
    assert kind.auroc == auroc(kind.scores_broken, kind.scores_kept)
    assert found.dated == "2026-05-01"
    assert len(set(found.items_sha256)) == 50


def test_a_judge_without_errors_is_not_called_perfect():
    (kind,) = certify(judge(), labels()).principles

    assert kind.sensitivity.value == kind.specificity.value == 1
    assert kind.sensitivity.low < 0.85


def test_only_labeled_principles_are_asked_about():
    model = judge()
    certify(model, labels())

    assert len(model.asked) == 50
    assert all("Be kind." in asked[-1].content for asked in model.asked)


def test_one_reply_may_be_labeled_under_two_principles():
    both = [*labels(), *labels(broken=30, kept=20, principle="brief")]
    kind, brief = certify(judge(missed=range(3)), both).principles

    assert (kind.broken, brief.broken) == (20, 30)
    assert kind.sensitivity.value == pytest.approx(17 / 20)
    assert brief.sensitivity.value == pytest.approx(27 / 30)


def test_silence_is_counted_and_neither_right_nor_wrong():
    (kind,) = certify(judge(silent=[0, 1]), labels()).principles

    assert (kind.refused, kind.broken, kind.kept) == (4, 18, 28)
    assert kind.sensitivity.n == 18


def test_the_majority_of_annotators_counts_and_an_even_split_does_not():
    known = [replace(each, annotator="ann") for each in labels()]
    known += [replace(each, annotator="bob", broken=False) for each in known[:2]]
    known.append(replace(known[0], annotator="cem", broken=False))
    found = certify(judge(), known)

    (kind,) = found.principles
    assert (kind.broken, kind.kept, kind.disputed, kind.errored) == (18, 31, 1, 0)
    assert found.annotators == ("ann", "bob", "cem")


def test_labels_drawn_where_the_judge_flagged_do_not_flatter_its_sensitivity():
    # Half of what is broken is missed; what was flagged was labeled ten times as often.
    known = [
        *[replace(each, probability=1.0) for each in labels(20, 0)],
        *[replace(each, probability=0.1) for each in labels(24, 0)[20:]],
        *[replace(each, probability=0.1) for each in labels(0, 24)],
    ]
    model = judge(missed=range(20, 24))

    weighted = certify(model, known).principles[0].sensitivity
    plain = certify(model, [replace(each, probability=None) for each in known]).principles[0]

    assert weighted.value == pytest.approx(20 / 60)
    assert weighted.low < 1 / 3 < weighted.high
    assert plain.sensitivity.value == pytest.approx(20 / 24)


def test_calibration_is_that_of_scikit_learn():
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import brier_score_loss

    (kind,) = certify(judge(missed=range(5), false=range(9)), labels(40, 60)).principles
    said = np.array([*kind.scores_broken, *kind.scores_kept])
    truth = np.repeat([1, 0], [40, 60])
    seen = kind.calibration

    assert seen.brier == pytest.approx(brier_score_loss(truth, said))
    assert sum(each.n for each in seen.bins) == 100
    shares, means = calibration_curve(truth, said, n_bins=2, strategy="quantile")
    halves = [seen.bins[:5], seen.bins[5:]]
    assert [np.mean([each.broken for each in half]) for half in halves] == pytest.approx(shares)
    assert [np.mean([each.said for each in half]) for half in halves] == pytest.approx(means)


def test_a_judge_that_is_too_sure_gets_a_flatter_map():
    rng = np.random.default_rng(0)
    truth = rng.random(600) < 0.5
    odds = np.where(truth, 1, -1) + rng.normal(0, 1.4, 600)  # honest log-odds: twice over 1.4^2
    honest = 2 / 1.4**2 * odds
    by_number = dict(enumerate(1 / (1 + np.exp(-3 * honest))))
    known = [
        LabeledReply(request="Q", reply=f"R {number}", principle="kind", broken=bool(bad))
        for number, bad in enumerate(truth)
    ]

    def loud(asked, options):
        fail = by_number[int(asked.split("Reply: R ")[1])]
        return [1 - fail, fail, 0.0]

    map_ = certify(ScriptedModel(odds=loud), known).principles[0].calibration.map

    assert map_.slope == pytest.approx(1 / 3, abs=0.06)
    assert map_.intercept == pytest.approx(0, abs=0.25)
    assert map_(0.5) == pytest.approx(0.5, abs=0.06)
    assert map_(0.999) < 0.95


def test_a_few_labels_give_no_map():
    (kind,) = certify(judge(), labels(5, 5)).principles

    assert kind.calibration.map is None
    assert kind.calibration.brier > 0


def test_it_comes_back_from_disk_as_it_was(tmp_path):
    found = certify(judge(missed=[1]), labels())
    found.write(tmp_path / "c.json")

    assert read_certificate(tmp_path / "c.json") == found


def test_an_altered_certificate_is_refused(tmp_path):
    path = tmp_path / "c.json"
    certify(judge(missed=range(9)), labels()).write(path)
    held = json.loads(path.read_text())
    held["certificate"]["principles"][0]["sensitivity"]["value"] = 0.99
    path.write_text(json.dumps(held))

    with pytest.raises(DataError, match="its seal does not match"):
        read_certificate(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"certificate": 1}', "[" * 100_000])
def test_what_is_no_certificate_is_refused(tmp_path, text):
    (tmp_path / "c.json").write_text(text)

    with pytest.raises(DataError, match="expected a judge's certificate"):
        read_certificate(tmp_path / "c.json")


def test_it_fits_what_was_examined_and_nothing_else():
    found = certify(judge(), labels())
    reworded = replace(
        LAW, principles=(replace(LAW.principles[0], text="Be nice."), LAW.principles[1])
    )
    longer = replace(LAW, principles=(*LAW.principles, Principle(id="new", text="New.", tier=0)))
    trial = JudgeTrial(
        judge="scripted",
        abilities=tuple(
            Ability(
                principle_id=each.id, works=True, reason="", border=1.5, lean=0.0,
                auroc=auroc([1.0], [0.0]), p_value=0.0, sensitivity=None, specificity=None,
                plain_sensitivity=None, plain_specificity=None,
            )
            for each in LAW.principles
        ),
    )  # fmt: skip

    found.check_fits("scripted", PROMPTS.sha256, LAW)
    found.check_fits("scripted", PROMPTS.sha256, longer)
    for judge_, words, law, more, said in (
        ("other", PROMPTS.sha256, LAW, {}, "expected judge scripted, got other"),
        ("scripted", "0" * 64, LAW, {}, "prompts"),
        ("scripted", PROMPTS.sha256, reworded, {}, "the text that `kind` had then"),
        ("scripted", PROMPTS.sha256, LAW, {"principles": ["brief"]}, "got 'brief'"),
        ("scripted", PROMPTS.sha256, LAW, {"standing": Standing(trial=trial)}, "borders"),
    ):
        with pytest.raises(DataError, match=said):
            found.check_fits(judge_, words, law, **more)


def test_its_age_is_said():
    found = certify(judge(), labels(), days=30)

    assert not found.old(date(2026, 5, 31))
    assert found.old(date(2026, 6, 1))
    assert found.age(date(2026, 6, 1)) == 31


def test_a_reported_rate_is_corrected_for_planted_errors():
    model = judge(missed=range(0, 200, 5), false=range(0, 800, 5))  # 0.8 and 0.8
    certificate = certify(model, labels(100, 100))
    new = [f"BAD {n}" for n in range(200)] + [f"GOOD {n}" for n in range(800)]

    (found,) = corrected(certificate, [
        each for each in judgments(model, new) if each.principle_id == "kind"
    ], LAW)  # fmt: skip

    assert found.reported is not None
    assert found.rate is not None
    assert found.likeness is not None
    assert found.reported.value == pytest.approx(0.2 * 0.8 + 0.8 * 0.2)
    assert found.rate.value == pytest.approx(0.2)
    assert found.rate.low < 0.2 < found.rate.high
    assert found.likeness > 0.05


def test_corrected_rates_cover_over_judges_labels_and_replies():
    rng = np.random.default_rng(1)
    held = 0
    certificate = certify(judge(), labels())
    for _ in range(200):
        found, cleared = rng.binomial(60, 0.85), rng.binomial(60, 0.75)
        kind = replace(
            certificate.principles[0],
            sensitivity=clopper_pearson(found, 60, unit=""),
            specificity=clopper_pearson(cleared, 60, unit=""),
        )
        rate = kind.corrected(rng.binomial(1000, 0.3 * 0.85 + 0.7 * 0.25), 1000).estimate
        held += rate.low <= 0.3 <= rate.high

    assert held >= 0.92 * 200


def test_a_judge_like_a_coin_gives_no_corrected_rate():
    model = judge(missed=range(0, 100, 2), false=range(0, 100, 2))
    (found,) = [
        each for each in corrected(
            certify(model, labels(100, 100)), judgments(model, ["BAD 1", "GOOD 1"]), LAW
        ) if each.principle_id == "kind"
    ]  # fmt: skip

    assert found.rate is None
    assert "no better than chance" in str(found.reason)
    assert found.likeness is None


def test_judgments_by_another_judge_are_not_corrected():
    certificate = certify(judge(), labels())
    theirs = [replace(each, judge="other") for each in judgments(judge(), ["BAD 1"])]

    with pytest.raises(DataError, match="does not fit"):
        corrected(certificate, theirs, LAW)
    with pytest.raises(DataError, match="expected judgments under kind, got none"):
        corrected(certificate, [], LAW)


def p_value(*samples, seed=0):
    found = likeness(*samples, seed=seed)
    assert found is not None
    return found


def test_scores_of_another_share_are_alike_and_those_of_another_kind_are_not():
    rng = np.random.default_rng(2)
    broken, kept = rng.beta(5, 2, 150), rng.beta(2, 5, 150)
    few = np.concatenate([rng.beta(5, 2, 20), rng.beta(2, 5, 180)])
    other = rng.beta(2, 2, 200) ** 4
    far = np.concatenate([np.full(100, 0.5), rng.beta(2, 5, 100)])

    assert p_value(few, broken, kept) > 0.05
    assert p_value(other, broken, kept) <= 0.01
    assert p_value(far, broken, kept) <= 0.01
    assert likeness([0.5] * 9, broken, kept) is None
    # A plain two-sample test would call another share another kind.
    assert stats.ks_2samp(few, np.concatenate([broken, kept])).pvalue < 0.01


def test_alike_scores_are_seldom_called_different():
    rng = np.random.default_rng(3)
    alarms = 0
    for number in range(40):
        sample = [rng.beta(5, 2, 40), rng.beta(2, 5, 40)]
        new = np.concatenate([rng.beta(5, 2, 30), rng.beta(2, 5, 90)])
        alarms += p_value(new, *sample, seed=number) <= 0.05

    assert alarms <= 6  # binomial(40, 0.05) exceeds it once in 300


def line(**more):
    return json.dumps({"request": "Q", "reply": "R", "principle": "kind", "broken": True, **more})


def test_labels_are_read_with_what_is_known_of_them(tmp_path):
    path = tmp_path / "l.jsonl"
    path.write_text(line(annotator="ann", probability=0.5) + "\n\n" + line(broken=False) + "\n")

    first, second = read_labels(path, LAW)

    assert (first.annotator, first.probability, first.broken) == ("ann", 0.5, True)
    assert second.broken is False


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has none"),
        ("no json", "line 1 must be one JSON object"),
        (line(broken="yes"), "`broken` must be true or false"),
        (line(broken=1), "`broken` must be true or false"),
        (line(principle="unknown"), "about the principle 'unknown', which two does not have"),
        (line(probability=0), "probability must be above 0"),
        (line(probability=1.5), "probability must be above 0"),
        (line(extra=1), "does not hold a LabeledReply"),
        (line() + "\n[]", "line 2"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, text, said):
    path = tmp_path / "l.jsonl"
    path.write_text(text)

    with pytest.raises(DataError, match=said):
        read_labels(path, LAW)


def test_labels_that_contradict_each_other_are_refused():
    same = replace(labels()[0], probability=0.5)

    with pytest.raises(DataError, match=r"has the probabilities 0\.25, 0\.5"):
        certify(judge(), [same, replace(same, probability=0.25)])
    with pytest.raises(DataError, match="on each label or on none, got 1 of 20"):
        certify(judge(), [same, *labels()[1:]])
    with pytest.raises(DataError, match="got none"):
        certify(judge(), [])
    with pytest.raises(ConstitutionError, match="no principle 'new'"):
        certify(judge(), [replace(same, principle="new")])
    with pytest.raises(ConfigError, match="days must be at least 1"):
        certify(judge(), labels(), days=0)


def test_what_people_labeled_in_a_queue_is_read_as_it_was_written(tmp_path):
    told = {"Yes.": "fail", "No.": "pass", "So?": "not_applicable"}
    items = [
        QueueItem(principle_id="kind", principle="Be kind.", request="Where?", replies=(reply,))
        for reply in told
    ]
    make_queue(items, tmp_path / "q.db", QueueSettings(double_share=0.0))
    with closing(open_queue(tmp_path / "q.db")) as queue:
        while (served := queue.serve("ada")) is not None:
            queue.answer("ada", served.item.id, told[served.item.replies[0]])
        export_labels(queue, tmp_path / "labels.jsonl")

    labels = read_labels(tmp_path / "labels.jsonl", LAW)

    assert {(each.reply, each.broken) for each in labels} == {("Yes.", True), ("No.", False)}
    assert {each.annotator for each in labels} == {"ada"}
    assert all(each.probability == 1.0 for each in labels)


def test_where_people_differ_on_whether_it_applies_there_is_no_label(tmp_path):
    items = [
        QueueItem(principle_id="kind", principle="Be kind.", request="Where?", replies=(reply,))
        for reply in ("Yes.", "No.")
    ]
    make_queue(items, tmp_path / "q.db", QueueSettings(double_share=1.0))
    said = {("ada", "Yes."): "fail", ("bob", "Yes."): "not_applicable"}
    with closing(open_queue(tmp_path / "q.db")) as queue:
        for who in ("ada", "bob"):
            while (served := queue.serve(who)) is not None:
                queue.answer(who, served.item.id, said.get((who, served.item.replies[0]), "pass"))
        export_labels(queue, tmp_path / "labels.jsonl")

    labels = read_labels(tmp_path / "labels.jsonl", LAW)

    assert {(each.reply, each.broken) for each in labels} == {("No.", False)}
