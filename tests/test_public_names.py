"""What a part lists in `__all__` is what it offers, no more and no less."""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

import pytest

import plumbrule

PARTS = [part.name for part in iter_modules(plumbrule.__path__) if part.ispkg]


@pytest.mark.parametrize("part", PARTS)
def test_everything_offered_is_listed(part):
    module = import_module(f"plumbrule.{part}")
    offered = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }

    # Names imported late are offered through `__getattr__` and stand only in the list.
    assert offered <= set(module.__all__)
    for name in module.__all__:
        getattr(module, name)
