"""What the run says of the changes that its comparison found."""

from dataclasses import replace

from tests.behavior.test_comparing_language import SETTINGS, about, endpoint, requests

from plumbrule.behavior import compare_models
from plumbrule.loop.side_effects import _where


def test_a_change_on_a_subject_lies_where_its_prompts_deserve_help_or_not():
    """A subject is noted on the comparison's own copies of the prompts, not on the run's."""
    tuned = endpoint("tuned", seed=1, touched=about, rate=0.9)
    for deserving in (True, False):
        prompts = [
            replace(one, deserves_help=deserving == about(one.dialogue[-1].content))
            for one in requests()
        ]

        found = compare_models(endpoint("base", seed=100), tuned, prompts, settings=SETTINGS)

        count = len(found.findings)
        assert count
        meant = 0 if deserving else count
        assert _where(found) == [
            f"{count - meant} of {count} changes lie where most prompts deserve help."
        ]
