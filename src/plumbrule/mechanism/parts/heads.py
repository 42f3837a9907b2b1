"""What attention heads do: on sequences that are a random one twice, where each role is exact.

A head that looks at the token before, at the same token the time before (duplicate), or at what
came after it then (induction) is known by where it looks. Tokens are random, so that nothing but
the repetition can be used. Every head is tested for every role, and e-BH decides over all of them.

Axes: B sequences, H heads, T tokens.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from plumbrule.errors import ConfigError, ModelError
from plumbrule.mechanism.hooks import last_alone
from plumbrule.mechanism.patching import halving
from plumbrule.mechanism.sites import Sites
from plumbrule.models.modules import evaluation_mode
from plumbrule.records import Estimate, strict
from plumbrule.statistics import e_bh, paired_difference, paired_e_value
from plumbrule.store import derive_seed

Role = Literal["previous", "duplicate", "induction"]
BATCH_TOKENS = 2048
"""Tokens in a batch: tables of attention grow with their square, and logits with the vocabulary."""

ROLES: tuple[Role, ...] = ("previous", "duplicate", "induction")


@strict
@dataclass(frozen=True, kw_only=True)
class HeadRole:
    """One head, held against one role."""

    layer: int
    head: int
    role: Role
    attention: float
    """Mean share of its attention that goes where the role looks."""

    advantage: Estimate
    """The same less what an average other earlier position gets, per sequence."""

    e_value: float
    confirmed: bool
    """Whether it is among the heads claimed to have the role."""


def attention_patterns(module: Any, sites: Sites, ids: Any) -> list[Float[np.ndarray, "B H T T"]]:
    """Where each head looks, layer by layer.

    Args:
        module: The model; its way of computing attention comes back afterwards.
        sites: Its sites.
        ids: Tokens, (B, T).

    Raises:
        ModelError: The model does not give its attention out, or a row does not fit into memory.
    """
    import torch

    def run(rows: list[int]) -> list[Float[np.ndarray, "B H T T"]]:
        out = module(
            input_ids=ids[rows], use_cache=False, output_attentions=True, **last_alone(module)
        )
        return _checked(out.get("attentions"), sites)

    size = max(1, BATCH_TOKENS // ids.shape[1])
    with evaluation_mode(module), torch.no_grad(), _eager(module):
        found = [values for _, values in halving(range(len(ids)), size, run)]
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def _checked(found: Any, sites: Sites) -> list[Float[np.ndarray, "B H T T"]]:
    """Attention by layer as arrays.

    Raises:
        ModelError: A layer's is missing.
    """
    count = len(sites.layers)
    if found is None or len(found) != count or any(each is None for each in found):
        raise ModelError(
            f"{sites.family} does not give the attention of its {count} layers out, so that where "
            "its heads look cannot be read"
        )
    return [each.float().cpu().numpy() for each in found]


@contextmanager
def _eager(module: Any) -> Iterator[None]:
    """Attention computed in the way in which it can be looked at."""
    before = module.config._attn_implementation
    try:
        module.set_attn_implementation("eager")
    except (ValueError, AttributeError) as error:
        raise ModelError(
            f"{type(module).__name__} cannot compute attention so that it can be read: {error}"
        ) from error
    try:
        yield
    finally:
        module.set_attn_implementation(before)


def head_scores(
    module: Any, sites: Sites, ids: Any, *, roles: Sequence[Role] = ROLES
) -> dict[Role, Float[np.ndarray, "L H"]]:
    """The share of each head's attention that goes where a role looks, on any texts.

    `find_heads` says which heads have a role; this only describes them, on texts of one's own.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        ids: Tokens, (B, T).
        roles: What to look for.

    Returns:
        By role, the mean over texts for each of L layers' H heads.

    Raises:
        ModelError: The model does not give its attention out.

    Source:
        The score is that of TransformerLens's `detect_head` with the measure "mul".
    """
    import torch

    rows = torch.as_tensor(ids)
    same = (rows[:, :, None] == rows[:, None, :]).cpu().numpy()
    earlier = np.tril(np.ones(same.shape[1:], dtype=bool), -1)
    repeated = same & earlier
    # What came after an earlier copy: one token to the right of it, up to the token itself.
    after = np.zeros_like(repeated)
    after[:, :, 1:] = repeated[:, :, :-1]
    previous = np.broadcast_to(np.eye(same.shape[1], k=-1, dtype=bool), same.shape)
    masks = {"previous": previous, "duplicate": repeated, "induction": after}
    patterns = attention_patterns(module, sites, rows)
    found: dict[Role, Float[np.ndarray, "L H"]] = {}
    for role in roles:
        mask = masks[role].astype(np.float32)
        found[role] = np.stack(
            [
                np.einsum("bhqk,bqk->h", pattern, mask) / (mask.shape[0] * mask.shape[1])
                for pattern in patterns
            ]
        )
    return found


def find_heads(
    module: Any,
    sites: Sites,
    *,
    seed: int,
    roles: Sequence[Role] = ROLES,
    sequences: int = 64,
    length: int = 20,
    level: float = 0.05,
    minimum_advantage: float = 0.1,
) -> tuple[HeadRole, ...]:
    """Test every head for every role.

    Args:
        module: The model; left as it was.
        sites: Its sites.
        seed: Of the random tokens.
        roles: What to test for.
        sequences: Sequences; each is one independent look.
        length: Tokens of a sequence before it is repeated.
        level: Largest expected share of false claims among the heads claimed to have a role.
        minimum_advantage: Least advantage that makes a role, as a share of all attention.

    Returns:
        Every head under every role, those confirmed first and then by advantage.

    Raises:
        ConfigError: A role or a number is none that can be used.
        ModelError: The model does not give its attention out.

    Source:
        Roles after Elhage et al. (2021) and Olsson et al. (2022), on repeated random tokens; the
        test per sequence and the decision over all heads are ours.
    """
    import torch

    unknown = [role for role in roles if role not in ROLES]
    if unknown or not roles:
        raise ConfigError(f"expected roles among {', '.join(ROLES)}, got {unknown or 'none'}")
    if length < 3 or sequences < 2:
        raise ConfigError(
            f"length must be at least 3 and sequences at least 2, got {length} and {sequences}"
        )
    ids = torch.tensor(
        repeated_tokens(sites.vocabulary, sequences, length, seed=seed),
        device=next(module.parameters()).device,
    )
    patterns = attention_patterns(module, sites, ids)
    looks = [
        (layer, head, role, *_look(pattern[:, head], role, length))
        for layer, pattern in enumerate(patterns)
        for head in range(pattern.shape[1])
        for role in roles
    ]
    e_values = np.array(
        [
            paired_e_value(
                elsewhere, there, minimum_effect=minimum_advantage, alternative="increase"
            )
            for *_, there, elsewhere in looks
        ]
    )
    confirmed = e_bh(e_values, level=level)
    found = [
        HeadRole(
            layer=layer,
            head=head,
            role=role,
            attention=float(there.mean()),
            advantage=paired_difference(
                elsewhere, there, level=1 - level, unit="share of attention per sequence"
            ),
            e_value=float(e_value),
            confirmed=bool(sure),
        )
        for (layer, head, role, there, elsewhere), e_value, sure in zip(
            looks, e_values, confirmed, strict=True
        )
    ]
    return tuple(sorted(found, key=lambda each: (not each.confirmed, -each.advantage.value)))


def repeated_tokens(
    vocabulary: int, sequences: int, length: int, *, seed: int
) -> Int[np.ndarray, "B T"]:
    """Random tokens, each sequence read twice.

    Args:
        vocabulary: Size of the vocabulary. Its first ten tokens are left out where enough others
            are left: many tokenizers keep their marks there.
        sequences: B.
        length: Tokens before the repetition; T is twice as many.
        seed: Of the tokens.
    """
    rng = np.random.default_rng(derive_seed(seed, "heads"))
    lowest = min(10, max(0, vocabulary - length))
    once = np.stack(
        [
            rng.permutation(np.arange(lowest, vocabulary))[:length]
            if vocabulary - lowest >= length
            else rng.integers(lowest, vocabulary, size=length)
            for _ in range(sequences)
        ]
    )
    return np.concatenate([once, once], axis=1)


def _look(
    pattern: Float[np.ndarray, "B T T"], role: Role, length: int
) -> tuple[Float[np.ndarray, " B"], Float[np.ndarray, " B"]]:
    """For each sequence the attention where a role looks, and at an average other position.

    Only the repetition counts: in the first round there is nothing to have seen before.
    """
    back = {"previous": 1, "duplicate": length, "induction": length - 1}[role]
    at = np.arange(length, 2 * length)
    there = pattern[:, at, at - back]
    # What is left goes to the `at` other positions up to the token itself.
    elsewhere = (pattern[:, at, :].sum(-1) - there) / at
    return _share(there.mean(1)), _share(elsewhere.mean(1))


def _share(values: Float[np.ndarray, " B"]) -> Float[np.ndarray, " B"]:
    """Shares without what rounding puts beyond 0 and 1."""
    found: np.ndarray = values.astype(np.float64).clip(0.0, 1.0)
    return found
