"""TransformerLens's side of the comparison, with its own functions for each job."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.peers.serving import Jobs, Work

HOOKS = {
    "in": "blocks.{}.hook_resid_pre",
    "attn": "blocks.{}.hook_attn_out",
    "heads": "blocks.{}.attn.hook_z",
    "mlp": "blocks.{}.hook_mlp_out",
    "out": "blocks.{}.hook_resid_post",
}
"""What Plumbrule's sites are called here."""


def jobs_of(model: Any, nodes: Callable[..., Work]) -> Jobs:
    """What can be asked of a model.

    Args:
        model: A `HookedTransformer` or a `TransformerBridge`.
        nodes: The job of attribution patching, which differs between both.
    """
    import torch
    from transformer_lens import patching  # type: ignore[import-not-found]
    from transformer_lens.head_detector import detect_head  # type: ignore[import-not-found]

    layers = range(model.cfg.n_layers)
    names = {
        f"{layer}.{kind}": hook.format(layer) for layer in layers for kind, hook in HOOKS.items()
    }
    names["embed"] = names["0.in"]
    stream = [names[f"{layer}.out"] for layer in layers]

    def plain(ids: list[int]) -> Work:
        def run() -> Any:
            with torch.no_grad():
                return model(torch.tensor([ids]))

        return Work(run=run, named=lambda found: {"logits": found.numpy()})

    def capturing(wanted: Sequence[str] | None) -> Callable[..., Work]:
        def job(ids: list[int]) -> Work:
            def run() -> Any:
                with torch.no_grad():
                    chosen = None if wanted is None else list(wanted)
                    return model.run_with_cache(torch.tensor([ids]), names_filter=chosen)[
                        1
                    ].cache_dict

            return Work(run=run, named=lambda found: by_site(found, names))

        return job

    def patterns(ids: list[int]) -> Work:
        hooks = [f"blocks.{layer}.attn.hook_pattern" for layer in layers]

        def run() -> Any:
            with torch.no_grad():
                return model.run_with_cache(torch.tensor([ids]), names_filter=hooks)[1]

        return Work(
            run=run,
            named=lambda cache: {
                f"{layer}.pattern": cache[hook][0].numpy() for layer, hook in enumerate(hooks)
            },
        )

    def scores(rows: list[list[int]], texts: list[str]) -> Work:
        def run() -> Any:
            found = []
            with torch.no_grad():
                for text in texts:
                    # One cache for both kinds, which is the least that these functions allow.
                    cache = model.run_with_cache(text, remove_batch_dim=True)[1]
                    found.append(
                        [
                            detect_head(model, text, f"{kind}_head", cache=cache)
                            for kind in ("previous_token", "induction")
                        ]
                    )
            return found

        return Work(
            run=run,
            named=lambda found: {
                role: torch.stack([each[at] for each in found]).mean(0).numpy()
                for at, role in enumerate(("previous", "induction"))
            },
        )

    def filtered_scores(rows: list[list[int]], texts: list[str]) -> Work:
        hooks = [f"blocks.{layer}.attn.hook_pattern" for layer in layers]
        ids = torch.tensor(rows)

        def run() -> Any:
            with torch.no_grad():
                cache = model.run_with_cache(ids, names_filter=hooks, return_type=None)[1]
            before = torch.eye(ids.shape[1]).roll(1, 0)
            before[0] = 0
            same = (ids[:, :, None] == ids[:, None, :]).float().tril(-1)
            after = same.roll(1, 2)
            after[:, :, 0] = 0
            after = after.tril()
            return [
                torch.stack([(cache[hook] * mask).sum((-1, -2)).mean(0) for hook in hooks])
                / ids.shape[1]
                for mask in (before, after[:, None])
            ]

        return Work(
            run=run,
            named=lambda found: {
                "previous": found[0].numpy(),
                "induction": found[1].numpy(),
            },
        )

    def lens(ids: list[int]) -> Work:
        def run() -> Any:
            with torch.no_grad():
                cache = model.run_with_cache(torch.tensor([ids]), names_filter=stream)[1]
                last = torch.stack([cache[name][:, -1:] for name in stream])
                return [model.unembed(model.ln_final(each))[0, 0] for each in last]

        return Work(
            run=run,
            named=lambda found: {"lens": torch.stack(found).log_softmax(-1).numpy()},
        )

    def patching_of(kind: str, sweep: Any, hook: str) -> Callable[..., Work]:
        needed = [hook.format(layer) for layer in layers]

        def job(clean: list[int], corrupted: list[int], good: int, bad: int) -> Work:
            def metric(logits: Any) -> Any:
                return logits[0, -1, good] - logits[0, -1, bad]

            def run() -> Any:
                with torch.no_grad():
                    cache = model.run_with_cache(torch.tensor([clean]), names_filter=needed)[1]
                    return sweep(model, torch.tensor([corrupted]), cache, metric)

            return Work(run=run, named=lambda found: {kind: found.numpy()})

        return job

    return {
        "plain": plain,
        "capture_all": capturing(None),
        "capture_same": capturing(list(dict.fromkeys(names.values()))),
        "capture_stream": capturing(stream),
        "patch_stream": patching_of("in", patching.get_act_patch_resid_pre, HOOKS["in"]),
        "patch_heads": patching_of(
            "heads", patching.get_act_patch_attn_head_out_all_pos, HOOKS["heads"]
        ),
        "nodes": nodes,
        "patterns": patterns,
        "head_scores": scores,
        "filtered_scores": filtered_scores,
        "lens": lens,
    }


def by_site(cache: Any, names: Mapping[str, str]) -> dict[str, np.ndarray]:
    """What a cache holds at Plumbrule's sites: (T, D), heads side by side."""
    found = {}
    for site, hook in names.items():
        if hook in cache:
            value = cache[hook][0]
            found[site] = value.reshape(len(value), -1).detach().numpy()
    return found
