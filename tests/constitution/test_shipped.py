import re

import pytest

from plumbrule.constitution import SHIPPED, load_constitution


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_principle_has_a_source_and_two_tests_of_each_kind(name):
    shipped = load_constitution(name)

    assert shipped.name == name
    assert shipped.tiers == ("Harmlessness", "Honesty", "Helpfulness")
    for principle in shipped.principles:
        assert principle.source
        assert len(principle.probes) >= 2, principle.id
        assert len(principle.twins) >= 2, principle.id


def test_the_default_covers_each_tier_and_shows_how_to_critique():
    default = load_constitution("default")

    assert 16 <= len(default.principles) <= 20
    assert [len(group) for _, group in default.by_tier()] == [9, 5, 5]
    assert sum(bool(each.critique_examples) for each in default.principles) >= 5
    helpful = default.principle("be-helpful")
    assert helpful.except_when == ("the request is harmful",)


def test_the_default_draws_on_the_kinds_of_source_the_field_uses():
    sources = " ".join(each.source for each in load_constitution("default").principles)

    for needed in (
        r"Universal Declaration of Human Rights, article 3",
        r"Platform trust-and-safety rules",
        r"Sparrow rules .*Glaese et al\. 2022, arXiv:2209\.14375",
        r"Cultural Diversity",
    ):
        assert re.search(needed, sources)


def test_no_prompt_of_the_default_is_used_twice():
    default = load_constitution("default")
    prompts = [
        prompt
        for each in default.principles
        for prompt in (
            *each.probes,
            *each.twins,
            *(example.request for example in each.critique_examples),
        )
    ]

    assert len(set(prompts)) == len(prompts)
