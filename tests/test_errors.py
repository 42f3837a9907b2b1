import pickle

import pytest

from plumbrule import errors
from plumbrule.errors import PlumbruleError


def every_error(kind=PlumbruleError):
    return [kind] + [found for sub in kind.__subclasses__() for found in every_error(sub)]


def test_the_drawing_shows_every_error():
    drawn = set((errors.__doc__ or "").split())

    assert {
        error.__name__ for error in every_error() if error.__module__ == errors.__name__
    } <= drawn


@pytest.mark.parametrize("kind", every_error())
def test_errors_cross_process_boundaries(kind):
    error = pickle.loads(pickle.dumps(kind("expected that, got this")))

    assert (type(error), str(error)) == (kind, "expected that, got this")


@pytest.mark.parametrize("kind", every_error())
def test_every_error_says_how_the_command_line_ends(kind):
    assert kind.exit_code == (3 if issubclass(kind, errors.OutsideError) else 2)
