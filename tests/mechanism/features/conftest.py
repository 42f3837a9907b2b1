import numpy as np
import pytest
from benchmarks.tiny_models import build

from plumbrule.mechanism import find_sites
from plumbrule.mechanism.features import ModelPart, TextActivations


def texts(count=40, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(1, 100, size=rng.integers(6, 24)).tolist() for _ in range(count)]


@pytest.fixture(scope="session")
def part():
    module = build("LlamaForCausalLM").module
    return ModelPart(module=module, sites=find_sites(module), identity="tiny")


@pytest.fixture(scope="session")
def source(part):
    return TextActivations(model=part, rows=texts(), chunk=150)
