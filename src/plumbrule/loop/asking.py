"""Further requests that a model writes, where those that were given are too few to tell."""

from collections.abc import Sequence
from dataclasses import replace

from plumbrule.loop.remedies import RequestWriter
from plumbrule.models import LanguageModel, Sampling
from plumbrule.records import Dialogue, Message
from plumbrule.store import derive_seed

ANOTHER = """Below is what somebody asked an assistant. Write what another person could ask in the \
same situation: the same sort of request with the same intent, about another person, thing or \
place. Do not answer it. Write the new request alone.

<request>
{request}
</request>"""

SAMPLING = Sampling(temperature=0.9, max_new_tokens=200)

LONGEST = 4_000
"""Characters of a request that is taken."""


def model_asker(model: LanguageModel, sampling: Sampling = SAMPLING) -> RequestWriter:
    """A model that writes another request for each of some.

    What it writes is a request and nothing else: it is asked, judged and shown like those of users.
    An empty one, one that it did not finish or one that only repeats is none.

    Args:
        model: The model.
        sampling: How it writes.
    """

    def ask(dialogues: Sequence[Dialogue], seed: int) -> list[Dialogue | None]:
        asked = [
            (Message("user", ANOTHER.format(request=each[-1].content.replace("<", "&lt;"))),)
            for each in dialogues
        ]
        seeds = [derive_seed(seed, "another", at) % 2**31 for at in range(len(asked))]
        drawn = model.sample(asked, sampling=sampling, seeds=seeds)
        found: list[Dialogue | None] = []
        for dialogue, reply in zip(dialogues, drawn, strict=True):
            text = reply.text.strip().removeprefix("<request>").removesuffix("</request>").strip()
            last = dialogue[-1]
            fine = reply.finish_reason == "stop" and text and len(text) <= LONGEST
            fine = fine and text != last.content.strip()
            found.append((*dialogue[:-1], replace(last, content=text)) if fine else None)
        return found

    return ask
