"""Who is looked at: by a hash that nobody can foresee and everybody can repeat.

The same conversation gives the same number on every machine and in every run, so a draw needs no
memory, and the chance of having been drawn is known exactly.
"""

import hashlib
from dataclasses import dataclass

from plumbrule.errors import ConfigError


def stable_uniform(salt: str, *names: str) -> float:
    """A number from 0 up to 1 that depends on the names alone.

    Args:
        salt: Keeps draws for different ends apart.
        names: What is drawn.

    Example:
        >>> stable_uniform("a", "x") == stable_uniform("a", "x") != stable_uniform("b", "x")
        True
    """
    text = "\0".join((salt, *names)).encode("utf-8", errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()[:7], "big") / 2.0**56


@dataclass(frozen=True, kw_only=True)
class Shares:
    """With which chance a conversation is judged."""

    plain: float = 1.0
    """Where the cheap screen found nothing; above 0, because the screen may be blind."""

    suspect: float = 1.0
    """Where it found something."""

    def __post_init__(self) -> None:
        for name, share in (("plain", self.plain), ("suspect", self.suspect)):
            if not 0.0 < share <= 1.0:
                raise ConfigError(
                    f"the share to judge ({name}) must be above 0 and at most 1, got {share}; "
                    "with 0 nothing could be said of those conversations"
                )

    @property
    def largest(self) -> float:
        """What a violation counts as at most: the inverse of the smallest chance."""
        return 1.0 / min(self.plain, self.suspect)

    @property
    def weights(self) -> tuple[float, ...]:
        """What a violation may count as."""
        return tuple(sorted({1.0 / self.plain, 1.0 / self.suspect}))


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Whether a conversation is judged."""

    judged: bool
    chance: float

    @property
    def weight(self) -> float:
        """How many conversations it stands for."""
        return 1.0 / self.chance


def draw(unit: str, *, suspect: bool, shares: Shares, salt: str) -> Draw:
    """Whether a conversation is judged, with the chance that it had.

    Args:
        unit: The conversation.
        suspect: Whether the cheap screen found something.
        shares: The chances.
        salt: Of the watch.

    Example:
        >>> shares = Shares(plain=0.1)
        >>> drawn = [draw(str(n), suspect=False, shares=shares, salt="w") for n in range(2000)]
        >>> 150 < sum(each.judged for each in drawn) < 250
        True
    """
    chance = shares.suspect if suspect else shares.plain
    return Draw(judged=stable_uniform(salt, unit) < chance, chance=chance)
