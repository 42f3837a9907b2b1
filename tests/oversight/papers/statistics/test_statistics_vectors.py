"""The shared reference numbers, every one of them."""

import json
from pathlib import Path

import pytest

from plumbrule.oversight.papers.statistics import debit, grim, grimmer, recompute

VECTORS = Path(__file__).parents[5] / "shared" / "vectors" / "statistics_checks.json"
KNOWN = json.loads(VECTORS.read_text()) if VECTORS.exists() else None

pytestmark = pytest.mark.skipif(KNOWN is None, reason="the shared reference vectors are not here")


def entries(name):
    return KNOWN[name] if KNOWN else []


@pytest.mark.parametrize(
    "known", entries("pvalue"), ids=lambda each: f"{each['test']}{each['stat']}"
)
def test_p_values_are_recomputed_and_judged_as_in_the_reference(known):
    seen = recompute(
        known["test"],
        known["stat"],
        df1=known["df1"],
        df2=known["df2"],
        comparison=known["comp"],
        p=known["p"],
    )

    # The reference is rounded to ten decimals.
    assert seen.p == pytest.approx(known["computed_p"], abs=1e-10)
    assert seen.p_low == pytest.approx(known["p_low"], abs=1e-10)
    assert seen.p_high == pytest.approx(known["p_high"], abs=1e-10)
    assert seen.error == known["error"]
    assert seen.decision_error == known["decision_error"]
    if known["statcheck_expected_error"] is not None:
        assert seen.error == known["statcheck_expected_error"]
    if known["statcheck_expected_decision_error"] is not None:
        assert (seen.error and seen.decision_error) == known["statcheck_expected_decision_error"]


@pytest.mark.parametrize("known", entries("grim"), ids=lambda each: f"{each['mean']}-{each['n']}")
def test_means_are_possible_as_in_the_reference(known):
    seen = grim(known["mean"], known["n"], items=known["items"], percent=known["percent"])

    assert seen.consistent == known["consistent"]


@pytest.mark.parametrize("known", entries("debit"), ids=lambda each: each["mean"])
def test_deviations_of_zeros_and_ones_are_possible_as_in_the_reference(known):
    assert debit(known["mean"], known["sd"], known["n"]) == known["consistent"]


@pytest.mark.parametrize(
    "known", entries("grimmer_exact_own"), ids=lambda each: f"{each['mean']}-{each['n']}"
)
def test_deviations_of_whole_numbers_are_possible_as_in_the_reference(known):
    assert grimmer(known["mean"], known["sd"], known["n"]) == known["verdict"]
