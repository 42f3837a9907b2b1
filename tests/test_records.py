import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbrule.errors import DataError
from plumbrule.records import (
    Estimate,
    Exchange,
    Finding,
    Message,
    from_json,
    read_jsonl,
    to_json,
    to_jsonl,
)

ESTIMATE = Estimate(value=0.2, low=0.1, high=0.3, level=0.95, n=50, unit="rate", method="t")
FINDING = Finding(
    claim="Refuses more often.",
    where="held-out prompts",
    what="refusals",
    estimate=ESTIMATE,
    reason=None,
    evidence=("stages/examination",),
    principle_id=None,
    severity="low",
    guarantee=None,
    reproduce="plumbrule run",
)


@given(st.text(), st.text())
def test_an_exchange_survives_the_disk_whatever_was_said(asked, answered):
    exchange = Exchange(
        id="a", dialogue=(Message("user", asked),), response=answered, model="m", seed=2**62
    )

    text = json.dumps(to_json(exchange), ensure_ascii=True)

    assert from_json(Exchange, json.loads(text), origin="here") == exchange


def test_a_file_of_records_is_read_back(tmp_path):
    path = tmp_path / "estimates.jsonl"
    path.write_text(to_jsonl([ESTIMATE, replace(ESTIMATE, n=51)]))

    assert read_jsonl(Estimate, path) == [ESTIMATE, replace(ESTIMATE, n=51)]


def test_the_line_that_is_no_record_is_named(tmp_path):
    path = tmp_path / "estimates.jsonl"
    path.write_text(to_jsonl([ESTIMATE]) + "{\n")

    with pytest.raises(DataError, match="line 2 is not JSON"):
        read_jsonl(Estimate, path)


def test_a_mistyped_field_is_refused():
    with pytest.raises(DataError, match="vaule"):
        from_json(Estimate, to_json(ESTIMATE) | {"vaule": 1}, origin="here")


@pytest.mark.parametrize(
    "change",
    [{"value": math.nan}, {"low": -math.inf}, {"high": math.inf}, {"low": 0.25}],
    ids=["undefined", "unbounded below", "unbounded above", "outside its interval"],
)
def test_a_number_that_means_nothing_cannot_be_recorded(change):
    with pytest.raises(DataError, match="inside a finite interval"):
        replace(ESTIMATE, **change)


@pytest.mark.parametrize("change", [{"estimate": None}, {"reason": "too few prompts"}])
def test_a_finding_is_answered_or_says_why_not(change):
    with pytest.raises(DataError, match="an estimate or a reason why not"):
        replace(FINDING, **change)
