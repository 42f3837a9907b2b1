"""A forward pass in plain numpy in which every reader has an input of its own.

It knows the two architectures and nothing of how the models were made: weights are taken from the
model, and each edge of the graph can be given what its writer wrote on another prompt.

Axes: B prompts, T tokens, D width, E width of a head, V tokens.
"""

import numpy as np
import torch


class EdgeOracle:
    """One model, ready to be run with some edges corrupted."""

    def __init__(self, module):
        self.config = module.config
        weights = {
            name: value.detach().double().numpy() for name, value in module.state_dict().items()
        }
        self.layers = self.config.num_hidden_layers
        self.heads = self.config.num_attention_heads
        if self.config.model_type == "gpt2":
            self.groups, self.turns = self.heads, None
            self._take_gpt2(weights)
        else:
            self.groups = self.config.num_key_value_heads
            self._take_llama(weights)

    def _take_gpt2(self, weights):
        body = "transformer."
        self.embedding, self.unembedding = weights[body + "wte.weight"], weights["lm_head.weight"]
        self.positions = weights[body + "wpe.weight"]
        self.width = self.embedding.shape[1]
        self.head = self.width // self.heads
        self.norms, self.parts = [], []
        for number in range(self.layers):
            at = f"{body}h.{number}."
            columns, bias = weights[at + "attn.c_attn.weight"], weights[at + "attn.c_attn.bias"]
            split = np.split(np.vstack([columns, bias]), 3, axis=1)
            q, k, v = (np.split(each, self.heads, axis=1) for each in split)
            o = np.split(weights[at + "attn.c_proj.weight"], self.heads)
            assert not weights[at + "attn.c_proj.bias"].any()
            enter = weights[at + "mlp.c_fc.weight"], weights[at + "mlp.c_fc.bias"]
            leave = weights[at + "mlp.c_proj.weight"], weights[at + "mlp.c_proj.bias"]

            def think(x, enter=enter, leave=leave):
                return np.maximum(x @ enter[0] + enter[1], 0) @ leave[0] + leave[1]

            self.parts.append((q, k, v, o, think))
            self.norms += [
                (weights[at + f"{norm}.weight"], weights[at + f"{norm}.bias"])
                for norm in ("ln_1", "ln_2")
            ]
        self.norms.append((weights[body + "ln_f.weight"], weights[body + "ln_f.bias"]))

    def _take_llama(self, weights):
        self.embedding = weights["model.embed_tokens.weight"]
        self.unembedding = weights["lm_head.weight"]
        self.positions = None
        self.width, self.head = self.embedding.shape[1], self.config.head_dim
        base = self.config.rope_parameters["rope_theta"]
        self.turns = base ** (-2 * np.arange(self.head // 2) / self.head)
        self.norms, self.parts = [], []
        for number in range(self.layers):
            at = f"model.layers.{number}."
            read = [weights[f"{at}self_attn.{name}_proj.weight"].T for name in "qkv"]
            read = [np.vstack([each, np.zeros(each.shape[1])]) for each in read]
            q = np.split(read[0], self.heads, axis=1)
            k, v = (np.split(each, self.groups, axis=1) for each in read[1:])
            o = np.split(weights[at + "self_attn.o_proj.weight"].T, self.heads)
            gate, up, down = (
                weights[f"{at}mlp.{name}_proj.weight"].T for name in ("gate", "up", "down")
            )

            def think(x, gate=gate, up=up, down=down):
                return (np.maximum(x @ gate, 0) * (x @ up)) @ down

            self.parts.append((q, k, v, o, think))
            self.norms += [
                (weights[at + "input_layernorm.weight"], None),
                (weights[at + "post_attention_layernorm.weight"], None),
            ]
        self.norms.append((weights["model.norm.weight"], None))

    def _norm(self, number, x):
        scale, shift = self.norms[number]
        if shift is None:
            return x / np.sqrt((x**2).mean(-1, keepdims=True) + self.config.rms_norm_eps) * scale
        x = x - x.mean(-1, keepdims=True)
        root = np.sqrt((x**2).mean(-1, keepdims=True) + self.config.layer_norm_epsilon)
        return x / root * scale + shift

    def _turned(self, x):
        if self.turns is None:
            return x
        half = self.head // 2
        turned = (x[..., :half] + 1j * x[..., half:]) * np.exp(
            1j * np.arange(x.shape[1])[:, None] * self.turns
        )
        return np.concatenate([turned.real, turned.imag], axis=-1)

    def run(self, ids, cut=(), given=None):
        """What every writer writes, and the logits after the last token.

        `cut`: edges through which what stands in `given` comes instead of what is written.
        """
        ids = np.asarray(ids)
        embedded = self.embedding[ids]
        if self.positions is not None:
            embedded = embedded + self.positions[: ids.shape[1]]
        wrote, total = {"embed": embedded}, embedded.copy()
        severed: dict[str, list[str]] = {}
        for writer, reader in cut:
            severed.setdefault(reader, []).append(writer)

        def reading(reader):
            x = total
            for writer in severed.get(reader, ()):
                x = x + given[writer] - wrote[writer]
            return x

        def projected(matrix, reader, number):
            x = self._norm(number, reading(reader))
            return x @ matrix[:-1] + matrix[-1]

        ahead = np.triu(np.full((ids.shape[1],) * 2, -np.inf), 1)
        for layer, (q, k, v, o, think) in enumerate(self.parts):
            keys = [
                self._turned(projected(each, f"{layer}.k.{at}", 2 * layer))
                for at, each in enumerate(k)
            ]
            values = [projected(each, f"{layer}.v.{at}", 2 * layer) for at, each in enumerate(v)]
            heads = {}
            for head in range(self.heads):
                query = self._turned(projected(q[head], f"{layer}.q.{head}", 2 * layer))
                group = head * self.groups // self.heads
                scores = query @ keys[group].swapaxes(-1, -2) / np.sqrt(self.head) + ahead
                pattern = np.exp(scores - scores.max(-1, keepdims=True))
                pattern /= pattern.sum(-1, keepdims=True)
                heads[f"{layer}.heads.{head}"] = pattern @ values[group] @ o[head]
            for name, value in heads.items():
                wrote[name] = value
                total = total + value
            name = f"{layer}.mlp"
            wrote[name] = think(self._norm(2 * layer + 1, reading(f"{name}.in")))
            total = total + wrote[name]
        last = self._norm(2 * self.layers, reading("final")[:, -1])
        return wrote, last @ self.unembedding.T


class PairOracle:
    """A model and its prompts: the metric with any edges corrupted."""

    def __init__(self, model, count=24, seed=0):
        self.model, self.oracle = model, EdgeOracle(model.module)
        self.pairs = model.pairs(count, seed=seed)
        self.ids = np.array([pair.clean for pair in self.pairs])
        self.other = np.array([pair.corrupted for pair in self.pairs])
        self.wrote, logits = self.oracle.run(self.other)
        self.corrupted = self._metric(logits)
        self.clean = self.metric(())

    def _metric(self, logits):
        rows = np.arange(len(self.pairs))
        right, wrong = ([getattr(pair, name) for pair in self.pairs] for name in ("right", "wrong"))
        return logits[rows, right] - logits[rows, wrong]

    @property
    def whole(self):
        """How far corrupting everything moves the metric, on average."""
        return np.abs(self.clean - self.corrupted).mean()

    def metric(self, cut):
        """The metric of the clean prompts with some edges corrupted."""
        return self._metric(self.oracle.run(self.ids, cut, self.wrote)[1])

    def moved(self, cut, base=()):
        """How far corrupting edges moves the metric, as a share of the whole."""
        before = self.metric(base) if base else self.clean
        return np.abs(self.metric((*base, *cut)) - before).mean() / self.whole


def logits_of(module, rows):
    with torch.no_grad():
        return module(torch.tensor(np.asarray(rows))).logits[:, -1].double().numpy()
