"""`HookedTransformer` of TransformerLens 3: what most published work was done with."""

from pathlib import Path
from typing import Any

from benchmarks.peers.lens import HOOKS, jobs_of
from benchmarks.peers.serving import Jobs, Work, serve


def opened(folder: Path) -> Jobs:
    """A model of transformers in TransformerLens's own modules; no weight is folded or centered."""
    import torch
    from transformer_lens import HookedTransformer  # type: ignore[import-not-found]
    from transformers import AutoModelForCausalLM

    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    cfg, state = converted(theirs)
    model = HookedTransformer(cfg)
    # Masks and biases that the family has not stay as made; that logits agree is checked later.
    model.load_state_dict(state, strict=False)
    model.eval()

    def attributing(
        clean: list[list[int]], corrupted: list[list[int]], good: int, bad: int
    ) -> Work:
        names = {"embed": "hook_embed"}
        for layer in range(cfg.n_layers):
            names |= {f"{layer}.{kind}": HOOKS[kind].format(layer) for kind in ("heads", "mlp")}
        pair = torch.tensor(clean), torch.tensor(corrupted)

        def run() -> Any:
            with torch.no_grad():
                there = model.run_with_cache(pair[0], names_filter=list(names.values()))[1]
            here: dict[str, Any] = {}
            slopes: dict[str, Any] = {}
            with model.hooks(
                fwd_hooks=[(name, into(here)) for name in names.values()],
                bwd_hooks=[(name, into(slopes)) for name in names.values()],
            ):
                logits = model(pair[1])
                (logits[:, -1, good] - logits[:, -1, bad]).sum().backward()
            model.zero_grad()
            return {
                site: ((there[hook] - here[hook]) * slopes[hook]).sum(-1).mean(0)
                for site, hook in names.items()
            }

        return Work(
            run=run,
            named=lambda found: {
                site: value.numpy().reshape(len(value), -1) for site, value in found.items()
            },
        )

    def one_edges(
        clean: list[int], corrupted: list[int], good: int, bad: int, edges: list[str]
    ) -> Work:
        pair = torch.tensor([clean]), torch.tensor([corrupted])

        def run() -> Any:
            with torch.no_grad():
                return {edge: patched_edge(model, *pair, good, bad, edge) for edge in edges}

        return Work(run=run, named=lambda found: {name: value for name, value in found.items()})

    return {**jobs_of(model, attributing), "one_edges": one_edges}


def patched_edge(model: Any, clean: Any, corrupted: Any, good: int, bad: int, edge: str) -> float:
    """One edge from a head to a query or an MLP, by hooks: there is no function for it.

    Args:
        model: A `HookedTransformer`.
        clean: Tokens, (1, T).
        corrupted: Tokens, (1, T).
        good: One answer.
        bad: The other.
        edge: Such as `0.heads.1 -> 5.q.2` or `0.heads.1 -> 5.mlp.in`.
    """
    writer, reader = edge.split(" -> ")
    layer, _, head = writer.split(".")
    hook = f"blocks.{layer}.attn.hook_z"
    here, there = (
        model.run_with_cache(ids, names_filter=hook)[1][hook][0, :, int(head)]
        for ids in (clean, corrupted)
    )
    added = (there - here) @ model.blocks[int(layer)].attn.W_O[int(head)]
    at, kind, own = reader.split(".")
    block = model.blocks[int(at)]
    if kind == "mlp":
        model.set_use_hook_mlp_in(True)
        hooks = [(f"blocks.{at}.hook_mlp_in", lambda value, hook: value + added)]
    else:
        held: list[Any] = []

        def keep(value: Any, hook: Any) -> None:
            held.append(value)

        def exchange(value: Any, hook: Any) -> Any:
            value[:, :, int(own)] = block.ln1(held[0] + added) @ block.attn.W_Q[int(own)]
            return value

        hooks = [(f"blocks.{at}.hook_resid_pre", keep), (f"blocks.{at}.attn.hook_q", exchange)]
    logits = model.run_with_hooks(clean, fwd_hooks=hooks)[0, -1]
    model.set_use_hook_mlp_in(False)
    return float(logits[good] - logits[bad])


def into(kept: dict[str, Any]) -> Any:
    """A hook that keeps what passes."""

    def keep(value: Any, hook: Any) -> None:
        kept[hook.name] = value.detach()

    return keep


def converted(module: Any) -> tuple[Any, dict[str, Any]]:
    """A configuration and weights as TransformerLens has them."""
    from transformer_lens import HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import (  # type: ignore[import-not-found]
        convert_gpt2_weights,
        convert_llama_weights,
    )

    given = module.config
    if given.model_type == "gpt2":
        cfg = HookedTransformerConfig(
            n_layers=given.n_layer,
            d_model=given.n_embd,
            d_head=given.n_embd // given.n_head,
            n_heads=given.n_head,
            d_mlp=4 * given.n_embd,
            n_ctx=given.n_positions,
            d_vocab=given.vocab_size,
            act_fn="gelu_new",
            eps=given.layer_norm_epsilon,
            normalization_type="LN",
        )
        return cfg, convert_gpt2_weights(module, cfg)
    cfg = HookedTransformerConfig(
        n_layers=given.num_hidden_layers,
        d_model=given.hidden_size,
        d_head=given.hidden_size // given.num_attention_heads,
        n_heads=given.num_attention_heads,
        n_key_value_heads=given.num_key_value_heads,
        d_mlp=given.intermediate_size,
        n_ctx=given.max_position_embeddings,
        d_vocab=given.vocab_size,
        act_fn="silu",
        eps=given.rms_norm_eps,
        normalization_type="RMS",
        positional_embedding_type="rotary",
        rotary_dim=given.hidden_size // given.num_attention_heads,
        rotary_adjacent_pairs=False,
        rotary_base=(given.rope_parameters or {}).get("rope_theta", 10000.0),
        final_rms=True,
        gated_mlp=True,
    )
    return cfg, convert_llama_weights(module, cfg)


if __name__ == "__main__":
    serve(opened)
