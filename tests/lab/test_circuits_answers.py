import numpy as np
import pytest
from tests.lab.edge_oracle import logits_of

from plumbrule.lab.circuits import TASKS

BUILDS = [(name, family) for name, task in TASKS.items() for family in task.families]
IDS = [f"{name}-{family}" for name, family in BUILDS]


@pytest.mark.parametrize(("name", "family"), BUILDS, ids=IDS)
def test_every_model_answers_all_of_500_prompts_rightly(name, family):
    for seed in range(3):
        model = TASKS[name].build(seed, family=family)
        pairs = model.pairs(500, seed=100 + seed)

        said = logits_of(model.module, [pair.clean for pair in pairs]).argmax(1)

        assert said.tolist() == [pair.right for pair in pairs]


@pytest.mark.parametrize(("name", "family"), BUILDS, ids=IDS)
def test_the_corrupted_prompt_never_has_the_right_answer(name, family):
    model = TASKS[name].build(3, family=family)
    pairs = model.pairs(100, seed=0)

    said = logits_of(model.module, [pair.corrupted for pair in pairs])

    rows = np.arange(len(pairs))
    right, wrong = ([getattr(pair, end) for pair in pairs] for end in ("right", "wrong"))
    assert (said.argmax(1) != right).all()
    if name == "indirect_object":
        # No name is said twice there, so that neither answer is favored.
        assert np.abs(said[rows, right] - said[rows, wrong]).max() < 1.0
    else:
        assert (said.argmax(1) == wrong).all()
