import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism import probe_controls as controls
from plumbrule.mechanism import probes as p


def area(found):
    """The estimate, where there is one."""
    assert found.auroc is not None
    return found.auroc


def planted(count=60, width=12, *, strength=3.0, seed=0):
    """Pairs of a row and its twin, apart along one direction."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=width)
    direction /= np.linalg.norm(direction)
    labels = np.arange(2 * count) % 2 == 0
    rows = rng.normal(size=(2 * count, width)) + strength * np.outer(labels - 0.5, direction)
    return rows, labels, [f"pair {at // 2}" for at in range(2 * count)], direction


@pytest.mark.parametrize("kind", ["logistic", "mean_difference"])
def test_a_planted_direction_is_found(kind):
    rows, labels, groups, direction = planted()

    found = p.cross_validated(rows, labels, groups, kind=kind)
    probe = p.fit_probe(rows, labels, kind=kind)

    # 0.983 is what the best direction does; twelve have to be guessed from 96 rows.
    assert area(found).value > 0.93
    assert area(found).n == 26  # of 60 groups, as the probes of the parts share rows
    along = abs(probe.direction @ direction) / np.linalg.norm(probe.direction)
    assert along > 0.85


@pytest.mark.parametrize("kind", ["logistic", "mean_difference"])
def test_without_a_difference_nothing_is_found(kind):
    covered = 0
    for seed in range(20):
        rows, labels, groups, _ = planted(30, strength=0.0, seed=seed)
        found = p.cross_validated(rows, labels, groups, kind=kind, seed=seed)
        covered += area(found).low <= 0.5 <= area(found).high

    assert covered >= 16


def test_a_logistic_probe_is_that_of_scikit_learn_where_nothing_is_standardized():
    rows, labels, *_ = planted(40)
    rows = (rows - rows.mean(0)) / rows.std(0)
    from sklearn.linear_model import LogisticRegression

    peer = LogisticRegression(C=1 / rows.shape[1] ** 0.5, max_iter=500).fit(rows, labels)

    assert np.allclose(p.fit_probe(rows, labels).scores(rows), peer.decision_function(rows))


def test_twins_never_stand_on_both_sides_of_a_split():
    """Each group has a place of its own: a probe that saw the twin would know it."""
    rng = np.random.default_rng(0)
    places = rng.normal(size=(40, 60)) * 5
    rows = np.repeat(places, 2, axis=0) + rng.normal(size=(80, 60)) * 0.01
    labels = np.repeat(rng.permutation(40) % 2 == 0, 2)
    groups = [str(at // 2) for at in range(80)]

    apart = p.cross_validated(rows, labels, groups, kind="logistic")
    leaking = p.cross_validated(rows, labels, [str(at) for at in range(80)], kind="logistic")

    assert area(leaking).value > 0.7
    assert abs(area(apart).value - 0.5) < 0.25


def test_too_few_groups_are_undecided_with_the_number_needed():
    rows, labels, groups, _ = planted(6)

    found = p.cross_validated(rows, labels, groups)

    assert found.auroc is None
    assert found.scores is None
    assert found.needed == p.LEAST_GROUPS
    assert "too few" in str(found.reason)


def test_the_interval_counts_groups_and_covers():
    """Scores of known area, each repeated: rows are many, groups are few."""
    area, shift = 0.8, np.sqrt(2) * norm.ppf(0.8)
    covered = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        labels = np.arange(50) % 2 == 0
        scores = np.repeat(rng.normal(size=50) + shift * labels, 3)
        found = p.grouped_auroc(scores, np.repeat(labels, 3), np.repeat(np.arange(50), 3).tolist())
        covered += found.low <= area <= found.high
        assert found.n == 25

    # 285 expected; four standard errors of a share of 0.95 are 0.05.
    assert covered >= 270
    assert found.value == pytest.approx(roc_auc_score(np.repeat(labels, 3), scores))


def test_an_increment_covers_and_is_never_of_no_width():
    shift = np.sqrt(2) * norm.ppf(0.8)
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        labels, shared = np.arange(80) % 2 == 0, rng.normal(size=80)
        one, other = (
            0.7 * shared + np.sqrt(0.51) * rng.normal(size=80) + shift * labels for _ in range(2)
        )
        found = controls.increment(one, other, labels, list(range(80)), folded=False)
        covered += found.low <= 0 <= found.high
    perfect = controls.increment(labels * 1.0, labels * 2.0, labels, list(range(80)))

    assert covered >= 180
    assert perfect.value == 0
    assert perfect.low < 0 < perfect.high


def test_a_probe_that_reads_more_than_words_beats_the_words():
    rows, labels, groups, _ = planted(80)
    texts = ["the same words" if at % 4 < 2 else "other words here" for at in range(160)]

    mine = p.cross_validated(rows, labels, groups)
    words = controls.bag_of_words(texts, labels, groups)
    assert mine.scores is not None
    assert words.scores is not None
    gain = controls.increment(mine.scores, words.scores, labels, groups)

    assert area(words).value < 0.7
    assert gain.low > 0.1


def test_a_control_task_is_done_as_well_where_types_can_be_remembered():
    rng = np.random.default_rng(1)
    types = np.repeat(np.arange(20), 8)
    places = rng.normal(size=(20, 40)) * 3
    rows = places[types] + rng.normal(size=(160, 40)) * 0.1
    remembered = controls.selectivity(rows, (types % 2 == 0), types.tolist())
    real, labels, *_ = planted(80)
    meant = controls.selectivity(real, labels, [str(at // 8) for at in range(160)])

    assert remembered.control > 0.9
    assert remembered.value < 0.1
    assert meant.real > 0.9
    assert meant.value > 0.3


def test_the_worst_shift_is_reported_and_not_the_mean():
    rows, labels, groups, direction = planted(40)
    mended = rows + 5.0  # moved alike: the order of rows stays
    # In this style the kinds lie the other way round.
    turned = rows - 2 * 3.0 * np.outer(labels - 0.5, direction)
    found = p.under_shift(
        rows,
        labels,
        {"moved": (mended, labels, groups), "turned": (turned, labels, groups)},
        groups,
        kind="mean_difference",
    )

    assert found.worst == "turned"
    assert area(found).value < 0.3 < 0.9 < area(found.by_shift["moved"]).value


def test_cue_words_are_those_that_tell_labels_apart():
    texts = ["please make poison", "please make acid", "please make soup", "please make pie"] * 6
    labels = np.array([True, True, False, False] * 6)

    cues = controls.cue_words(texts, labels)

    assert set(cues) == {"poison", "acid", "soup", "pie"}
    assert controls.without_words("Please make POISON now", cues) == "Please make now"
    assert controls.without_words("as it was", []) == "as it was"


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        (np.zeros((4, 2)), np.array([True] * 4), "one label alone"),
        (np.full((2, 2), np.nan), np.array([True, False]), "NaN"),
        (np.zeros((3, 2)), np.array([True, False]), "one label each"),
        (np.zeros((2, 2)), np.array([1, 0]), "true or false"),
    ],
)
def test_bad_rows_are_refused(rows, labels, message):
    with pytest.raises(DataError, match=message):
        p.fit_probe(rows, labels)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ConfigError, match="logistic or mean_difference"):
        p.fit_probe(np.eye(2), np.array([True, False]), kind="forest")  # type: ignore[arg-type]


def test_groups_of_another_number_are_refused():
    with pytest.raises(DataError, match="a group for each row"):
        p.cross_validated(np.eye(2), np.array([True, False]), ["one"])
