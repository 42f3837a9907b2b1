import copy

import numpy as np
import pytest
import torch
from benchmarks.tiny_models import build
from safetensors.torch import load_file

from plumbrule.errors import ConfigError, DataError, ModelError
from plumbrule.mechanism import capture, capture_into, find_sites
from plumbrule.mechanism import capturing as module_under_test

ROWS = [[5, 9, 12, 7, 30], [8, 8, 44], [101, 3, 5, 9, 12, 7], [17]]


@pytest.fixture(scope="module", params=["LlamaForCausalLM", "GPT2LMHeadModel", "Gemma2ForCausalLM"])
def module(request):
    return build(request.param).module


@pytest.fixture(scope="module")
def sites(module):
    return find_sites(module)


def own_states(module, row):
    with torch.no_grad():
        out = module(input_ids=torch.tensor([row]), output_hidden_states=True, use_cache=False)
    return out["hidden_states"]


def test_rows_of_any_length_are_read_as_if_alone(module, sites):
    found = capture(module, sites, ROWS, ["0.in", "2.in"])

    for row, (first, third) in zip(
        ROWS, zip(found.values["0.in"], found.values["2.in"], strict=True), strict=True
    ):
        states = own_states(module, row)
        assert first.shape == third.shape == (len(row), 64)
        assert torch.allclose(first, states[0][0], atol=1e-6)
        assert torch.allclose(third, states[2][0], atol=1e-5)


def test_rows_of_one_length_are_exactly_the_model_s_own(module, sites):
    rows = [row[:3] for row in ROWS if len(row) >= 3]
    with torch.no_grad():
        states = module(input_ids=torch.tensor(rows), output_hidden_states=True, use_cache=False)[
            "hidden_states"
        ]

    assert torch.equal(capture(module, sites, rows, ["3.in"]).stacked("3.in"), states[3])


def test_the_last_position_is_that_of_the_row_and_not_of_the_padding(module, sites):
    every = capture(module, sites, ROWS, ["1.out"])
    last = capture(module, sites, ROWS, ["1.out"], positions="last")

    for one, other in zip(every.values["1.out"], last.values["1.out"], strict=True):
        assert torch.equal(one[-1], other)
    assert last.stacked("1.out").shape == (len(ROWS), 64)


def test_nothing_behind_the_last_site_is_computed(module, sites):
    ran = []
    hooks = [
        dict(module.named_modules())[layer.path].register_forward_hook(
            lambda *_, number=number: ran.append(number)
        )
        for number, layer in enumerate(sites.layers)
    ]

    capture(module, sites, ROWS[:1], ["1.out"])

    for hook in hooks:
        hook.remove()
    assert set(ran) <= {0, 1}


def test_a_capture_leaves_the_model_as_it_was_also_after_an_error(module, sites):
    hooks = [len(part._forward_hooks) for part in module.modules()]
    module.train()

    with pytest.raises(IndexError):
        capture(module, sites, [[10_000_000]], ["1.out"])

    assert module.training
    assert [len(part._forward_hooks) for part in module.modules()] == hooks
    module.eval()


def test_rows_of_different_lengths_are_not_stacked(module, sites):
    with pytest.raises(DataError, match=r"of one length to stack, got \[1, 3, 5, 6\]"):
        capture(module, sites, ROWS, ["0.in"]).stacked("0.in")


@pytest.mark.parametrize(
    ("rows", "names", "error", "says"),
    [
        ([], ["0.in"], DataError, "got none or an empty one"),
        ([[]], ["0.in"], DataError, "got none or an empty one"),
        ([[5]], [], ConfigError, "expected sites"),
        ([[5]], ["0.attention"], ConfigError, "the closest are 0.attn"),
    ],
)
def test_what_cannot_be_read_is_refused(module, sites, rows, names, error, says):
    with pytest.raises(error, match=says):
        capture(module, sites, rows, names)


def test_activations_that_are_no_numbers_are_refused(module, sites):
    broken = copy.deepcopy(module)
    with torch.no_grad():
        broken.get_input_embeddings().weight[7] = float("nan")

    with pytest.raises(DataError, match=r"expected numbers at 0\.in, got NaN or inf"):
        capture(broken, sites, [[7, 8]], ["0.in"])


def test_what_does_not_fit_is_read_in_smaller_batches(module, sites, monkeypatch):
    whole = capture(module, sites, ROWS * 8, ["1.out"])
    read, sizes = module_under_test.read, []

    def small(part, wanted, ids):
        sizes.append(len(ids))
        if len(ids) > 4:
            raise torch.OutOfMemoryError
        return read(part, wanted, ids)

    monkeypatch.setattr(module_under_test, "read", small)
    again = capture(module, sites, ROWS * 8, ["1.out"])

    assert max(sizes) > 4
    for one, other in zip(whole.values["1.out"], again.values["1.out"], strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_single_row_that_does_not_fit_is_said(module, sites, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(module_under_test, "read", full)
    with pytest.raises(ModelError, match="a single row of 5 tokens does not fit"):
        capture(module, sites, ROWS[:1], ["1.out"])


class TestOnDisk:
    @pytest.fixture
    def rows(self):
        rng = np.random.default_rng(0)
        return [rng.integers(3, 150, size=4 + at % 5).tolist() for at in range(600)]

    def test_shards_hold_what_memory_holds(self, module, sites, rows, tmp_path):
        paths = capture_into(
            tmp_path, module, sites, rows, ["1.out"], positions="last", identity="m"
        )

        held = {name: value for path in paths for name, value in load_file(path).items()}
        whole = capture(module, sites, rows, ["1.out"], positions="last")
        assert len(paths) == 3
        for at, value in enumerate(whole.values["1.out"]):
            assert torch.allclose(held[f"1.out/{at}"], value, atol=1e-5)

    def test_a_killed_capture_goes_on_where_it_was(
        self, module, sites, rows, tmp_path, monkeypatch
    ):
        def stop(done, total):
            if done >= 256:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            capture_into(tmp_path, module, sites, rows, ["1.out"], identity="m", progress=stop)
        first = {path: path.read_bytes() for path in tmp_path.iterdir()}
        taken = []
        whole = module_under_test.capture

        def counted(*given, **named):
            taken.append(len(given[2]))
            return whole(*given, **named)

        monkeypatch.setattr(module_under_test, "capture", counted)

        paths = capture_into(tmp_path, module, sites, rows, ["1.out"], identity="m")

        assert taken == [256, 88]
        assert len(paths) == 3
        assert all(path.read_bytes() == content for path, content in first.items())

    def test_another_model_or_site_is_another_file(self, module, sites, rows, tmp_path):
        def paths(name, identity):
            return capture_into(
                tmp_path, module, sites, rows[:4], [name], positions="last", identity=identity
            )

        assert len({*paths("0.in", "a"), *paths("0.in", "b"), *paths("1.in", "a")}) == 3

    def test_a_damaged_shard_is_named(self, module, sites, rows, tmp_path):
        (path,) = capture_into(tmp_path, module, sites, rows[:4], ["0.in"], identity="m")
        path.write_bytes(path.read_bytes()[:-1] + b"x")

        with pytest.raises(DataError, match="is not what was captured"):
            capture_into(tmp_path, module, sites, rows[:4], ["0.in"], identity="m")
