"""Ask a model once before work begins, so that what would end the work ends it now."""

from plumbrule.models.handle import LanguageModel, Sampling
from plumbrule.records import Message

_QUESTION = (Message("user", "Reply with the single word: ready"),)


def probe(*models: LanguageModel) -> None:
    """Ask each model for one short reply.

    A wrong key, address or route shows at once, and so does what a server refuses to be sent, which
    is learned from it. Answers of endpoints are kept, so going on with finished work asks nobody.

    Raises:
        AccessError: An endpoint takes no request of ours.
        OutsideError: It does not answer, or the budget does not cover one call.
        ModelError: A local model cannot be run.
    """
    asked: set[str] = set()
    for model in models:
        if model.identity not in asked:
            asked.add(model.identity)
            # Not the servers' defaults, which some models insist on.
            sampling = Sampling(temperature=0.5, max_new_tokens=16)
            model.sample([_QUESTION], sampling=sampling, seeds=[0])
