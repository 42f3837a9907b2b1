"""Models in GGUF open, and are unpacked once."""

import numpy as np
import pytest
import torch

from plumbrule.errors import ModelError
from plumbrule.models import LocalModel, Sampling, open_model
from plumbrule.records import Message
from plumbrule.store import file_sha256

gguf = pytest.importorskip("gguf", reason="the package gguf is not installed")

WIDTH, INNER, LAYERS, HEADS, CONTEXT = 32, 64, 2, 4, 128
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
ASKED = [(Message("user", "Who keeps the key?"),)]


def letters():
    """The 256 letters that stand for bytes in such tokenizers."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (chr(256 + n) for n in range(256))
    return [chr(byte) if byte in plain else next(others) for byte in range(256)]


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A random model with a byte tokenizer, written with the format's own package."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "here" / "tiny.gguf"
    path.parent.mkdir()
    tokens = ["<|end|>", *letters(), "ab"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, *[1] * 257])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(0)
    writer.add_bos_token_id(0)
    writer.add_chat_template(TEMPLATE)
    rng = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd": (len(tokens), WIDTH),
        "output": (len(tokens), WIDTH),
    }
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            shapes[f"blk.{layer}.{name}"] = (WIDTH, WIDTH)
        for name in ("ffn_gate", "ffn_up"):
            shapes[f"blk.{layer}.{name}"] = (INNER, WIDTH)
        shapes[f"blk.{layer}.ffn_down"] = (WIDTH, INNER)
        shapes[f"blk.{layer}.attn_norm"] = shapes[f"blk.{layer}.ffn_norm"] = (WIDTH,)
    for name, shape in {**shapes, "output_norm": (WIDTH,)}.items():
        values = rng.normal(size=shape) if len(shape) > 1 else np.ones(shape)
        writer.add_tensor(f"{name}.weight", values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def replies(model):
    return model.sample(ASKED, sampling=Sampling(temperature=0.0, max_new_tokens=6), seeds=[1])


@pytest.mark.filterwarnings("ignore")
def test_a_file_opens_by_itself_or_by_its_folder_and_is_unpacked_once(file, tmp_path):
    first = open_model(str(file), device="cpu")
    (folder,) = (tmp_path / "cache" / "plumbrule" / "gguf").iterdir()
    written = file_sha256(folder / "model.safetensors")
    second = open_model(str(file.parent), device="cpu")

    assert first.describe()["parameters"] > 256 * WIDTH
    assert first.identity == second.identity
    assert replies(first) == replies(second)
    assert file_sha256(folder / "model.safetensors") == written
    assert isinstance(first, LocalModel)
    weights = first.module.get_input_embeddings().weight
    assert weights.dtype == torch.float32
    assert weights.shape == (258, WIDTH)


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_is_said_and_leaves_nothing(file, tmp_path):
    file.write_bytes(file.read_bytes()[:500])

    with pytest.raises(ModelError, match=r"tiny\.gguf to hold a causal language model"):
        open_model(str(file), device="cpu")
    assert not list((tmp_path / "cache").rglob("config.json"))


def test_several_files_in_a_folder_are_not_chosen_from(file):
    (file.parent / "other.gguf").write_bytes(b"GGUF")

    with pytest.raises(ModelError, match="expected one GGUF file"):
        open_model(str(file.parent), device="cpu")
