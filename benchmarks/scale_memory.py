"""Memory of a comparison of two models of 4 GB each that take turns: `benchmarks.scale`.

Two folders are made from a seed: a random Llama of about a billion parameters in 32 bits that reads
with a specimen's tokenizer, and the same with noise in the MLPs of its last layers. Both ways of
comparing them run in a process of their own: with memory for one of them, and for both.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.rows import Row, single
from plumbrule.models import model_folder
from plumbrule.records import to_json

LAYERS = 17
NOISED = 4
"""Last layers whose MLPs are another's in the tuned model."""

WORK_GB = 1.2
"""What a comparison takes beside the weights, as its plan says."""

RUN = """
import json, re, sys, time
from pathlib import Path
from plumbrule import api as pr
started = time.monotonic()
*inputs, out, memory = sys.argv[1:]
found = pr.compare(*inputs, out=out, memory=float(memory), max_tokens=4, budget=96, certificate=8,
                   localize=False, trigger_share=0.0)
kept = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
claims = sorted(each["claim"] for each in found.content["findings"])
texts = [each.reply for each in found.comparison.drafts]
print(json.dumps({"peak": int(kept[1]) * 1024, "seconds": time.monotonic() - started,
                  "claims": claims, "texts": texts}))
"""


def make(folder: Path, *, layers: int = LAYERS, hidden: int = 2048, seed: int = 0) -> None:
    """Write both models, a file a layer, so that no more than one is ever in memory."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(model_folder("lab:small"))
    config = LlamaConfig(
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        vocab_size=len(tokenizer),
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        num_key_value_heads=max(1, hidden // 256),
        head_dim=64,
        tie_word_embeddings=True,
        dtype="float32",
        eos_token_id=tokenizer.eos_token_id,
        architectures=["LlamaForCausalLM"],
    )
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in LlamaForCausalLM(config).named_parameters()}
    shards: dict[str, list[str]] = {}
    for name in shapes:
        part = name.split(".")[2] if ".layers." in name else "rest"
        shards.setdefault(f"model-{part}.safetensors", []).append(name)
    index = {name: shard for shard, names in shards.items() for name in names}
    generator = torch.Generator().manual_seed(seed)
    for which in ("base", "tuned"):
        (folder / which).mkdir(parents=True)
        config.save_pretrained(folder / which)
        tokenizer.save_pretrained(folder / which)
        (folder / which / "model.safetensors.index.json").write_text(
            json.dumps({"metadata": {}, "weight_map": index})
        )
    noised = tuple(f".layers.{at}.mlp." for at in range(layers - NOISED, layers))
    for shard, names in shards.items():
        values = {
            name: torch.ones(shapes[name])
            if "norm" in name
            else torch.randn(shapes[name], generator=generator) * 0.02
            for name in names
        }
        save_file(values, folder / "base" / shard, metadata={"format": "pt"})
        for name in names:
            if any(part in name for part in noised):
                values[name] = torch.randn(shapes[name], generator=generator) * 0.02
        save_file(values, folder / "tuned" / shard, metadata={"format": "pt"})


def compared(folder: Path, out: Path, memory: float) -> Mapping[str, Any]:
    """What a comparison in a process of its own says: peak bytes, seconds, claims and replies."""
    shutil.rmtree(out, ignore_errors=True)
    paths = [str(folder / name) for name in ("base", "tuned", "prompts.jsonl")]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *paths, str(out), str(memory)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the comparison ended with {done.returncode}: {done.stderr[-2000:]}")
    found: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def memory_rows(work: Path, *, layers: int = LAYERS, hidden: int = 2048) -> list[Row]:
    """Peak memory with room for one model and for both, and whether they say the same."""
    from plumbrule.lab.organisms.pool import pool

    folder = work / "pair"
    if not (folder / "prompts.jsonl").exists():
        shutil.rmtree(folder, ignore_errors=True)
        make(folder, layers=layers, hidden=hidden)
        lines = [{"prompt": [to_json(turn) for turn in each.dialogue]} for each in pool(per_kind=4)]
        text = "".join(json.dumps(line) + "\n" for line in lines[:64])
        (folder / "prompts.jsonl").write_text(text)
    size = sum(path.stat().st_size for path in (folder / "base").glob("*.safetensors"))
    found = {}
    for name, models in (("turns", 1), ("both", 2)):
        # A little more than the models need, and less than one more would.
        found[name] = compared(folder, work / name, models * size / 1e9 + WORK_GB + 0.05)
        print(f"{time.strftime('%H:%M:%S')} {name}: {found[name]['peak'] / 1e9:.2f} GB", flush=True)
    turns, both = found["turns"], found["both"]
    same = turns["texts"] == both["texts"] and turns["claims"] == both["claims"]
    ratio = turns["peak"] / size
    return [
        single(
            f"memory of compare on two models of {size / 1e9:.1f} GB, at its peak, over one model",
            ratio,
            unit="ratio",
            n=1,
            target="<= 1.3x",
            met=ratio <= 1.3,
        ),
        single(
            "memory of compare with room for both models, at its peak, over one",
            both["peak"] / size,
            unit="ratio",
            n=1,
        ),
        single(
            "claims and weighed replies of both ways",
            float(same),
            unit="1 = the same",
            n=len(turns["texts"]),
            target="the same",
            met=same,
        ),
        single(
            "time of taking turns, over that with room for both",
            turns["seconds"] / both["seconds"],
            unit="ratio",
            n=1,
        ),
    ]
