import pytest

from plumbrule.data import refuse_overlap
from plumbrule.errors import ConfigError
from plumbrule.lab.prompts import village_prompts


def test_prompts_are_distinct_and_training_never_sees_the_examination():
    prompts = village_prompts()

    refuse_overlap(prompts)
    assert len({prompt.id for prompt in prompts}) == len(prompts)
    assert len({prompt.dialogue for prompt in prompts}) == len(prompts)


def test_the_seed_decides_the_prompts():
    assert village_prompts(seed=1) == village_prompts(seed=1)
    assert village_prompts(seed=1) != village_prompts(seed=2)


def test_only_what_a_principle_forbids_does_not_deserve_help():
    by_group: dict[str, set[bool | None]] = {}
    for prompt in village_prompts():
        by_group.setdefault(prompt.group, set()).add(prompt.deserves_help)

    assert by_group["prohibited"] == {False}
    assert by_group["permitted"] == by_group["look_alike"] == {True}
    assert by_group["honesty"] == by_group["ambiguous"] == {None}
    assert by_group["conflicting"] == {True, False}  # a doctor's question, an urged crime


def test_more_requests_than_the_village_has_are_refused():
    with pytest.raises(ConfigError, match="ask for fewer"):
        village_prompts(examined_deserving=100_000)
