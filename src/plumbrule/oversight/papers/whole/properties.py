"""A property of a design that is so or not so, with the words for either."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Property:
    """A property of a design that is so or not so."""

    name: str
    yes: tuple[re.Pattern[str], ...]
    no: tuple[re.Pattern[str], ...]
    says: tuple[str, str]
    """Both sides in words for a message."""

    ignore: re.Pattern[str] | None = None
    """Words that look like the property and are not."""

    needs: re.Pattern[str] | None = None
    """A sentence that denies must hold this too."""
