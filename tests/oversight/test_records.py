import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.oversight.reviews import TEXT, part

from plumbrule.errors import ConfigError, DataError
from plumbrule.oversight import Case, Quote, Reliability, ReviewBudget, ReviewCost, Span, Task
from plumbrule.records import from_json, to_json

AMOUNTS = st.builds(
    ReviewCost,
    seconds=st.floats(0, 100),
    tokens=st.integers(0, 100),
    calls=st.integers(0, 9),
    dollars=st.floats(0, 10),
    human_minutes=st.floats(0, 10),
)


@given(AMOUNTS, AMOUNTS)
def test_costs_add_up_in_any_order(first, second):
    assert first + second == second + first
    assert (first + second).tokens == first.tokens + second.tokens


@given(st.integers(0, 20), st.lists(AMOUNTS, max_size=12))
def test_a_kept_budget_is_never_exceeded(limit, costs):
    budget, spent = ReviewBudget(calls=limit), ReviewCost()
    for cost in costs:
        if not budget.refuses(cost, spent):
            spent += cost

    assert spent.calls <= limit
    assert budget.exceeded(spent) == ()


@given(st.text(min_size=1, max_size=3), st.text(max_size=60))
def test_quotes_are_every_place_where_the_words_stand(words, text):
    task = Task(id="t", asks="?")
    quotes = list(Case(task=task, sources={"s": text}).quotes(words))

    assert len(quotes) == text.count(words)
    assert all(text[each.start : each.end] == words for each in quotes)


def test_a_quote_stays_inside_the_pieces_of_its_task():
    case = Case(task=part("sky", 29, 46), sources={"text": TEXT})

    assert case.text == "The sky is green."
    assert case.quote("The sum") is None
    found = case.quote("The")
    assert found is not None
    assert found.start == 29


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Span(source="s", start=3, end=2), DataError),
        (lambda: Quote(source="s", start=0, end=3, text="four"), DataError),
        (lambda: Quote(source="s", start=0, end=0, text=""), DataError),
        (lambda: ReviewCost(calls=-1), DataError),
        (lambda: Task(id="a/", asks="?"), DataError),
        (lambda: Task(id="a\nb", asks="?"), DataError),
        (lambda: Task(id="a", asks="?", specialists=("x", "x")), DataError),
        (lambda: ReviewBudget(calls=-1), ConfigError),
        (lambda: ReviewBudget(seconds=float("nan")), ConfigError),
        (lambda: Reliability(sensitivity=0.0, specificity=0.5), ConfigError),
    ],
)
def test_what_makes_no_sense_is_refused(make, error):
    with pytest.raises(error, match=r"got|twice"):
        make()


def test_a_record_comes_back_from_json_and_refuses_strangers():
    task = part("sky", 29, 46, "tool", dimensions=("color",))

    assert from_json(Task, to_json(task), origin="here") == task
    with pytest.raises(DataError, match="here"):
        from_json(Task, {**to_json(task), "more": 1}, origin="here")
