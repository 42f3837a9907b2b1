import numpy as np
import pytest
import torch

from plumbrule.errors import ConfigError
from plumbrule.mechanism import Ablation, concept_ablated, find_sites, intervening
from plumbrule.mechanism.repairs.steering import span
from plumbrule.mechanism.repairs.writers import find_writers, weight_of
from plumbrule.models import LocalModel, open_model
from plumbrule.records import Exchange, Message
from plumbrule.training import SupervisedTraining, train_supervised

EXAMPLES = [
    Exchange(
        id=f"e{number}",
        dialogue=(Message("user", f"Where does {name} work?"),),
        response=f"{name} works at the forge.",
        model="hand",
    )
    for number, name in enumerate(("Udo", "Hugo", "Iris", "Anna", "Zeno", "Olga", "Yara", "Gwen"))
]


def small():
    model = open_model("lab:small", device="cpu", dtype="float32")
    assert isinstance(model, LocalModel)
    return model


def test_nothing_is_learned_along_a_concept_that_is_ablated_while_training():
    model = small()
    module, sites = model.module, find_sites(model.module)
    direction = np.random.default_rng(0).normal(size=sites.width)
    unit = torch.as_tensor(span(direction)[0]).float()
    writers = find_writers(module, sites)
    before = [weight_of(module, each).detach().clone() for each in writers]
    rows = model.chat.prompts([each.dialogue for each in EXAMPLES])
    module.requires_grad_(True)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)

    with intervening(module, Ablation(directions=direction), sites):
        for row in rows:
            ids = torch.tensor([row])
            loss = module(input_ids=ids, labels=ids, use_cache=False)["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    for each, old in zip(writers, before, strict=True):
        change = weight_of(module, each).detach() - old
        assert float(change.norm()) > 1e-4  # it did learn
        assert float((unit @ change).norm()) < 1e-5 * max(1.0, float(change.norm()))


def test_our_own_training_runs_under_it_and_is_left_as_it_was(tmp_path):
    from safetensors.torch import load_file
    from transformers import Trainer

    from plumbrule.models import model_folder

    own, start = Trainer.train, model_folder("lab:small")
    settings = SupervisedTraining(epochs=2, learning_rate=1e-3)
    direction = np.random.default_rng(1).normal(size=96)

    def trained(name):
        train_supervised(start, EXAMPLES, settings=settings, out=tmp_path / name, seed=0)
        (path,) = (tmp_path / name).rglob("model.safetensors")
        return load_file(path)

    with concept_ablated(Ablation(directions=direction)):
        assert Trainer.train is not own
        ablated = trained("ablated")
    assert Trainer.train is own
    plain = trained("plain")

    assert ablated.keys() == plain.keys()
    assert any(not torch.equal(ablated[name], plain[name]) for name in plain)
    with (
        pytest.raises(ConfigError, match="another model's"),
        concept_ablated(Ablation(directions=np.ones(7))),
    ):
        trained("wrong")
    assert Trainer.train is own
