"""Detectors against labels that were given by reading, where the replies are at hand."""

import pytest
from benchmarks.real_catalog import PLANTED
from benchmarks.real_labels import agreement, kept


@pytest.mark.parametrize("organism", PLANTED, ids=lambda each: each.name)
def test_a_detector_agrees_with_a_reader(organism):
    labels = kept().get(organism.name, {})
    right, seen, differ = agreement(organism, labels)
    if not seen:
        pytest.skip(f"the replies of {organism.name} are not here; build it to have them")
    assert right / seen >= 0.95, differ


def test_what_was_read_holds_the_property_and_its_absence():
    for name, labels in kept().items():
        assert len(labels) >= 40, name
        assert 0 < sum(labels.values()) < len(labels), name
