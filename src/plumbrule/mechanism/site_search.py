"""Find the sites of a causal language model by what its parts do, and check them.

Nothing is looked up by the family's name: layers are modules that hand one tensor on to each other,
attention is what lets an earlier token reach a later one, and what a sublayer writes is what adds
up to the layer's output.

Axes: B rows, T tokens, D width, H heads, E width of a head.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from plumbrule.errors import ModelError
from plumbrule.mechanism.hooks import patched
from plumbrule.mechanism.sites import Layer, Site, Sites
from plumbrule.mechanism.tracing import (
    Call,
    Trace,
    first_tensor,
    forward,
    trace,
    with_first_tensor,
)
from plumbrule.models.modules import evaluation_mode

ADDS_UP = 1e-4
"""Largest error, as a share of the layer's output, with which sublayers' writes add up to it; more
in half precision."""


def find_sites(module: Any) -> Sites:
    """Find the sites of a causal language model and check them.

    Args:
        module: A model of transformers, on one device; left as it was.

    Raises:
        ModelError: A part cannot be found, or what is read there is not what the model computes;
            the class and the part are named.
    """
    seen = trace(module)
    family = type(module).__name__
    chain = _chain(module, seen, family)
    unembedding = module.get_output_embeddings()
    names = {id(each): path for path, each in module.named_modules()}
    sites = [
        Site(name="embed", path=chain[0].path, side="in"),
    ]
    layers, missing = [], []
    for number, call in enumerate(chain):
        layer, inner, lacking = _layer(module, seen, number, call)
        layers.append(layer)
        sites += [
            Site(name=f"{number}.in", path=call.path, side="in"),
            *inner,
            Site(name=f"{number}.out", path=call.path, side="out"),
        ]
        missing += lacking
    if unembedding is not None and id(unembedding) in names:
        last = seen.at(names[id(unembedding)])
        if last is not None and seen.wide(last.taken):
            sites.append(Site(name="final", path=last.path, side="in"))
    if sites[-1].name != "final":
        missing.append(("final", "the unembedding does not read one vector a token"))
    found = Sites(
        family=family,
        width=seen.width,
        vocabulary=int(seen.logits.shape[-1]),
        sites=tuple(sites),
        layers=tuple(layers),
        missing=tuple(missing),
    )
    check(module, found, seen)
    return found


def _chain(module: Any, seen: Trace, family: str) -> list[Call]:
    """The decoder layers: calls of one list's members that hand their tensor on to each other."""
    import torch

    best: list[Call] = []
    for path, part in module.named_modules():
        if not isinstance(part, torch.nn.ModuleList):
            continue
        calls = [seen.at(f"{path}.{at}" if path else str(at)) for at in range(len(part))]
        there = [call for call in calls if call is not None]
        if len(there) != len(part) or not there:
            continue
        if not all(seen.wide(call.taken) and seen.wide(call.given) for call in there):
            continue
        ordered = all(one.order < other.order for one, other in pairwise(there))
        if ordered and _handed_on(there) and len(there) > len(best):
            best = there
    if not best:
        raise ModelError(
            f"{family}: no list of layers that hand one vector of {seen.width} numbers a token on "
            "to each other; layers that are shared, run twice or keep another width are not "
            "supported"
        )
    return best


def _handed_on(calls: Sequence[Call]) -> bool:
    """Whether the output of each module is the input of the next."""
    import torch

    return all(
        one.given is other.taken or torch.equal(one.given, other.taken)
        for one, other in pairwise(calls)
    )


def _layer(
    module: Any, seen: Trace, number: int, call: Call
) -> tuple[Layer, list[Site], list[tuple[str, str]]]:
    """What happens inside one layer."""
    inside = [
        each
        for each in seen.calls
        if each.path.startswith(f"{call.path}.") and seen.wide(each.given)
    ]
    mixer = _mixer(inside)
    writes = _writes(call, inside, mixer)
    sites: list[Site] = []
    missing: list[tuple[str, str]] = []
    reason = "what the layer's parts give out does not add up to what it adds"
    if writes is None:
        missing += [(f"{number}.attn", reason), (f"{number}.mlp", reason)]
    mixing, thinking = writes or (None, None)
    heads = _heads(seen, mixer, mixing, _head_count(module, number))
    if heads is not None:
        sites.append(Site(name=f"{number}.heads", path=heads[0], side="in", heads=heads[1]))
    else:
        missing.append((f"{number}.heads", "no projection reads all heads side by side"))
    if mixing is not None:
        sites.append(Site(name=f"{number}.attn", path=mixing[0].path, side="out", scale=mixing[1]))
    if thinking is not None:
        sites.append(
            Site(name=f"{number}.mlp", path=thinking[0].path, side="out", scale=thinking[1])
        )
    elif writes is not None:
        missing.append((f"{number}.mlp", "the layer has no part that works on each token alone"))
    mlp = thinking[0].path if thinking else None
    return (
        Layer(
            path=call.path,
            mixer=mixer.path if mixer else None,
            mlp=mlp,
            additive=writes is not None,
        ),
        sites,
        missing,
    )


def _within(call: Call, other: Call) -> bool:
    return call.path == other.path or call.path.startswith(f"{other.path}.")


def _mixer(inside: Sequence[Call]) -> Call | None:
    """The outermost part through which an earlier token reaches a later one; None if none does."""
    outer = sorted(inside, key=lambda each: each.path.count("."))
    return next((each for each in outer if _mixes(each)), None)


def _mixes(call: Call) -> bool:
    """Whether a change of the first token changes a module's output at the last one."""
    import torch

    if call.taken is None or call.taken.dim() != 3 or not call.taken.is_floating_point():
        return False
    changed = call.taken.clone()
    changed[:, 0] = changed[:, 0].flip(-1) + 1.0
    arguments, keywords = exchanged(call, changed)
    try:
        with evaluation_mode(call.module), torch.no_grad():
            plain = first_tensor(call.module(*call.arguments, **call.keywords))
            other = first_tensor(call.module(*arguments, **keywords))
    except Exception:  # a part that cannot be run by itself is not understood, and not used
        return False
    return bool(plain.shape == other.shape and not torch.equal(plain[:, -1], other[:, -1]))


def exchanged(call: Call, tensor: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call, with the first tensor replaced."""
    for at, each in enumerate(call.arguments):
        if first_tensor(each) is call.taken:
            rest = list(call.arguments)
            rest[at] = with_first_tensor(each, tensor)
            return tuple(rest), dict(call.keywords)
    for name, each in call.keywords.items():
        if first_tensor(each) is call.taken:
            return call.arguments, {**call.keywords, name: with_first_tensor(each, tensor)}
    return call.arguments, dict(call.keywords)


Write = tuple[Call, float]
"""A part, and what its output is multiplied by before it is added."""


def _writes(
    call: Call, inside: Sequence[Call], mixer: Call | None
) -> tuple[Write | None, Write | None] | None:
    """The parts whose outputs make up what the layer adds: one that mixes tokens, one that not.

    Candidates are tried from the layer's own children inwards; a norm behind a sublayer is found
    in its stead where the layer adds what has passed the norm.
    """
    import torch

    added = (call.given - call.taken).double()
    if not bool(added.isfinite().all()):
        raise ModelError(
            f"expected weights that give numbers, {call.path} gives NaN or infinity for ordinary "
            "text; they are damaged: copy them again"
        )
    # In half precision the sum itself is rounded.
    rounding = max(ADDS_UP, 2 * torch.finfo(call.given.dtype).eps)
    error = rounding * float(call.given.double().norm())
    if mixer is None:
        return None
    # Where a sublayer adds the residual stream itself, what it adds is given out by a part of it.
    parts = [each for each in inside if _within(each, mixer) and each is not mixer]
    mixing = [mixer, *(each for each in inside if _follows(each, mixer)), *reversed(parts)]
    others = [each for each in inside if not _within(each, mixer)]
    others.sort(key=lambda each: (each.path.count("."), each.order))
    for one in mixing[:8]:
        alone = one.given.double().reshape(added.shape)
        scale = float((added * alone).sum() / (alone * alone).sum().clamp(min=1e-30))
        if float((added - scale * alone).norm()) <= error:
            return (one, scale), None
    for one in mixing[:8]:
        for other in others:
            if other is one:
                continue
            pair = torch.stack([one.given.double().flatten(), other.given.double().flatten()], 1)
            scales = torch.linalg.lstsq(pair, added.flatten()[:, None]).solution[:, 0]
            if float((added.flatten() - pair @ scales).norm()) <= error:
                first, second = (float(each) for each in scales)
                if min(abs(first), abs(second)) > 1e-3:
                    return (one, _tidy(first, rounding)), (other, _tidy(second, rounding))
    return None


def _tidy(scale: float, rounding: float) -> float:
    """A scale without the rounding with which it was found."""
    return 1.0 if abs(scale - 1.0) < rounding else scale


def _follows(call: Call, mixer: Call) -> bool:
    """Whether a part's input is the mixer's output, as for a norm behind it."""
    return call is not mixer and same(call.taken, mixer.given)


def same(one: Any, other: Any) -> bool:
    """Whether two activations are the same numbers in the same shape."""
    if one is None or one.shape != other.shape:
        return False
    return one is other or bool((one == other).all())


def _heads(
    seen: Trace, mixer: Call | None, write: Write | None, count: int | None
) -> tuple[str, int] | None:
    """The projection that reads all heads side by side, and how many there are."""
    if mixer is None or not count:
        return None
    ends = [mixer.given, *([write[0].given] if write else [])]
    for each in seen.calls:
        if not each.path.startswith(f"{mixer.path}.") or each.taken is None:
            continue
        taken = tuple(each.taken.shape)
        if (
            any(same(each.given, end) for end in ends)
            and getattr(each.module, "weight", None) is not None
            and each.module.weight.dim() == 2
            and taken[:2] == tuple(mixer.given.shape[:2])
            and len(taken) == 3
            and taken[-1] % count == 0
        ):
            return each.path, count
    return None


def _head_count(module: Any, layer: int) -> int | None:
    """How many query heads a layer has, as the configuration says."""
    config = module.config
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    # Where layers differ, each has a configuration of its own, and the common one refuses to say.
    own = getattr(text, "per_layer_config", None)
    if own is not None and len(own) > layer:
        text = own[layer]
    for name in ("num_attention_heads", "n_head", "num_heads", "decoder_attention_heads"):
        value = getattr(text, name, None)
        if isinstance(value, int):
            return value
    return None


def check(module: Any, found: Sites, seen: Trace) -> None:
    """Hold the sites against the model itself.

    What is read at the layers must be what the model says its hidden states are, and putting back
    what was read must change nothing.

    Raises:
        ModelError: It is not so.
    """
    import torch

    family = found.family
    if seen.hidden_states is not None and len(seen.hidden_states) > len(found.layers):
        calls = [seen.at(layer.path) for layer in found.layers]
        states = seen.hidden_states[: len(calls)]
        # Some families give what goes into their layers, some what comes out of them.
        for number, (call, state) in enumerate(zip(calls, states, strict=True)):
            assert call is not None
            if not (same(call.taken, state) or same(call.given, state)):
                raise ModelError(
                    f"{family}: neither what layer {number} ({call.path}) takes in nor what it "
                    f"gives out is the hidden state {number} that the model itself gives; it is "
                    "not read rightly"
                )
    exchanged = {}
    for site in found.sites:
        call = seen.at(site.path)
        assert call is not None
        exchanged[site.name] = call.taken if site.side == "in" else call.given
    with evaluation_mode(module), torch.no_grad(), patched(module, found, exchanged):
        again = forward(module, seen.ids)["logits"]
    if not torch.equal(again, seen.logits):
        raise ModelError(
            f"{family}: putting back what was read changes the logits by up to "
            f"{float((again - seen.logits).abs().max()):.2g}; it is not read rightly"
        )
