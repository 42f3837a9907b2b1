"""Parts of a model that compute nothing on purpose.

Whatever a blueprint leaves free is filled with them: every further head, and some neurons in each
MLP. They read the whole stream, what the circuit writes included, and write about as much as it
does, to where no part of the circuit reads. Only the answers hear a murmur of them.

Axes: N named coordinates.
"""

import numpy as np

from plumbrule.lab.circuits.blueprint import CHATTER, NOISE, ONE
from plumbrule.lab.circuits.coordinates import Coordinates, Matrix

NOISE_SIZE = 16
CHANNELS = 8
"""Channels of a distractor's key and value."""

NEURONS = 24
"""Distracting neurons in each MLP."""

READ_SIZE = 0.5
"""Standard deviation of what distractors read with, which gives scores a spread of some nats."""

NOISE_SHARE = 0.3
"""How much less distractors read of each other's writes, so that these do not grow with depth."""

WRITE_SIZE = 0.2
"""Standard deviation of what distracting heads write with: writes then are about as long as a
circuit's, which have length 1."""

CHATTER_SIZE = 0.3
"""Standard deviation of what they write to chatter, as a share of what they write to noise."""

MURMUR = 0.02
"""The same for what the answers are read from. It makes every distractor matter a little, from
prompt to prompt in another direction; no edge then moves more than some 1.5% of the whole."""

LOUD = 0.06
"""A murmur at which finding the circuit is harder: single edges outside move up to 4.5%."""


class Distractors:
    """Draws random parts."""

    def __init__(
        self, places: Coordinates, answers: tuple[str, ...], murmur: float, rng: np.random.Generator
    ) -> None:
        """Take what there is to read and write.

        Args:
            places: Where each subspace lies.
            answers: Subspaces that answers are read from.
            murmur: How much is written there, as a share of what is written to noise.
            rng: Of all that is drawn.
        """
        self.places, self.answers, self.murmur, self.rng = places, answers, murmur, rng

    def reading(self, channels: int, size: float) -> Matrix:
        """(N, channels); what is always there tells nothing, so it is left out."""
        found: np.ndarray = self.rng.normal(size=(self.places.total, channels)) * size
        found[self.places[ONE]] = 0.0
        found[self.places[NOISE]] *= NOISE_SHARE
        found[self.places[CHATTER]] *= NOISE_SHARE
        return found

    def writing(self, channels: int, size: float) -> Matrix:
        """(channels, N), to noise, chatter and a murmur of answers."""
        found = self.places.rows(channels)
        shares = {NOISE: 1.0, CHATTER: CHATTER_SIZE} | dict.fromkeys(self.answers, self.murmur)
        for name, share in shares.items():
            drawn = self.rng.normal(size=(channels, self.places.sizes[name]))
            found[:, self.places[name]] = share * size * drawn
        return found
