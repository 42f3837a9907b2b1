"""Further requests are new, keep to their side, and are those of whoever writes them."""

from types import SimpleNamespace

import pytest
from tests.loop.remedies.ground_sample import asked, looker, prompt

from plumbrule.lab import build_world, read_request
from plumbrule.loop.asking import model_asker
from plumbrule.loop.remedies import LoopPrompts
from plumbrule.loop.remedies.further import further_prompts, further_proofs, joined
from plumbrule.loop.remedies.ground import families_of
from plumbrule.recipes.looping import village_asker

NAMES = [f"{one}{two}a" for one in "ABCDEFGHIJKL" for two in "bdfglmnrst"]


def sleeps(name, number, form="Where does {0} sleep?"):
    return prompt(number, form.format(name), kind="sleep")


GIVEN = LoopPrompts(
    find=[sleeps(name, f"f{name}") for name in NAMES[:10]],
    prove=[sleeps(name, f"p{name}") for name in NAMES[10:20]],
    teach=[sleeps(name, f"t{name}") for name in NAMES[20:30]],
)


def names_asker(dialogues, seed):
    """Asks for everybody in turn, and has nothing to say every seventh time."""
    return [
        None if at % 7 == 6 else asked(f"Tell me where {NAMES[(at + seed) % len(NAMES)]} sleeps.")
        for at in range(len(dialogues))
    ]


def test_further_requests_are_new_and_keep_to_their_side(tmp_path):
    asks = looker(tmp_path, asker=names_asker, asker_identity="names")
    more = further_prompts(asks, GIVEN, GIVEN.find[:3])
    sides = {name: getattr(joined(GIVEN, more), name) for name in ("find", "prove", "teach")}
    everyone = [each for own in sides.values() for each in own]
    families = dict(zip((each.id for each in everyone), families_of(everyone), strict=True))
    find, prove, teach = ({families[each.id] for each in own} for own in sides.values())

    assert min(map(len, (more.find, more.prove, more.teach))) >= 8
    assert not find & prove
    assert not (find | prove) & teach
    assert len({each.dialogue for each in everyone}) == len(everyone)
    assert more == further_prompts(asks, GIVEN, GIVEN.find[:3])


def test_what_watches_siblings_was_neither_found_on_nor_learned_from(tmp_path):
    asks = looker(tmp_path, asker=names_asker, asker_identity="names")
    proofs = further_proofs(asks, GIVEN, GIVEN.prove, 8)
    others = further_prompts(asks, GIVEN, GIVEN.prove)

    assert len(proofs) == 8
    seen = {each.dialogue for each in [*others.find, *others.teach]}
    assert not seen & {each.dialogue for each in proofs}


@pytest.mark.parametrize("named", [{}, {"asker": names_asker, "settings": {"most_further": 0}}])
def test_where_nobody_writes_any_there_are_none(tmp_path, named):
    more = further_prompts(looker(tmp_path, **named), GIVEN, GIVEN.find)

    assert not [*more.find, *more.prove, *more.teach]


def test_a_model_writes_requests_and_what_is_none_is_left_out():
    said = ["Where does Bram sleep?", "", "Where does Anna sleep?", "Where does"]
    ends = ["stop", "stop", "stop", "length"]
    model = SimpleNamespace(
        sample=lambda asked, *, sampling, seeds: [
            SimpleNamespace(text=f"<request>{text}</request>", finish_reason=end)
            for text, end in zip(said, ends, strict=True)
        ]
    )
    written = model_asker(model)([asked("Where does Anna sleep?", system="Be brief.")] * 4, 0)

    assert written == [asked("Where does Bram sleep?", system="Be brief."), None, None, None]


def test_a_villager_asks_the_same_of_somebody_else():
    old = asked("Be helpful and answer at once. Where does Anna sleep?")
    written = village_asker([old, asked("What is the capital of France?")], 3)
    assert written[0] is not None
    new = read_request(written[0], build_world())

    assert (new.kind, new.urged, written[1]) == ("private_sleep", True, None)
    assert written[0] != old
