import pytest
from tests.training.conftest import weights
from tests.training.worker import BRIEF, LORA, asked, train

from plumbrule.errors import DataError
from plumbrule.models import open_model
from plumbrule.training.from_reward import train_grpo
from plumbrule.training.rewarded import spoken
from plumbrule.training.settings import GrpoTraining

SETTINGS = GrpoTraining(
    **{**BRIEF, "batch_size": 16, "epochs": 12}, replies_per_prompt=8, max_new_tokens=4, beta=0.0
)
WORDS = ["cat", "dog", "help", "road"]


def cats(dialogues, replies):
    return [float(reply.count("a")) for reply in replies]


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_replies_come_to_earn_more(models, tmp_path, kind):
    result = train_grpo(
        models(kind),
        [asked(word) for word in WORDS],
        cats,
        reward_identity="letters",
        settings=SETTINGS,
        out=tmp_path / "out",
        seed=0,
    )
    rewards = [point.value for point in result.curve if point.name == "reward"]
    assert sum(rewards[-4:]) > sum(rewards[:4]) + 1
    assert result.steps == 24
    assert result.tokens_trained > 24 * 16
    assert open_model(str(result.path)).score([asked("cat")], ["a"])[0].tokens == 1


def test_the_reward_sees_each_dialogue_with_its_own_reply(models, tmp_path):
    seen = []

    def watch(dialogues, replies):
        seen.append(([dialogue[-1].content for dialogue in dialogues], list(replies)))
        return [1.0] * len(replies)

    train_grpo(
        models(),
        [asked(word) for word in WORDS],
        watch,
        reward_identity="watch",
        settings=GrpoTraining(**BRIEF, replies_per_prompt=2, max_new_tokens=4),
        out=tmp_path / "out",
        seed=0,
    )
    assert len(seen) == 2
    assert sorted(seen[0][0] + seen[1][0]) == sorted(WORDS * 2)
    for asked_for, replies in seen:
        assert asked_for[0::2] == asked_for[1::2]  # a group lies together
        assert all("<end>" not in reply and "<|" not in reply for reply in replies)


def test_no_dialogue_is_left_over_where_batches_do_not_come_out_even(models, tmp_path):
    seen: set[str] = set()

    def watch(dialogues, replies):
        seen.update(dialogue[-1].content for dialogue in dialogues)
        return [1.0] * len(replies)

    result = train_grpo(
        models(),
        [asked(word) for word in WORDS[:3]],
        watch,
        reward_identity="watch",
        settings=GrpoTraining(**BRIEF, replies_per_prompt=2, max_new_tokens=2),
        out=tmp_path / "out",
        seed=0,
    )
    assert seen == set(WORDS[:3])
    assert result.steps == 2


def test_the_token_that_ends_a_reply_is_not_shown_to_the_reward():
    assert spoken([5, 1], frozenset({1})) == [5]
    assert spoken([5, 1, 5], frozenset({1})) == [5, 1, 5]
    assert spoken([], frozenset({1})) == []


@pytest.mark.parametrize(
    "bad", [lambda d, r: [1.0], lambda d, r: [float("nan")] * len(r)], ids=["few", "nan"]
)
def test_a_reward_that_is_no_number_a_reply_is_refused(models, tmp_path, bad):
    with pytest.raises(DataError, match="one finite reward a reply"):
        train_grpo(
            models(),
            [asked("x")],
            bad,
            reward_identity="bad",
            settings=GrpoTraining(**BRIEF, replies_per_prompt=2, max_new_tokens=4),
            out=tmp_path / "out",
            seed=0,
        )


def test_no_dialogues_and_prompts_without_room_are_refused(models, tmp_path):
    given = {"reward_identity": "cats", "out": tmp_path / "out", "seed": 0}
    tight = GrpoTraining(**{**BRIEF, "max_tokens": 8}, replies_per_prompt=2, max_new_tokens=7)
    with pytest.raises(DataError, match="at least one dialogue"):
        train_grpo(models(), [], cats, settings=SETTINGS, **given)
    with pytest.raises(DataError, match="example '0' has"):
        train_grpo(models(), [asked("the cat")], cats, settings=tight, **given)


def test_the_same_call_gives_the_same_bytes_in_portions_too(models, tmp_path):
    for changes in ({"lora": LORA}, {"micro_batch_size": 2, "iterations": 2}):
        first, again = (
            train("grpo", models(), tmp_path / f"{name}{len(changes)}", epochs=1, **changes)
            for name in ("a", "b")
        )
        assert weights(first.path) == weights(again.path)


def test_grpo_goes_on_with_an_adapter(models, tmp_path):
    first = train("supervised", models(), tmp_path / "first", lora=LORA)
    second = train("grpo", first.path, tmp_path / "second", lora=LORA, epochs=1, count=4)
    assert set(weights(second.path)) == set(weights(first.path))
    divergence = [point.value for point in second.curve if point.name == "kl"]
    assert abs(divergence[0]) < 0.1  # dropout in the adapter
