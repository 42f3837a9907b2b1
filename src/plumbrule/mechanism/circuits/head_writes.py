"""What each head adds to the residual stream: its own share of what attention adds.

Axes: N rows of a pass, T tokens, D width, H heads, E width of a head.
"""

from typing import Any

from plumbrule.mechanism.sites import Sites


def head_writes(module: Any, sites: Sites, number: int, heads: Any, attn: Any) -> Any:
    """What each head of a layer adds to the stream: (N, H, T, D).

    The projection that sums the heads is linear up to a constant, so that each head's share is its
    own. A norm behind it is taken at the scale that it has in this run, which leaves the shares'
    sum as it is.

    Args:
        module: The model.
        sites: Its sites.
        number: The layer.
        heads: All heads side by side, before the projection.
        attn: What attention adds, before the layer's scale.
    """
    import torch

    site, whole = sites[f"{number}.heads"], sites[f"{number}.attn"]
    parts = dict(module.named_modules())
    projection = parts[site.path]
    count = site.heads or 1
    with torch.no_grad():
        each = torch.eye(heads.shape[-1], dtype=heads.dtype, device=heads.device)[None]
        nothing = projection.forward(torch.zeros_like(each[:, :1]))
        weights = (projection.forward(each) - nothing)[0].reshape(count, -1, attn.shape[-1])
    split = heads.reshape(*heads.shape[:2], count, -1)
    shares = torch.einsum("nthe,hed->nhtd", split, weights)
    if whole.path.startswith(f"{site.path}.") or site.path.startswith(f"{whole.path}."):
        return shares * whole.scale
    if whole.path != site.path:
        shares = _behind_norm(parts[whole.path], shares, attn.reshape(shares[:, 0].shape))
    return shares * whole.scale


def _behind_norm(norm: Any, shares: Any, normed: Any) -> Any:
    """Shares of what is behind a norm without a mean, at the norm's own scale."""
    import torch

    with torch.no_grad():
        direction = norm.forward(torch.ones_like(normed[:1, :1]))[0, 0].double()
    bent = shares.double().sum(1) * direction
    scale = (normed.double() * bent).sum(-1) / (bent * bent).sum(-1).clamp(min=1e-30)
    return (shares.double() * direction * scale[:, None, :, None]).to(normed.dtype)
