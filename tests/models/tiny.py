"""Tiny random models of many kinds, and one small tokenizer for all of them."""

from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from plumbrule.records import Message

SPECIAL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CORPUS = [
    "The cook puts four apples, a loaf and some tea on the table by the window.",
    "Who keeps the key of the old mill? Ada keeps it, and nobody else may have it.",
    "Yes, I can help with that. No, I will not do this. Answer with A or B.",
    "Say what you think of the plan, and say it plainly.",
]
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
WIDE = {**SMALL, "num_key_value_heads": 2, "intermediate_size": 48, "head_dim": 8}
MOE = {"num_local_experts": 3, "num_experts_per_tok": 2}
KINDS: dict[str, dict[str, Any]] = {
    "llama": WIDE,
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128},
    "gpt_neox": {**SMALL, "intermediate_size": 48},
    "mistral": {**WIDE, "sliding_window": 16},
    "qwen2": WIDE,
    "qwen3": WIDE,
    "gemma2": {**WIDE, "sliding_window": 16, "query_pre_attn_scalar": 8},
    "gemma3_text": {**WIDE, "sliding_window": 16, "query_pre_attn_scalar": 8},
    "phi3": {**WIDE, "pad_token_id": 0},
    "opt": {**SMALL, "ffn_dim": 48, "word_embed_proj_dim": 32},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "falcon": {**SMALL, "new_decoder_architecture": False, "alibi": False},
    "mixtral": {**WIDE, **MOE},
    "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
    "rwkv": {"hidden_size": 32, "num_hidden_layers": 2, "attention_hidden_size": 32},
    "jamba": {
        **WIDE,
        "num_experts": 1,
        "mamba_d_state": 4,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
    },
    "openai-gpt": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128},
}
LIMITED = set(KINDS) - {"gpt2", "openai-gpt", "bloom", "mamba", "rwkv"}
"""Kinds that take a context window under the usual name."""


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level, so that any text survives; about 400 tokens."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    outer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        additional_special_tokens=SPECIAL[2:],
    )
    outer.chat_template = TEMPLATE
    return outer


def build(kind: str, size: int, **changes: Any) -> Any:
    """A random model of a kind; its logits are spread, so that a wrong route shows."""
    settings = {"vocab_size": size, **KINDS[kind], **changes}
    if kind in LIMITED:
        settings.setdefault("max_position_embeddings", 256)
    ends = {"eos_token_id": 1, "bos_token_id": None, "pad_token_id": 0}
    config = AutoConfig.for_model(kind, **{**ends, **settings})
    torch.manual_seed(7)
    module = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim == 2:
                parameter.mul_(4)
    return module.eval()


def ask(*texts: str) -> list[tuple[Message, ...]]:
    """One dialogue a text."""
    return [(Message("user", text),) for text in texts]


QUESTIONS = ask(
    "Who keeps the key?",
    "Say what you think of the plan, and say it plainly, and then say it again, please.",
    "Help.",
    "Answer with A or B.",
    "The cook puts four apples on the table. What else is there, and who put it there, and why?",
)
