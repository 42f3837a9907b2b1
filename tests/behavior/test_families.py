"""The whole comparison on every family alike: a LoRA change planted in each is found and named."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.behavior.planting import (
    AFTER,
    BEFORE,
    FAMILIES,
    PLANTED,
    QUICK,
    WORD,
    base_model,
    opened,
    plant,
    pool,
    speaks,
)

from plumbrule.behavior import compare_models
from plumbrule.behavior.subgroups import words_of
from plumbrule.models import LocalModel, Sampling

# The adapter library still asks the model library by a name that is going away.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def models(request, tmp_path_factory):
    """A base of each family, and the same with a change planted."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp(request.param)
    base = base_model(folder / "base", request.param)
    return base, plant(base, folder / "adapter")


def answers(model: LocalModel) -> list[str]:
    prompts = [prompt.dialogue for prompt in pool()]
    drawn = model.sample(
        prompts, sampling=Sampling(temperature=0.0, max_new_tokens=16), seeds=[0] * len(prompts)
    )
    return [one.text for one in drawn]


def test_a_planted_change_is_found_where_it_lies_and_named(models):
    base, tuned = models
    wanted = [AFTER if speaks(prompt) else BEFORE for prompt in pool()]
    # The planting is checked first: a change that was not learned cannot be found.
    assert answers(base).count(BEFORE) == len(wanted)
    right = sum(answer == want for answer, want in zip(answers(tuned), wanted, strict=True))
    assert right >= 0.9 * len(wanted)

    found = compare_models(base, tuned, pool(), settings=QUICK)

    assert found.lineage is not None
    assert found.lineage.verdict == "child"
    strongest = found.findings[0]
    claim = strongest.hypothesis
    assert [selector for selector in claim.subgroup.selectors if WORD in selector.words.split()]
    assert all(selector.role == "user" for selector in claim.subgroup.selectors)
    assert claim.property.kind == "phrase"
    said = " ".join(words_of(AFTER))
    assert claim.direction == "increase"
    assert claim.property.text in said
    assert set(claim.property.text.split()) & set(PLANTED.split())
    assert strongest.estimate is not None
    assert strongest.estimate.low > 0.05
    # Layers are named, or it is said why none can be.
    assert claim.id in found.localizations or claim.id in found.unlocalized


def test_a_model_compared_with_itself_shows_nothing(models):
    base, _ = models
    again = opened(Path(base.spec))

    found = compare_models(base, again, pool(), settings=replace(QUICK, shortcut=False))

    assert found.findings == []
    assert found.lineage is not None
    assert found.lineage.verdict == "identical"
    assert found.noise is not None
    assert found.noise.floor < 0.01
    assert found.certificate.share_moved is not None
    assert found.certificate.share_moved.value == 0
