"""Random models of two families, in folders that every side can open."""

from pathlib import Path
from typing import Any

WIDTH, LAYERS, HEADS, KEY_VALUE_HEADS, VOCABULARY = 512, 8, 8, 2, 5000

GAIN = 0.9
"""How much a random matrix stretches a vector: more than families draw with, so that what tokens do
to each other is well above rounding."""

FAMILIES = ("gpt2", "llama")


def write(family: str, folder: Path, *, quick: bool, seed: int = 0) -> None:
    """Draw a model and save it with a tokenizer of its numbers.

    Args:
        family: `gpt2`, or `llama` with grouped-query attention.
        folder: Gets it.
        quick: Half as many layers, a quarter of the width.
        seed: Of the weights.
    """
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(seed)
    module = AutoModelForCausalLM.from_config(_config(family, quick=quick)).eval()
    module.save_pretrained(folder)
    words = WordLevel({str(number): number for number in range(VOCABULARY)}, unk_token="0")
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(words),
        unk_token="0",
        bos_token="0",
        eos_token="0",
        pad_token="0",
    ).save_pretrained(folder)


def _config(family: str, *, quick: bool) -> Any:
    from transformers import GPT2Config, LlamaConfig

    width, layers = (WIDTH // 4, LAYERS // 2) if quick else (WIDTH, LAYERS)
    common = {"vocab_size": VOCABULARY, "initializer_range": GAIN / width**0.5}
    common |= {"bos_token_id": 0, "eos_token_id": 0}
    if family == "gpt2":
        return GPT2Config(n_layer=layers, n_embd=width, n_head=HEADS, n_positions=512, **common)
    return LlamaConfig(
        hidden_size=width,
        intermediate_size=width * 11 // 4,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_VALUE_HEADS,
        max_position_embeddings=512,
        **common,
    )
