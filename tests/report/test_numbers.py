import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.report.sample import wilson

from plumbrule.records import Estimate, to_json
from plumbrule.report import estimate_text
from plumbrule.report.numbers import bytes_text, duration_text, number_text, percent


def estimate(value, low, high, *, n=230, level=0.95, unit="violations per reply", method="Wilson"):
    return Estimate(value=value, low=low, high=high, level=level, n=n, unit=unit, method=method)


def test_a_rate_is_written_with_its_interval_and_its_count():
    assert estimate_text(estimate(4 / 230, 0.006, 0.04)) == "1.7% [0.6%, 4.0%], 4 of 230"


def test_a_record_and_its_json_are_written_alike():
    record = estimate(4 / 230, 0.006, 0.04)
    assert estimate_text(record) == estimate_text(to_json(record))


@settings(deadline=None)
@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_every_count_of_a_binomial_method_is_found_again(count):
    k, n = count
    assert estimate_text(wilson(k, n)).endswith(f"{k:,} of {n:,}")


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "prediction-powered, Wilson"},
        {"method": "Clopper-Pearson, corrected for the judge"},
        {"method": "betting confidence sequence"},
        {"value": 0.01},
        {"unit": "tokens per reply"},
        {"unit": "difference in violations per reply"},
    ],
)
def test_no_count_is_invented_where_the_record_holds_none(changed):
    fields = {"value": 4 / 230, "low": 0.006, "high": 0.04, **changed}
    text = estimate_text(estimate(**fields))

    assert " of " not in text
    assert text.endswith("n = 230")


def test_what_is_no_share_keeps_its_unit():
    loss = estimate(0.5, 0.45, 0.55, unit="nats per token", method="bootstrap")
    assert estimate_text(loss) == "0.500 nats per token [0.450, 0.550], n = 230"


def test_a_difference_is_written_in_points():
    change = estimate(-0.05, -0.1, 0.02, unit="violations per reply", method="paired bootstrap")
    assert estimate_text(change) == "−5.0 points [−10.0, 2.0], n = 230"  # noqa: RUF001


def test_an_interval_that_is_not_the_usual_one_says_so():
    assert estimate_text(estimate(4 / 230, 0.006, 0.04, level=0.99)).endswith(", 99% interval")


def test_no_estimate_is_never_a_number():
    assert estimate_text(None, reason="nothing was judged") == "not known: nothing was judged"
    assert estimate_text(None) == "not known: no reason was recorded"


@settings(deadline=None)
@given(st.floats(0, 1))
def test_only_nothing_is_zero_percent_and_only_all_is_a_hundred(share):
    shown = float(percent(share).removesuffix("%").replace("−", "-"))  # noqa: RUF001

    assert math.isclose(shown, 100 * share, abs_tol=0.0501)
    assert (shown == 0) == (share == 0)
    if share != 1 and 100 * share != 100:
        assert shown != 100


@settings(deadline=None)
@given(st.floats(-1e12, 1e12))
def test_a_number_keeps_three_digits(number):
    text = number_text(number).replace(",", "").replace("−", "-")  # noqa: RUF001
    text = text.replace("×10^", "e")  # noqa: RUF001
    assert math.isclose(float(text), number, rel_tol=0.0051)


def test_durations_and_sizes_read_as_people_say_them():
    assert [duration_text(s) for s in (0, 0.5, 59, 60, 3599.6, 3600, 90061)] == [
        "0 s",
        "0.500 s",
        "59 s",
        "1 min 00 s",
        "1 h 00 min",
        "1 h 00 min",
        "25 h 01 min",
    ]
    assert [bytes_text(b) for b in (0, 999, 1000, 1_934_000_000)] == [
        "0 bytes",
        "999 bytes",
        "1 kB",
        "1.93 GB",
    ]
