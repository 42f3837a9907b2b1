"""Real models and prompts for tests; a test that needs them skips, with the reason, without."""

import pytest
from benchmarks import real_ground


@pytest.fixture(scope="session")
def real_prompts():
    """All prompts of the pool."""
    reason = real_ground.why_absent(data=True)
    if reason:
        pytest.skip(reason)
    return real_ground.whole_pool()


@pytest.fixture(scope="session")
def smollm2():
    """SmolLM2-135M-Instruct in float32."""
    reason = real_ground.why_absent("smollm2")
    if reason:
        pytest.skip(reason)
    return real_ground.open_real("smollm2")
