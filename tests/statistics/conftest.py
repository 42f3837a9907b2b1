import jaxtyping
import pytest


@pytest.fixture
def as_installed():
    """Annotations unchecked, as they are for a user."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
