"""A setting that is not documented does not exist for its user."""

from dataclasses import fields
from inspect import signature
from pathlib import Path

import pytest

from plumbrule.models import EndpointSettings, LocalSettings, open_model

TEXT = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
SETTINGS = [one.name for kind in (LocalSettings, EndpointSettings) for one in fields(kind)]


@pytest.mark.parametrize("name", [*SETTINGS, *list(signature(open_model).parameters)[1:]])
def test_every_setting_is_documented(name):
    assert f"`{name}`" in TEXT
