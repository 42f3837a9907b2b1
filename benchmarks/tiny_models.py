"""Tiny random versions of every causal language model that transformers can build.

A configuration is shrunk by what its fields are called: whatever says width, layers, heads, experts
or vocabulary is made small, in nested configurations too. A few families need a word more, `EXTRA`.
Where the sizes do not fit together, the reason is kept.
"""

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MOST_PARAMETERS = 100_000_000
"""Parameters from which a model counts as not shrunk."""

WIDTH, HEADS, HEAD_WIDTH, LAYERS, VOCABULARY = 64, 4, 16, 4, 160

SIZES: tuple[tuple[str, int], ...] = (
    (r"(hidden_size|d_model|n_embd|dim|embedding_size|emb_dim|hidden_dim|dim_model)", WIDTH),
    (r"(word_embed_proj_dim|input_embedding_size|embed_dim|embedding_dim|width)", WIDTH),
    (r"(hidden_size_per_layer_input|lru_width|attention_hidden_size)", WIDTH),
    (r"(num_hidden_layers|n_layers?|num_layers|decoder_layers|encoder_layers)", LAYERS),
    (r"(num_decoder_layers|num_encoder_layers)", LAYERS),
    (r"(num_attention_heads|n_heads?|num_heads|decoder_attention_heads)", HEADS),
    (r"(encoder_attention_heads|num_decoder_attention_heads|num_encoder_attention_heads)", HEADS),
    (r"(num_key_value_heads|num_kv_heads|multi_query_group_num)", 2),
    (r"(head_dim|d_kv|global_head_dim|v_head_dim|attention_head_size)", HEAD_WIDTH),
    (r"(qk_nope_head_dim|qk_rope_head_dim|index_head_dim|dim_head)", HEAD_WIDTH),
    (r"(q_lora_rank|kv_lora_rank|o_lora_rank)", 16),
    (r"(intermediate_size|ffn_dim|d_ff|n_inner|dim_ff|decoder_ffn_dim|encoder_ffn_dim)", 96),
    (
        r"(ffn_hidden_size|expert_ffn_hidden_size|feed_forward_size|\w*_intermediate_size|\w*_ffn_dim|shared_ffn_size)",
        96,
    ),
    (r"(vocab_size|src_vocab_size|tgt_vocab_size|vocab_size_per_layer_input|n_vocab)", VOCABULARY),
    (
        r"(max_position_embeddings|n_positions|n_ctx|max_seq_len|seq_length|max_sequence_length)",
        128,
    ),
    (r"(num_local_experts|n_routed_experts|num_experts|moe_num_experts|n_experts)", 4),
    (r"(num_experts_per_tok|moe_top_k|moe_topk|moe_k|top_k_experts|num_experts_per_token)", 2),
    (r"(n_group|topk_group|num_expert_group|n_shared_experts|num_shared_experts)", 1),
    (r"(first_k_dense_replace|num_dense_layers|moe_layer_start_index)", 1),
    (r"(mamba_n_heads|mamba_num_heads|n_mamba_heads)", 8),
    (r"(mamba_d_head|mamba_head_dim)", 16),
    (r"(mamba_d_state|ssm_state_size|state_size|mamba_d_ssm)", 16),
    (r"(mamba_n_groups|n_groups|mamba_ngroups)", 1),
    (r"(mamba_chunk_size|chunk_size)", 16),
    (r"(linear_num_key_heads|linear_num_value_heads)", 4),
    (r"(linear_key_head_dim|linear_value_head_dim)", 16),
    (r"(rotary_dim)", 8),
    (r"(num_codebooks)", 1),
    (r"(encoder_hash_byte_group_vocab)", 50),
    (r"(zero_expert_num)", 2),
)
"""What fields are called, and the size they get; the first that fits."""


@dataclass(frozen=True, kw_only=True)
class Tiny:
    """One class, built or not."""

    name: str
    module: Any
    reason: str | None = None
    """Why it was not built."""


def class_names() -> list[str]:
    """Every causal language model class of the installed transformers."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted(set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()))


def shrunk(config_class: Any, extra: Mapping[str, Any] | None = None) -> Any:
    """A configuration with every size small."""
    default = config_class()
    given: dict[str, Any] = {}
    nested = getattr(config_class, "sub_configs", {}) or {}
    for name, kind in nested.items():
        value = getattr(default, name, None)
        if value is not None:
            given[name] = shrunk(type(value)).to_dict()
        elif inspect.isclass(kind) and kind.__name__ != "AutoConfig":
            given[name] = shrunk(kind).to_dict()
    fields = {**{name: _value(default, name) for name in SPECIAL}, **default.to_dict()}
    for name, value in fields.items():
        if isinstance(value, bool) or not isinstance(value, int):
            continue
        for pattern, size in SIZES:
            if re.fullmatch(pattern, name) and not _fixed(config_class, name):
                given[name] = size
                break
    for name, size in UNSET.items():
        if fields.get(name, 0) is None and not _fixed(config_class, name):
            given[name] = size
    heads = [fields.get(name) for name in ("num_attention_heads", "num_key_value_heads")]
    if "num_key_value_heads" in given and heads[0] == heads[1]:
        given["num_key_value_heads"] = HEADS
    for name in ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"):
        if hasattr(default, name):
            given[name] = {"pad_token_id": 0, "bos_token_id": 1}.get(name, 2)
    for name, value in fields.items():
        if isinstance(value, list) and name in PER_LAYER:
            given[name] = _per_layer(value)
    for name in ("is_decoder", "add_cross_attention"):
        if hasattr(default, name):
            given[name] = name == "is_decoder"
    return config_class(**{**given, **(extra or {})})


def _value(config: Any, name: str) -> Any:
    """A field that may be a property, or differ by layer."""
    try:
        return getattr(config, name)
    except Exception:
        return 0


def _fixed(config_class: Any, name: str) -> bool:
    """Whether a field is computed from others."""
    there = getattr(config_class, name, None)
    return isinstance(there, property) and there.fset is None


EXTRA: Mapping[str, Mapping[str, Any]] = {
    "Lfm2MoeForCausalLM": {"layer_types": ["conv", "full_attention"] * 2},
    "Gemma3nForCausalLM": {"num_kv_shared_layers": 0, "layer_types": ["full_attention"] * 4},
    "Zamba2ForCausalLM": {
        "attention_hidden_size": 128,
        "attention_head_dim": 32,
        "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"],
        "num_mem_blocks": 1,
    },
    "GPTNeoForCausalLM": {"attention_types": [[["global", "local"], 2]]},
    "Mamba2ForCausalLM": {"num_heads": 8},
    "ReformerModelWithLMHead": {
        "axial_pos_embds_dim": [32, 32],
        "axial_pos_shape": [8, 16],
        "attn_layers": ["local", "lsh"] * 2,
        "is_decoder": True,
    },
    "XmodForCausalLM": {"default_language": "en_XX", "languages": ["en_XX"]},
    "ZambaForCausalLM": {"attention_hidden_size": 128, "attention_head_dim": 32},
    "ZayaForCausalLM": {"num_experts_per_tok": 1},
    "FalconH1ForCausalLM": {"mamba_d_ssm": 128},
}
"""What the sizes alone do not say."""

UNSET = {
    "head_dim": HEAD_WIDTH,
    "num_key_value_heads": 2,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "n_shared_experts": 1,
    "moe_intermediate_size": 32,
}
"""Sizes of fields that must be given where the default leaves them open."""

SPECIAL = ("num_key_value_heads", "head_dim")
PER_LAYER = (
    "layer_types",
    "layers_block_type",
    "block_types",
    "mlp_layer_types",
    "attention_types",
    "hybrid_layer_ids",
    "no_rope_layers",
    "full_attn_idxs",
)


def _per_layer(values: list[Any]) -> list[Any]:
    """As many values as there are layers, each kind among them."""
    kinds = list(dict.fromkeys(str(value) for value in values))
    by_name = {str(value): value for value in values}
    if all(isinstance(value, int) for value in values) and len(kinds) > 2:
        return values[:LAYERS]
    return [by_name[kinds[at % len(kinds)]] for at in range(LAYERS)]


def build(name: str, *, seed: int = 0) -> Tiny:
    """Build one class tiny, with random weights.

    Args:
        name: The class, as transformers calls it.
        seed: Of the weights.
    """
    import torch
    import transformers

    try:
        kind = getattr(transformers, name)
        config = shrunk(kind.config_class, EXTRA.get(name))
        with torch.device("meta"):
            size = sum(one.numel() for one in kind._from_config(config).parameters())
        if size > MOST_PARAMETERS:
            return Tiny(name=name, module=None, reason=f"{size} parameters after shrinking")
        torch.manual_seed(seed)
        module = kind._from_config(config).eval()
        return Tiny(name=name, module=module)
    except Exception as error:
        return Tiny(name=name, module=None, reason=f"{type(error).__name__}: {str(error)[:200]}")


def built(names: list[str] | None = None) -> Iterator[Tiny]:
    """Every class in turn."""
    for name in names or class_names():
        yield build(name)
