import math
from pathlib import Path

import pytest
import torch

from plumbrule.errors import ConfigError
from plumbrule.training.drift import DRIFT, RATIO_MAX, RATIO_MEAN, DriftTally, refuse_drift
from plumbrule.training.settings import GrpoTraining, PpoTraining, SupervisedTraining

SETTINGS = GrpoTraining(most_ratio=2.0, most_drift=0.5)


def test_ratios_and_distances_are_counted_over_tokens_and_only_those_there_are():
    tally = DriftTally()
    mask = torch.tensor([[True, True], [True, False]])
    drawn = torch.zeros(2, 2)
    now = torch.tensor([[math.log(2.0), 0.0], [math.log(0.5), 50.0]])
    tally.add(now, drawn, mask, before_updates=True)
    tally.add(torch.zeros(2, 2), drawn, mask, before_updates=False)
    found = tally.read()
    assert found[RATIO_MEAN] == pytest.approx((2 + 1 + 0.5 + 3) / 6)
    assert found[RATIO_MAX] == pytest.approx(2.0)
    assert found[DRIFT] == pytest.approx(2 * math.log(2) / 3)
    assert tally.read() == {}


@pytest.mark.parametrize(
    ("measured", "message"),
    [
        ({RATIO_MEAN: 2.5}, r"between 0.5 and 2 \(most_ratio\), got 2.5 at step 7"),
        ({RATIO_MEAN: 0.4}, "most_ratio"),
        ({RATIO_MEAN: math.nan}, "most_ratio"),
        ({RATIO_MEAN: 1.0, DRIFT: 0.6}, r"within 0.5 nats per token .*most_drift.*got 0.6"),
    ],
)
def test_a_run_that_has_come_apart_is_stopped_by_name_number_and_bound(measured, message):
    with pytest.raises(ConfigError, match=message) as caught:
        refuse_drift(SETTINGS, measured, step=7, kept=Path("/kept/checkpoint-6"))
    assert "/kept/checkpoint-6" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "measured"),
    [
        (SETTINGS, {RATIO_MEAN: 1.9, DRIFT: 0.4}),
        (SETTINGS, {}),
        (PpoTraining(most_ratio=None, most_drift=None), {RATIO_MEAN: 99.0, DRIFT: 99.0}),
        (SupervisedTraining(), {RATIO_MEAN: 99.0}),
    ],
)
def test_a_run_within_its_bounds_or_without_any_goes_on(settings, measured):
    refuse_drift(settings, measured, step=1, kept=None)
