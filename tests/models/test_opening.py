"""Every way to name a model, and every way a folder can be wrong."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tests.models.tiny import KINDS, QUESTIONS, TEMPLATE, build
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
)

from plumbrule.errors import ConfigError, EndpointError, ModelError, OutsideError
from plumbrule.models import EndpointModel, LocalModel, LocalSettings, Sampling, open_model, opening

# The adapter library still asks the model library by a name that is going away.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

GREEDY = Sampling(temperature=0.0, max_new_tokens=8)
SEEDS = [1, 2, 3, 4, 5]


@pytest.fixture
def copy(folder, tmp_path):
    """The model's folder, free to be damaged."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def change(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def texts(model):
    return [one.text for one in model.sample(QUESTIONS, sampling=GREEDY, seeds=SEEDS)]


def test_a_folder_opens_as_what_was_saved(folder, llama):
    model = open_model(str(folder))

    assert isinstance(model, LocalModel)
    assert texts(model) == texts(llama)
    assert model.spec == str(folder)
    assert model.identity == open_model(str(folder)).identity


@pytest.mark.parametrize("kind", ["gpt2", "mamba", "mixtral", "rwkv", "gemma3_text"])
def test_other_kinds_open_alike(kind, tokenizer, tmp_path):
    module = build(kind, len(tokenizer))
    module.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)

    assert texts(open_model(str(tmp_path))) == texts(LocalModel(module, tokenizer))
    assert kind in KINDS


def test_the_identity_follows_the_files(folder, copy):
    first = open_model(str(folder)).identity
    assert open_model(str(copy)).identity == first
    assert open_model(str(copy), dtype="bfloat16").identity != first

    weights = load_file(copy / "model.safetensors")
    weights["lm_head.weight"][3, 3] += 1
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert open_model(str(copy)).identity != first


def test_the_type_of_the_numbers_can_be_chosen(folder):
    model = open_model(str(folder), dtype="bfloat16")

    assert model.describe()["dtype"] == "bfloat16"
    assert len(texts(model)) == len(QUESTIONS)


def test_half_precision_runs_in_single_on_a_processor(copy):
    module = AutoModelForCausalLM.from_pretrained(copy).half()
    module.save_pretrained(copy)

    assert open_model(str(copy), device="cpu").describe()["dtype"] == "float32"


@pytest.mark.parametrize(
    ("able", "dtype"), [({"amx_bf16": False, "avx512_bf16": True}, "bfloat16"), ({}, "float32")]
)
def test_bfloat16_runs_in_single_where_the_processor_has_no_such_arithmetic(
    copy, monkeypatch, able, dtype
):
    AutoModelForCausalLM.from_pretrained(copy).bfloat16().save_pretrained(copy)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)

    assert open_model(str(copy), device="cpu").describe()["dtype"] == dtype
    assert open_model(str(copy), device="cpu", dtype="bfloat16").describe()["dtype"] == "bfloat16"


@pytest.fixture
def adapter(folder, tmp_path):
    """A LoRA adapter that changes what the model says."""
    module = AutoModelForCausalLM.from_pretrained(folder)
    torch.manual_seed(0)
    adapted = get_peft_model(module, LoraConfig(r=2, target_modules=["q_proj", "down_proj"]))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=2.0)
    adapted.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter", adapted.eval()


@pytest.mark.parametrize("merge", [True, False])
def test_an_adapter_opens_with_the_model_under_it(folder, adapter, tokenizer, merge):
    path, adapted = adapter
    model = open_model(str(path), local=LocalSettings(merge_adapter=merge))

    assert isinstance(model, LocalModel)
    assert texts(model) == texts(LocalModel(adapted, tokenizer)) != texts(open_model(str(folder)))
    assert model.identity != open_model(str(folder)).identity
    names = {name for name, _ in model.module.named_modules()}
    assert ("model.layers.0.self_attn" in names) == merge
    assert model.describe()["architecture"] == "LlamaForCausalLM"


def test_an_adapter_may_name_its_model_from_where_it_lies(folder, adapter):
    path, _ = adapter
    shutil.copytree(folder, path / "base")
    change(path / "adapter_config.json", base_model_name_or_path="base")

    assert isinstance(open_model(str(path)), LocalModel)


def test_an_adapter_that_does_not_fit_is_said(adapter, tokenizer, tmp_path):
    path, _ = adapter
    build("llama", len(tokenizer), hidden_size=64, head_dim=16).save_pretrained(tmp_path / "other")
    tokenizer.save_pretrained(tmp_path / "other")
    change(path / "adapter_config.json", base_model_name_or_path=str(tmp_path / "other"))

    with pytest.raises(ModelError, match="does not fit its model"):
        open_model(str(path))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "got an empty one"),
        ("./nowhere", "there is none at ./nowhere"),
        ("/no/such/model/folder", "there is none at"),
        ("lab:nobody", r"lab specimen, got 'nobody'; there are: "),
        ("lab:../specimens", "lab specimen, got"),
        ("http://localhost:8000/v1", "write http://localhost:8000/v1#MODEL-NAME"),
        ("http://user:secret@localhost/v1#m", "without a key"),
        ("http://localhost:port/v1#m", "expected an address such as"),
        ("http://#m", "expected an address such as"),
    ],
)
def test_a_name_that_means_nothing_is_said(spec, message):
    with pytest.raises(ModelError, match=message) as caught:
        open_model(spec)
    assert "secret" not in str(caught.value)


def test_a_file_is_no_folder(folder):
    with pytest.raises(ModelError, match="is a file"):
        open_model(str(folder / "config.json"))


def test_openai_needs_its_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelError, match="expected an API key in OPENAI_API_KEY"):
        open_model("openai:some-model")

    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    model = open_model("openai:some-model")
    assert isinstance(model, EndpointModel)
    assert model.identity == "https://api.openai.com/v1#some-model"
    assert "sk-very-secret" not in str(model.describe()) + repr(vars(model))


def remove(name):
    def damage(folder):
        (folder / name).unlink()

    return damage


def no_tokenizer(folder):
    for path in folder.glob("*token*"):
        path.unlink()


def no_template(folder):
    (folder / "chat_template.jinja").unlink()


def pickled(folder):
    torch.save({"x": torch.zeros(1)}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def cut(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-100])


def garbled(folder):
    (folder / "model.safetensors").write_bytes(b"\xff" * 64)


def unreadable(folder):
    (folder / "config.json").write_text("{")


def listed(folder):
    (folder / "config.json").write_text("[]")


def masked(folder):
    config = BertConfig(
        vocab_size=400,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    BertForMaskedLM(config).save_pretrained(folder)


def translating(folder):
    config = T5Config(vocab_size=400, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    T5ForConditionalGeneration(config).save_pretrained(folder)


def foreign(folder):
    code = {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"}
    change(folder / "config.json", model_type="mine", auto_map=code, architectures=["Model"])


def unknown(folder):
    change(folder / "config.json", model_type="never-heard-of")


def narrow(folder):
    build("llama", 300).save_pretrained(folder)


def headless(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def mismatched(folder):
    change(folder / "config.json", hidden_size=64)


def config(**fields):
    return lambda folder: change(folder / "config.json", **fields)


def written(text, name="config.json"):
    return lambda folder: (folder / name).write_text(text)


def a_folder(folder):
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()


def a_pipe(folder):
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")


def no_numbers(folder):
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"][:] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def ends(value):
    return lambda folder: change(folder / "generation_config.json", eos_token_id=value)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (config(model_type=["llama"]), "model_type in .* to be a name"),
        (config(architectures=5), "architectures in .* to be a list of names"),
        (config(auto_map=["mine.Model"]), "auto_map in .* to be an object"),
        (config(auto_map="mine.Model"), "auto_map in .* to be an object"),
        (config(attn_implementation="some-one/attention"), "names code to be fetched"),
        (config(_attn_implementation="some-one/attention:flash"), "names code to be fetched"),
        (config(text_config={"_attn_implementation": "some-one/code"}), "names code to be fetched"),
        (written("[" * 100_000), r"config\.json to be JSON"),
        (written('{"hidden_size": ' + "9" * 6000 + "}"), r"config\.json to be JSON"),
        (a_folder, r"config\.json to be a file"),
        (a_pipe, r"model\.safetensors to be a file"),
        (no_numbers, "give NaN"),
        (ends("x"), "generation_config|cannot be loaded"),
        (ends([[1]]), "generation_config|cannot be loaded"),
        (written("{{ 1 / 0 }}", "chat_template.jinja"), "chat template cannot be rendered"),
        (written("{{ 'a' * 10**12 }}", "chat_template.jinja"), "cannot be rendered"),
        (written("{{ range(10**8) }}", "chat_template.jinja"), "cannot be rendered"),
        (remove("config.json"), r"expected a model folder with config\.json"),
        (no_tokenizer, "expected a tokenizer in"),
        (no_template, r"found none\. .*chat_template=PATH"),
        (pickled, r"has pytorch_model\.bin: a pickle can run code .*save_pretrained"),
        (remove("model.safetensors"), r"expected \*\.safetensors weights"),
        (cut, r"model\.safetensors to be a whole safetensors file, it is damaged"),
        (garbled, "it is damaged"),
        (unreadable, r"config\.json to be JSON"),
        (listed, "to hold an object, got a list"),
        (masked, "expected a causal language model, .* holds BertForMaskedLM"),
        (translating, "expected a causal language model, .* holds T5ForConditionalGeneration"),
        (foreign, r"brings its own code \(mine\.Model\), which is not run unless you ask"),
        (unknown, "names 'never-heard-of'"),
        (narrow, "expected a tokenizer of at most 300 tokens"),
        (mismatched, "cannot be loaded"),
        (headless, r"1 are missing, such as lm_head\.weight"),
    ],
)
def test_a_folder_that_is_wrong_says_how(copy, damage, message):
    damage(copy)

    with pytest.raises(ModelError, match=message) as caught:
        texts(open_model(str(copy)))
    assert caught.value.exit_code == 2


def test_a_template_can_be_given(copy, tmp_path):
    no_template(copy)
    (tmp_path / "mine.jinja").write_text(TEMPLATE)

    assert texts(open_model(str(copy), chat_template=tmp_path / "mine.jinja"))
    with pytest.raises(ModelError, match="chat_template to name a text file"):
        open_model(str(copy), chat_template=tmp_path / "none.jinja")


@pytest.mark.parametrize("setting", [{"dtype": "int8"}, {"device": "tpu"}])
def test_a_setting_that_means_nothing_is_named(folder, setting):
    ((name, value),) = setting.items()
    with pytest.raises(ConfigError, match=f"{name} must be one of .* got '{value}'"):
        open_model(str(folder), **setting)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a CUDA device")
def test_a_device_that_is_not_there_is_said(folder):
    with pytest.raises(ModelError, match="use device='cpu'"):
        open_model(str(folder), device="cuda")


def test_an_adapter_from_a_pickle_is_refused(adapter):
    path, _ = adapter
    (path / "adapter_model.safetensors").rename(path / "adapter_model.bin")

    with pytest.raises(ModelError, match=r"expected adapter_model\.safetensors"):
        open_model(str(path))


def test_a_lab_specimen_is_a_folder_of_the_package(folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "lab" / "specimens" / "small")
    monkeypatch.setattr(opening, "files", lambda package: tmp_path)

    assert isinstance(open_model("lab:small"), LocalModel)
    with pytest.raises(ModelError, match="got 'large'; there are: small"):
        open_model("lab:large")


def test_a_hub_that_does_not_answer_is_no_fault_of_the_user(tmp_path):
    code = (
        "from plumbrule.models import open_model\n"
        "from plumbrule.errors import OutsideError\n"
        "try:\n    open_model('someone/some-model')\n"
        "except OutsideError as error:\n    print(error.exit_code, error)\n"
    )
    # A process of its own, because the library reads these once. Port 9 answers nobody.
    settings = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    paths = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **settings, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )

    assert done.stdout.startswith("3 the hub did not give someone/some-model")
    assert issubclass(EndpointError, OutsideError)


def test_looking_at_the_package_does_not_load_the_heavy_libraries():
    code = (
        "import sys, plumbrule.models\n"
        "print([name for name in ('torch', 'transformers', 'httpx') if name in sys.modules])"
    )
    paths = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_settings_that_hold_no_number_are_refused(copy, value):
    change(copy / "generation_config.json", eos_token_id=[value])
    with pytest.raises(ModelError, match=r"plain numbers.*generation_config"):
        open_model(str(copy))


def test_a_tokenizer_whose_settings_cannot_be_used_is_refused(copy):
    change(copy / "tokenizer_config.json", model_max_length="long")
    with pytest.raises(ModelError, match="expected a tokenizer that can be used"):
        open_model(str(copy))


def test_what_a_library_says_over_many_lines_is_said_in_one(copy):
    (copy / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"tokenizer in .* cannot be read") as caught:
        open_model(str(copy))
    assert "\n" not in str(caught.value)


def test_a_name_that_no_disk_takes_is_no_model():
    with pytest.raises(ModelError, match="expected a folder or a hub id"):
        open_model("x" * 3000)
