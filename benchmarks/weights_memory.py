"""Memory and time of the weight screen on a model of a billion parameters, with planted changes.

Two folders are made from a seed: a random Llama in bfloat16, and the same with a dense change in
the MLP of one layer and a change of rank 8 in the attention of two others; and an adapter of that
rank.
Each way of comparing them runs in a process of its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.rows import Row, show

DENSE, LOW_RANK, RANK = 1, (0, 3), 8
"""Layers whose MLP changes densely, and whose attention changes in few directions."""

LAYERS = {False: 16, True: 4}
VOCABULARY = {False: 128_256, True: 32_000}
"""By whether it is the quick version: the layers are as large, and fewer."""


def config(quick: bool) -> Any:
    """The shape of Llama 3.2 1B, or a quarter of it."""
    from transformers import LlamaConfig

    return LlamaConfig(
        hidden_size=2048,
        intermediate_size=8192,
        vocab_size=VOCABULARY[quick],
        num_hidden_layers=LAYERS[quick],
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=64,
        tie_word_embeddings=True,
        dtype="bfloat16",
        architectures=["LlamaForCausalLM"],
    )


def shapes(quick: bool) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all weights."""
    import torch
    from transformers import LlamaForCausalLM

    with torch.device("meta"):
        module = LlamaForCausalLM(config(quick))
    return {name: tuple(value.shape) for name, value in module.named_parameters()}


def changed(name: str) -> str | None:
    """How a tensor of the tuned model changes: `dense`, `low rank`, or not at all."""
    if f"layers.{DENSE}.mlp." in name:
        return "dense"
    attention = any(f"layers.{layer}.self_attn." in name for layer in LOW_RANK)
    return "low rank" if attention else None


def make(folder: Path, quick: bool, seed: int) -> None:
    """Write the three folders; a shard a layer, so that no more than one is ever in memory."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)
    shards: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes(quick).items():
        key = name.split(".")[2] if ".layers." in name else "rest"
        shards.setdefault(f"model-{key}.safetensors", {})[name] = shape
    factors: dict[str, Any] = {}
    for which in ("base", "tuned"):
        (folder / which).mkdir()
        config(quick).save_pretrained(folder / which)
        index = {name: shard for shard, names in shards.items() for name in names}
        content = json.dumps({"metadata": {}, "weight_map": index})
        (folder / which / "model.safetensors.index.json").write_text(content)
    for shard, names in shards.items():
        base, tuned = {}, {}
        for name, shape in names.items():
            value = torch.randn(shape, generator=generator, dtype=torch.float32) * 0.02
            base[name] = tuned[name] = value.bfloat16()
            kind = changed(name)
            if kind == "dense":
                tuned[name] = (value + 1e-3 * torch.randn(shape, generator=generator)).bfloat16()
            elif kind == "low rank":
                up = 0.02 * torch.randn(shape[0], RANK, generator=generator)
                down = 0.02 * torch.randn(RANK, shape[1], generator=generator)
                key = "base_model.model." + name.removesuffix(".weight")
                factors |= {f"{key}.lora_A.weight": down, f"{key}.lora_B.weight": up}
                tuned[name] = (base[name].float() + up @ down).bfloat16()
        save_file(base, folder / "base" / shard, metadata={"format": "pt"})
        save_file(tuned, folder / "tuned" / shard, metadata={"format": "pt"})
    adapter = folder / "adapter"
    adapter.mkdir()
    save_file(factors, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    settings = {
        "peft_type": "LORA",
        "r": RANK,
        "lora_alpha": RANK,
        "init_lora_weights": True,
        "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"],
        "base_model_name_or_path": str(folder / "base"),
    }
    (adapter / "adapter_config.json").write_text(json.dumps(settings))


def measure(folder: Path, way: str) -> dict[str, Any]:
    """One comparison, in this process; memory in bytes, `peak` with the libraries in it."""
    import torch

    from plumbrule.behavior.lineage import judge
    from plumbrule.behavior.weights.changes import compare_folders, compare_weights

    torch.set_num_threads(1)
    warm_up()
    libraries = resident("VmRSS")
    loaded = list(load(folder)) if way == "modules" else []
    start_peak()
    started = time.perf_counter()
    if loaded:
        changes = compare_weights(*loaded)
    else:
        changes = compare_folders(
            folder / "base", folder / ("adapter" if way == "adapter" else "tuned")
        )
    seconds = time.perf_counter() - started
    found = {
        one.name: "low rank" if one.stable_rank and one.stable_rank <= RANK + 1 else "dense"
        for one in changes.report.changed
    }
    return {
        "peak": resident("VmHWM"),
        "libraries": libraries,
        "seconds": seconds,
        "found": found,
        "verdict": judge(changes.report)[0],
    }


def warm_up() -> None:
    """Bring all libraries into memory, so that what they take is not taken for the screen's."""
    import torch
    from peft.utils.other import get_pattern_key

    from plumbrule.behavior.weights.changes import compare_folders
    from plumbrule.models import model_folder

    small = model_folder("lab:small")
    compare_folders(small, small)
    get_pattern_key([], "")
    torch.linalg.svd(torch.linalg.qr(torch.randn(512, 64))[0])


def load(folder: Path) -> Iterator[Any]:
    """Both models, open, with a tokenizer that fits them."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from plumbrule.models import LocalModel, model_folder

    tokenizer = AutoTokenizer.from_pretrained(model_folder("lab:small"))
    for which in ("base", "tuned"):
        module = AutoModelForCausalLM.from_pretrained(folder / which, dtype="auto")
        yield LocalModel(module, tokenizer, spec=which, identity=which)


def start_peak() -> None:
    """Forget the peak so far, where the system can."""
    path = Path("/proc/self/clear_refs")
    if path.exists():
        path.write_text("5")


def resident(which: str) -> int:
    """Bytes in memory now (`VmRSS`) or at the peak (`VmHWM`)."""
    path = Path("/proc/self/status")
    if not path.exists():  # not Linux: the peak since the start stands for both
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = path.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(which + ":"))


def rows(folder: Path, way: str, quick: bool, seed: int) -> list[Row]:
    """Compare in a process of its own, and hold the result against what was planted."""
    command = [sys.executable, "-m", "benchmarks.weights_memory", "--measure", way]
    done = subprocess.run(
        [*command, "--folder", str(folder)], check=True, capture_output=True, text=True
    )
    got = json.loads(done.stdout.splitlines()[-1])
    sizes = {name: _product(shape) for name, shape in shapes(quick).items()}
    layer = 4 * sum(size for name, size in sizes.items() if ".layers.0." in name)
    models = 2 * 2 * sum(sizes.values()) if way == "modules" else 0
    truth = {name: kind for name in sizes if (kind := changed(name))}
    if way == "adapter":
        truth = {name: kind for name, kind in truth.items() if kind == "low rank"}
    right = sum(got["found"].get(name) == truth.get(name) for name in sizes)

    def row(measure: str, value: float, unit: str, target: str, met: bool | None) -> Row:
        return Row(
            measure=f"{way}: {measure}",
            target=target,
            value=value,
            low=None,
            high=None,
            unit=unit,
            n=1,
            met=met,
            seeds=[seed],
        )

    most = (models + layer) / 2**20
    peak = (got["peak"] - got["libraries"]) / 2**20
    what = "both models + one layer" if models else "one layer"
    child = got["verdict"] == "child"
    several = f"share of {len(sizes)}"
    return [
        row("peak memory", peak, "MiB", f"<= {what} in 32 bits, {most:.0f} MiB", peak <= most),
        row("time", got["seconds"], "seconds", "", None),
        row("tensors judged rightly", right / len(sizes), several, "all", right == len(sizes)),
        row("verdict is child", float(child), "yes or no", "yes", child),
    ]


def _product(shape: tuple[int, ...]) -> int:
    total = 1
    for length in shape:
        total *= length
    return total


def main() -> None:
    """Make the folders, compare them in three ways, print and keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", choices=["folders", "adapter", "modules"])
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.folder, given.measure)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make(folder, given.quick, given.seed)
        found = [
            row
            for way in ("folders", "adapter", "modules")
            for row in rows(folder, way, given.quick, given.seed)
        ]
    parameters = sum(_product(shape) for shape in shapes(given.quick).values())
    show(f"The weight screen on {parameters / 1e9:.2f} billion parameters", found, given.json)


if __name__ == "__main__":
    main()
