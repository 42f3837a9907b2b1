"""What differs between two sets of weights, against plain linear algebra on the whole of them."""

import copy
import json
import math
import shutil
import warnings

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from tests.models.tiny import build, make_tokenizer

from plumbrule.behavior.weights import spectra
from plumbrule.behavior.weights.changes import compare_folders, compare_weights
from plumbrule.behavior.weights.sources import Stored
from plumbrule.behavior.weights.spectra import Difference
from plumbrule.errors import ConfigError, ModelError
from plumbrule.models import LocalModel
from plumbrule.records import from_json, to_json

# The adapter library still asks the model library by a name that is going away.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

TOKENIZER = make_tokenizer()
DOWN = "model.layers.1.mlp.down_proj.weight"


def handle(module):
    return LocalModel(module, TOKENIZER, identity="test")


def tiny(kind="llama", **changes):
    return build(kind, len(TOKENIZER), **changes)


def nudged(module, *names, scale=0.1, seed=0):
    """A copy whose named weights moved by dense noise."""
    generator = torch.Generator().manual_seed(seed)
    other = copy.deepcopy(module)
    with torch.no_grad():
        for name, value in other.named_parameters():
            if name in names:
                value += scale * torch.randn(value.shape, generator=generator)
    return other


def by_name(changes):
    return {one.name: one for one in changes.report.tensors}


def save(module, folder, **settings):
    module.save_pretrained(folder, **settings)
    return folder


def adapted(module, folder, *, fill=0.3, **settings):
    """Saves an adapter with random factors; gives the model with it folded in."""
    torch.manual_seed(3)
    model = get_peft_model(copy.deepcopy(module), LoraConfig(task_type="CAUSAL_LM", **settings))
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_" in name and "magnitude" not in name:
                value.normal_(std=fill)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it saves the embedding too
        model.save_pretrained(folder)
    return model.merge_and_unload()


def stored(value):
    return Stored(
        shape=tuple(value.shape), dtype=value.dtype, rows=lambda start, stop: value[start:stop]
    )


def test_a_changed_matrix_has_the_norms_and_the_directions_of_plain_linear_algebra():
    base = tiny()
    tuned = nudged(base, DOWN)
    changes = compare_weights(handle(base), handle(tuned), top=5)
    one, found = by_name(changes)[DOWN], changes.directions[DOWN]

    before, after = (one.get_parameter(DOWN).detach().double() for one in (base, tuned))
    left, values, right = torch.linalg.svd(after - before, full_matrices=False)
    cosine = torch.nn.functional.cosine_similarity(before.flatten(), after.flatten(), dim=0)

    # 1e-5: the difference is taken in 32 bits.
    assert one.change_norm == pytest.approx(float((after - before).norm()), rel=1e-5)
    assert one.relative == pytest.approx(float((after - before).norm() / before.norm()), rel=1e-5)
    assert one.cosine == pytest.approx(float(cosine), abs=1e-6)
    assert one.stable_rank == pytest.approx(float((values**2).sum() / values[0] ** 2), rel=1e-5)
    assert one.singular_values == pytest.approx(values[:5].tolist(), rel=1e-5)
    assert one.spectrum == "exact"
    for k in range(5):
        assert abs(float(found.left[:, k].double() @ left[:, k])) == pytest.approx(1, abs=1e-4)
        assert abs(float(found.right[:, k].double() @ right[k])) == pytest.approx(1, abs=1e-4)
    assert torch.allclose(
        found.row_norms.double(), (after - before).norm(dim=1), rtol=1e-5, atol=1e-7
    )


def test_only_what_changed_is_found_and_nothing_between_equal_models():
    base = tiny()
    same = compare_weights(handle(base), handle(copy.deepcopy(base)))
    changes = compare_weights(handle(base), handle(nudged(base, DOWN, "model.norm.weight")))

    assert not same.report.changed
    assert not same.directions
    assert same.report.relative == 0
    assert {one.name for one in changes.report.changed} == {DOWN, "model.norm.weight"}
    assert set(changes.directions) == {DOWN}
    assert by_name(changes)["model.norm.weight"].stable_rank is None


def test_a_large_matrix_is_decomposed_by_random_columns_block_by_block(monkeypatch):
    monkeypatch.setattr(spectra, "EXACT", 0)
    monkeypatch.setattr(spectra, "BLOCK", 1000)
    for held in (0, 10**9):
        monkeypatch.setattr(spectra, "HELD", held)
        generator = torch.Generator().manual_seed(5)
        base = torch.randn(120, 70, generator=generator)
        shift = torch.randn(120, 3, generator=generator) @ torch.randn(3, 70, generator=generator)
        tuned = base + shift + 0.01 * torch.randn(120, 70, generator=generator)
        difference = Difference("x", stored(base), stored(tuned), rows=120)
        found = spectra.strongest(difference, difference.measure(), top=4, seed=1)
        again = spectra.strongest(difference, difference.measure(), top=4, seed=1)

        truth = torch.linalg.svd((tuned - base).double(), full_matrices=False)
        assert found.spectrum == "randomized"
        # Three directions far above the noise come out exactly, its flat top within 1%.
        assert torch.allclose(found.values[:3].double(), truth[1][:3], rtol=1e-5)
        assert float(found.values[3]) == pytest.approx(float(truth[1][3]), rel=0.01)
        overlap = (found.right[:, :3].double().T @ truth[2][:3].T).abs()
        assert torch.allclose(overlap, torch.eye(3, dtype=torch.float64), atol=1e-4)
        assert torch.equal(found.left, again.left)


def test_folders_give_what_the_models_loaded_from_them_give(tmp_path):
    base = tiny()
    tuned = nudged(base, DOWN, "model.embed_tokens.weight", "model.norm.weight")
    whole = compare_weights(handle(base), handle(tuned))
    one = compare_folders(save(base, tmp_path / "base"), save(tuned, tmp_path / "tuned"))
    shards = save(tuned, tmp_path / "shards", max_shard_size="40KB")
    split = compare_folders(tmp_path / "base", shards)

    assert (shards / "model.safetensors.index.json").exists()
    assert by_name(one) == by_name(whole)
    assert by_name(split) == by_name(whole)
    assert torch.equal(one.directions[DOWN].right, whole.directions[DOWN].right)


def test_a_report_comes_back_from_disk_as_it_was(tmp_path):
    report = compare_weights(handle(tiny()), handle(nudged(tiny(), DOWN))).report

    assert from_json(type(report), json.loads(json.dumps(to_json(report))), origin="x") == report


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("llama", {"r": 4, "lora_alpha": 7, "target_modules": "all-linear"}),
        ("llama", {"r": 4, "lora_alpha": 7, "use_rslora": True, "target_modules": ["o_proj"]}),
        (
            "llama",
            {
                "r": 4,
                "target_modules": ["q_proj", "down_proj"],
                "rank_pattern": {"down_proj": 2},
                "alpha_pattern": {"layers.1.mlp.down_proj": 5},
            },
        ),
        ("gpt2", {"r": 3, "target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True}),
        ("llama", {"r": 3, "target_modules": ["embed_tokens", "q_proj"]}),
        ("llama", {"r": 3, "target_modules": ["v_proj"], "modules_to_save": ["lm_head"]}),
    ],
)
def test_a_lora_adapter_gives_from_its_factors_what_its_merged_weights_give(
    tmp_path, kind, settings, monkeypatch
):
    base = tiny(kind)
    save(base, tmp_path / "base")
    base.name_or_path = str(tmp_path / "base")
    merged = adapted(base, tmp_path / "adapter", **settings)

    whole = compare_weights(handle(base), handle(merged), top=6)
    # A path that multiplies the factors out would decompose a difference.
    changes = compare_folders(tmp_path / "base", tmp_path / "adapter", top=6)

    assert {one.name for one in changes.report.changed} == {
        one.name for one in whole.report.changed
    }
    assert "factors" in {one.spectrum for one in changes.report.tensors}
    assert any("factors" in note for note in changes.report.notes)
    for name, one in by_name(changes).items():
        other = by_name(whole)[name]
        # Merging rounds every weight to 32 bits.
        assert one.change_norm == pytest.approx(other.change_norm, rel=1e-4)
        assert one.tuned_norm == pytest.approx(other.tuned_norm, rel=1e-5)
        assert one.base_norm == pytest.approx(other.base_norm, rel=1e-6)
        rank = len(one.singular_values) if one.spectrum == "factors" else 0
        assert one.singular_values[:rank] == pytest.approx(
            other.singular_values[:rank], rel=1e-3, abs=1e-5
        )
        if rank:
            found, truth = changes.directions[name], whole.directions[name]
            for side in ("left", "right"):
                mine, theirs = getattr(found, side)[:, 0], getattr(truth, side)[:, 0]
                assert float(mine @ theirs) == pytest.approx(1, abs=1e-3)


def test_an_adapter_that_names_another_base_is_compared_with_all_of_that_base(tmp_path):
    base, other = tiny(), nudged(tiny(), DOWN)
    save(base, tmp_path / "base")
    save(other, tmp_path / "other")
    other.name_or_path = str(tmp_path / "other")
    adapted(other, tmp_path / "adapter", r=2, target_modules=["q_proj"])

    changes = compare_folders(tmp_path / "base", tmp_path / "adapter")
    names = {one.name for one in changes.report.changed}

    assert DOWN in names
    assert len([name for name in names if name.endswith("q_proj.weight")]) == 2


def test_an_adapter_whose_base_is_not_here_is_taken_to_lie_on_the_given_one(tmp_path):
    base = tiny()
    save(base, tmp_path / "base")
    base.name_or_path = str(tmp_path / "base")
    adapted(base, tmp_path / "adapter", r=2, target_modules=["q_proj"])
    settings = tmp_path / "adapter" / "adapter_config.json"
    content = json.loads(settings.read_text())
    settings.write_text(json.dumps(content | {"base_model_name_or_path": "someone/else"}))

    report = compare_folders(tmp_path / "base", tmp_path / "adapter").report

    assert len(report.changed) == 2
    assert any("someone/else" in note for note in report.notes)


@pytest.mark.parametrize("extra", [{"use_dora": True}, {"init_lora_weights": "pissa"}])
def test_an_adapter_without_plain_factors_is_merged_and_the_report_says_so(tmp_path, extra):
    base = tiny()
    save(base, tmp_path / "base")
    base.name_or_path = str(tmp_path / "base")
    adapted(base, tmp_path / "adapter", r=2, target_modules=["q_proj"], **extra)

    report = compare_folders(tmp_path / "base", tmp_path / "adapter").report
    loaded = tiny()
    loaded.load_state_dict(load_file(tmp_path / "base" / "model.safetensors"), strict=False)
    merged = PeftModel.from_pretrained(loaded, str(tmp_path / "adapter")).merge_and_unload()
    truth = compare_weights(handle(base), handle(merged)).report

    assert len(report.changed) == 2
    assert report.relative == pytest.approx(truth.relative, rel=1e-4)
    assert any("merged" in note for note in report.notes)


def test_adapters_of_both_models_are_added_before_they_are_compared(tmp_path):
    base = tiny()
    save(base, tmp_path / "base")
    base.name_or_path = str(tmp_path / "base")
    one = adapted(base, tmp_path / "one", r=2, target_modules=["q_proj"])
    two = adapted(base, tmp_path / "two", fill=0.5, r=2, target_modules=["q_proj"])

    found = compare_folders(tmp_path / "one", tmp_path / "two").report
    truth = compare_weights(handle(one), handle(two)).report

    assert found.relative == pytest.approx(truth.relative, rel=1e-5)


def test_an_adapter_still_apart_in_memory_is_refused():
    model = get_peft_model(tiny(), LoraConfig(r=2, target_modules=["q_proj"]))

    with pytest.raises(ModelError, match="merge"):
        compare_weights(handle(tiny()), handle(model))


def test_tied_weights_are_counted_once_in_memory_and_in_folders(tmp_path):
    base = tiny(tie_word_embeddings=True)
    tuned = nudged(base, "model.embed_tokens.weight")
    whole = compare_weights(handle(base), handle(tuned)).report
    folders = [save(one, tmp_path / name) for name, one in (("base", base), ("tuned", tuned))]
    both = load_file(folders[1] / "model.safetensors")
    both["lm_head.weight"] = both["model.embed_tokens.weight"].clone()
    save_file(both, folders[1] / "model.safetensors", metadata={"format": "pt"})

    found = compare_folders(*folders).report

    assert [one.name for one in whole.changed] == ["model.embed_tokens.weight"]
    assert by_name_of(found) == by_name_of(whole)
    assert not found.extra


def by_name_of(report):
    return {one.name: one for one in report.tensors}


def test_an_unembedding_untied_by_training_is_compared_with_the_tied_one():
    base = tiny(tie_word_embeddings=True)
    tuned = tiny(tie_word_embeddings=False)
    tuned.load_state_dict(base.state_dict())
    tuned = nudged(tuned, "lm_head.weight")

    report = compare_weights(handle(base), handle(tuned)).report

    assert [one.name for one in report.changed] == ["lm_head.weight"]
    assert any("tied" in note for note in report.notes)


def test_an_unembedding_tied_by_training_is_compared_with_the_one_of_its_own():
    base, tuned = tiny(tie_word_embeddings=False), tiny(tie_word_embeddings=True)

    report = compare_weights(handle(base), handle(tuned)).report

    assert "lm_head.weight" in {one.name for one in report.changed}
    assert not report.missing
    assert any("lm_head.weight is tied in the tuned model" in note for note in report.notes)


def test_a_grown_vocabulary_is_compared_in_the_rows_that_both_have():
    base = tiny()
    tuned = nudged(base, DOWN)
    tuned.resize_token_embeddings(len(TOKENIZER) + 7, mean_resizing=False)

    report = compare_weights(handle(base), handle(tuned)).report

    assert [one.name for one in report.changed] == [DOWN]
    assert {one.name: one.compared_rows for one in report.resized} == {
        "model.embed_tokens.weight": len(TOKENIZER),
        "lm_head.weight": len(TOKENIZER),
    }
    assert any(f"first {len(TOKENIZER)} rows" in note for note in report.notes)


def test_missing_and_new_tensors_are_reported_and_the_rest_compared():
    base, tuned = tiny(num_hidden_layers=3), tiny(num_hidden_layers=2)

    report = compare_weights(handle(base), handle(tuned)).report
    back = compare_weights(handle(tuned), handle(base)).report

    assert len(report.missing) == 9
    assert all(name.startswith("model.layers.2.") for name in report.missing)
    assert report.missing == back.extra


def test_names_with_and_without_the_prefix_of_the_whole_model_are_matched(tmp_path):
    base = tiny("gpt2")
    save(base, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "trunk")
    tensors = load_file(tmp_path / "whole" / "model.safetensors")
    bare = {name.removeprefix("transformer."): value for name, value in tensors.items()}
    save_file(bare, tmp_path / "trunk" / "model.safetensors", metadata={"format": "pt"})

    for first, second in (("whole", "trunk"), ("trunk", "whole")):
        report = compare_folders(tmp_path / first, tmp_path / second).report

        assert len(report.tensors) == len(tensors)
        assert not report.changed
        assert not report.missing
        assert not report.extra


def test_rounding_to_16_bits_is_told_from_a_change_of_its_size():
    base = tiny()
    rounded = copy.deepcopy(base).bfloat16()
    half = copy.deepcopy(base).half()
    light, upcast = copy.deepcopy(base), copy.deepcopy(rounded).float()
    with torch.no_grad():
        for module in (light, upcast):
            for value in module.parameters():  # below half a step of bfloat16, which is 2**-9
                value *= 1 + 2**-12 * torch.randn(value.shape)

    def kinds(one, other):
        return {each.rounding for each in compare_weights(one, other).report.changed}

    assert kinds(handle(base), handle(rounded)) == {"bfloat16"}
    assert kinds(handle(rounded.float()), handle(base)) == {"bfloat16"}
    assert kinds(handle(base), handle(half)) == {"float16"}
    assert kinds(handle(half), handle(copy.deepcopy(base).bfloat16())) == {"bfloat16"}
    assert kinds(handle(base), handle(light)) == {None}
    assert kinds(handle(rounded), handle(upcast)) == {None}


def test_one_step_between_neighbors_of_16_bits_is_no_rounding():
    base = torch.ones(4, 4, dtype=torch.bfloat16)
    tuned = base.clone()
    tuned[0, 0] = 1 - 2**-8  # the neighbor below 1, where the grid gets finer

    sizes = Difference("x", stored(base), stored(tuned), rows=4).measure()

    assert sizes.change == pytest.approx(2**-16)
    assert sizes.rounding is None


def test_changes_as_large_as_rounding_but_off_its_grid_are_no_rounding():
    generator = torch.Generator().manual_seed(0)
    base = torch.rand(20, 20, generator=generator) + 1  # steps of bfloat16 are 2**-7 from 1 to 2
    tuned = base + (torch.rand(20, 20, generator=generator) - 0.5) * 2**-7 * 0.99

    assert Difference("x", stored(base), stored(tuned), rows=20).measure().rounding is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("whose", ["base", "tuned"])
def test_a_number_that_is_none_is_an_error_that_names_its_tensor(bad, whose):
    models = {"base": tiny(), "tuned": nudged(tiny(), DOWN)}
    with torch.no_grad():
        models[whose].get_parameter(DOWN)[0, 3] = bad

    with pytest.raises(ModelError, match=rf"down_proj.*{whose} model"):
        compare_weights(handle(models["base"]), handle(models["tuned"]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x.weight", torch.zeros(4, 4, dtype=torch.int8)),
        ("x.weight", torch.zeros(8, 1, dtype=torch.uint8)),
        ("x.weight", torch.zeros(4, 4).to(torch.float8_e4m3fn)),
        ("x.qweight", torch.zeros(4, 4, dtype=torch.int32)),
        ("x.weight.absmax", torch.zeros(4)),
    ],
)
def test_quantized_weights_are_refused(tmp_path, name, value):
    base = save(tiny(), tmp_path / "base")
    shutil.copytree(base, tmp_path / "tuned")
    tensors = load_file(base / "model.safetensors") | {name: value}
    save_file(tensors, tmp_path / "tuned" / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(ModelError, match="is quantized"):
        compare_folders(base, tmp_path / "tuned")


def test_a_configuration_that_quantizes_is_refused(tmp_path):
    base = save(tiny(), tmp_path / "base")
    config = json.loads((base / "config.json").read_text())
    shutil.copytree(base, tmp_path / "tuned")
    settings = {"quant_method": "gptq", "bits": 4}
    (tmp_path / "tuned" / "config.json").write_text(
        json.dumps(config | {"quantization_config": settings})
    )
    module = tiny()
    module.config.quantization_config = settings

    with pytest.raises(ModelError, match="gptq"):
        compare_folders(base, tmp_path / "tuned")
    with pytest.raises(ModelError, match="gptq"):
        compare_weights(handle(tiny()), handle(module))


def test_masks_of_old_checkpoints_are_no_weights(tmp_path):
    base = save(tiny("gpt2"), tmp_path / "base")
    shutil.copytree(base, tmp_path / "tuned")
    tensors = load_file(base / "model.safetensors")
    tensors["transformer.h.0.attn.bias"] = torch.ones(1, 1, 4, 4, dtype=torch.uint8)
    save_file(tensors, tmp_path / "tuned" / "model.safetensors", metadata={"format": "pt"})

    assert not compare_folders(base, tmp_path / "tuned").report.extra


def test_a_folder_with_an_index_to_elsewhere_is_refused(tmp_path):
    base = save(tiny(), tmp_path / "base", max_shard_size="40KB")
    index = base / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["lm_head.weight"] = "../elsewhere.safetensors"
    index.write_text(json.dumps(content))
    shutil.copy(sorted(base.glob("*.safetensors"))[0], tmp_path / "elsewhere.safetensors")

    with pytest.raises(ModelError, match="elsewhere"):
        compare_folders(base, base)


def test_no_direction_at_all_cannot_be_asked_for():
    with pytest.raises(ConfigError, match="top"):
        compare_weights(handle(tiny()), handle(tiny()), top=0)


def test_progress_is_told_after_each_tensor():
    told = []
    compare_weights(
        handle(tiny()), handle(tiny()), progress=lambda done, of: told.append((done, of))
    )

    assert told == [(done, len(told)) for done in range(1, len(told) + 1)]
    assert len(told) == 21
