from dataclasses import replace

import numpy as np
import pytest

from plumbrule.errors import ConfigError, ModelError
from plumbrule.lab.ladders import (
    LADDERS,
    AssignmentChain,
    FriendChain,
    NestedArithmetic,
    PermutationPowering,
    UnionFind,
)
from plumbrule.lab.ladders.drawing import held_out
from plumbrule.lab.ladders.lessons import Lessons, join_lessons
from plumbrule.lab.ladders.student import (
    LadderStudent,
    Shape,
    StudentSettings,
)

EVERY = [(name, kind) for name, ladder in LADDERS.items() for kind in ladder.kinds]


def one(ladder, context, kind, depth):
    return ladder.answer(np.array([context]), kind, depth)[0].tolist()


def test_powers_of_a_permutation_by_hand():
    cycle = PermutationPowering(size=4)

    assert one(cycle, [1, 2, 3, 0], "image", 1) == [1, 2, 3, 0]
    assert one(cycle, [1, 2, 3, 0], "image", 2) == [2, 3, 0, 1]
    assert one(cycle, [1, 2, 3, 0], "image", 4) == [0, 1, 2, 3]


def test_links_of_a_forest_end_at_its_roots():
    forest = UnionFind(size=5)

    assert one(forest, [0, 0, 1, 2, 4], "ancestor", 2) == [0, 0, 0, 1, 4]
    assert one(forest, [0, 0, 1, 2, 4], "ancestor", 8) == [0, 0, 0, 0, 4]


def test_assignments_are_executed_at_once():
    # a, b := b + 1, a + 2 modulo 4, by an interpreter that knows nothing of the ladder
    block = AssignmentChain(size=2, modulus=4)
    a, b = 0, 0
    for depth in range(1, 9):
        a, b = (b + 1) % 4, (a + 2) % 4
        assert one(block, [1 * 4 + 1, 0 * 4 + 2], "value", depth) == [a, b]
    assert one(block, [5, 2], "source", 1) == [1, 0]
    assert one(block, [5, 2], "source", 2) == [0, 1]


def test_nested_expressions_have_the_value_that_python_gives_their_text():
    nested = NestedArithmetic(size=16, modulus=5)
    contexts = nested.draw(30, seed=1, exam=False)
    for depth in (1, 2, 5, 16):
        values = nested.answer(contexts, "value", depth)
        for row in range(30):
            for place in (0, 3, 15):
                text = nested.describe(contexts[row : row + 1], "value", place, depth)
                expression = text.removeprefix("What is, modulo 5: ").removesuffix("?")
                assert set(expression) <= set("0123456789+-() ")
                assert eval(expression) % 5 == values[row, place]


def test_the_friend_of_the_friend_is_found_whatever_the_order_of_the_facts():
    village = FriendChain(size=3)  # 0 -> 1, 1 -> 2, 2 -> 0; facts told as 2, 0, 1
    facts = [2 * 3 + 0, 0 * 3 + 1, 1 * 3 + 2]

    assert one(village, facts, "friend", 1) == [0, 1, 2]
    assert one(village, facts, "friend", 2) == [1, 2, 0]
    assert "Who is the friend of the friend of Cleo?" in village.describe(
        np.array([facts]), "friend", 0, 2
    )


@pytest.mark.parametrize(("name", "kind"), EVERY)
@pytest.mark.parametrize("half", [1, 2, 4, 8])
def test_true_halves_make_true_wholes(name, kind, half):
    ladder = LADDERS[name]
    contexts = ladder.draw(100, seed=half, exam=False)

    combined = ladder.combine(
        contexts, kind, lambda asked: ladder.answer(contexts, asked, half), half=half
    )

    assert (combined == ladder.answer(contexts, kind, 2 * half)).all()


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_a_wrong_half_makes_wrong_wholes(name, kind):
    ladder = LADDERS[name]
    contexts = ladder.draw(200, seed=1, exam=False)
    asked = set()

    def broken(part):
        asked.add(part)
        return (ladder.answer(contexts, part, 2) + 1) % ladder.choices(part)

    combined = ladder.combine(contexts, kind, broken, half=2)

    assert asked == set(ladder.parts(kind))
    if name != "arithmetic" or kind != "sign":  # two wrong signs make a right one
        assert (combined != ladder.answer(contexts, kind, 4)).mean() > 0.4


@pytest.mark.parametrize(("name", "kind"), EVERY)
@pytest.mark.parametrize("depth", [1, 4])
def test_other_names_change_the_words_and_not_the_answers(name, kind, depth):
    ladder = LADDERS[name]
    contexts = ladder.draw(100, seed=2, exam=False)

    renamed = ladder.relabel(contexts, seed=7)

    answers = ladder.answer(renamed.contexts, kind, depth)
    assert (renamed.contexts != contexts).any(axis=1).mean() > 0.7
    assert (renamed.restore(answers, kind) == ladder.answer(contexts, kind, depth)).all()


@pytest.mark.parametrize("name", LADDERS)
def test_contexts_of_the_exam_are_never_drawn_for_training(name):
    ladder = LADDERS[name]
    training = {row.tobytes() for row in ladder.draw(3000, seed=1, exam=False)}
    exam = {row.tobytes() for row in ladder.draw(1000, seed=2, exam=True)}

    assert not training & exam
    assert (ladder.draw(50, seed=3, exam=True) == ladder.draw(50, seed=3, exam=True)).all()


@pytest.mark.parametrize("name", LADDERS)
def test_answers_lie_among_the_choices_and_questions_have_words(name):
    ladder = LADDERS[name]
    contexts = ladder.draw(200, seed=4, exam=False)
    assert contexts.shape == (200, ladder.size)
    assert contexts.min() >= 0
    assert contexts.max() < ladder.vocabulary
    for kind in ladder.kinds:
        answers = ladder.answer(contexts, kind, 4)
        assert answers.shape == (200, ladder.size)
        assert set(np.unique(answers)) == set(range(ladder.choices(kind)))
        assert ladder.describe(contexts[:1], kind, 1, 4).endswith("?")


def test_a_village_is_held_out_in_every_order_of_its_facts():
    village = FriendChain()
    exam = village.draw(50, seed=1, exam=True)

    told_otherwise = exam[:, ::-1]

    friends = village._friend_of(told_otherwise)
    assert held_out(friends).all()


def test_one_context_in_ten_is_held_out():
    contexts = np.random.default_rng(0).integers(0, 40, (20_000, 8))

    assert held_out(contexts).mean() == pytest.approx(0.1, abs=0.01)


def test_a_task_too_small_to_hold_contexts_out_says_so():
    village = FriendChain(size=3)  # of 8 villages none falls on the held-out side

    with pytest.raises(ConfigError, match="choose larger sizes"):
        village.draw(10, seed=0, exam=True)


def a_student(**changes):
    ladder = PermutationPowering(size=4)
    shape = Shape(vocabulary=4, tokens=4, places=(0, 1, 2, 3), answers=4, kinds=("image",))
    settings = StudentSettings(width=32, layers=2, levels=2, every=25, most_steps=400)
    return ladder, LadderStudent(shape, replace(settings, **changes), seed=1)


def lesson(ladder, student, level, count):
    contexts = ladder.draw(count, seed=level, exam=False)
    return Lessons(
        contexts=contexts,
        segments=np.full((count, 1), student.segment("image", level)),
        answers=ladder.answer(contexts, "image", 2**level),
    )


def right(ladder, student, level):
    exam = ladder.draw(100, seed=9, exam=True)
    return (student.ask(exam, "image", level) == ladder.answer(exam, "image", 2**level)).mean()


def test_a_student_learns_keeps_what_it_knew_and_can_be_put_away(tmp_path):
    ladder, untaught = a_student()
    assert right(ladder, untaught, 0) < 0.6

    first, took = untaught.taught(lesson(ladder, untaught, 0, 80), None, seed=0)
    second, _ = first.taught(lesson(ladder, first, 1, 400), lesson(ladder, first, 0, 200), seed=0)

    assert took["agreement"] == 1.0
    assert right(ladder, first, 0) > 0.95
    assert right(ladder, second, 1) > 0.9
    assert right(ladder, second, 0) > 0.95
    assert right(ladder, untaught, 0) < 0.6

    digest = second.save(tmp_path)
    again = LadderStudent.open(tmp_path)
    exam = ladder.draw(50, seed=3, exam=True)
    assert (again.ask(exam, "image", 1) == second.ask(exam, "image", 1)).all()
    assert again.save(tmp_path / "twice") == digest


def test_a_saved_student_opens_with_transformers(tmp_path):
    import torch
    from transformers import AutoModelForTokenClassification

    ladder, student = a_student()
    student.save(tmp_path)
    exam = ladder.draw(20, seed=3, exam=True)

    model = AutoModelForTokenClassification.from_pretrained(tmp_path)
    with torch.no_grad():
        logits = model(
            input_ids=torch.from_numpy(exam),
            position_ids=torch.arange(4).expand(20, 4),
            token_type_ids=torch.full((20, 4), student.segment("image", 1)),
        ).logits

    assert (logits.argmax(-1).numpy() == student.ask(exam, "image", 1)).all()


def test_learning_twice_from_the_same_gives_the_same_weights(tmp_path):
    ladder, student = a_student(most_steps=50)
    fresh = join_lessons([lesson(ladder, student, 0, 80)])

    digests = {student.taught(fresh, None, seed=0)[0].save(tmp_path / str(each)) for each in (1, 2)}

    assert len(digests) == 1


def test_places_not_asked_about_are_not_learned_from():
    ladder, student = a_student(most_steps=200)
    fresh = lesson(ladder, student, 0, 80)
    answers = fresh.answers.copy()
    answers[:, 2:] = -1

    learned, took = student.taught(replace(fresh, answers=answers), None, seed=0)

    assert took["agreement"] > 0.95
    exam = ladder.draw(50, seed=3, exam=True)
    assert (learned.ask(exam, "image", 0)[:, :2] == exam[:, :2]).mean() > 0.9


def test_what_a_student_cannot_be_is_refused(tmp_path):
    _, student = a_student()

    with pytest.raises(ModelError, match="levels 0 to 1"):
        student.segment("image", 2)
    with pytest.raises(ModelError, match="does not hold a student"):
        LadderStudent.open(tmp_path)
    with pytest.raises(ConfigError, match="multiple of heads"):
        StudentSettings(width=30, heads=4)
    with pytest.raises(ConfigError, match="at least 1"):
        StudentSettings(batch=0)
