"""A model opened to be looked into, and its tokens as text."""

from collections.abc import Callable

from plumbrule.errors import ModelError
from plumbrule.mechanism.hooks import no_room
from plumbrule.mechanism.site_search import find_sites
from plumbrule.mechanism.sites import Sites
from plumbrule.models import LocalModel, open_model


def open_with_sites(
    spec: str, *, device: str = "auto", dtype: str = "auto"
) -> tuple[LocalModel, Sites]:
    """A local model, and its sites.

    A model without a chat template reads messages as plain text: what is looked at is how it works,
    for which it need not follow turns.

    Args:
        spec: Hub id, folder, PEFT adapter or `lab:NAME`.
        device: As for `open_model`.
        dtype: As for `open_model`.

    Raises:
        ModelError: It is an endpoint, does not fit into memory, or its parts cannot be found.
    """
    try:
        model = open_model(spec, device=device, dtype=dtype, plain_text=True)
    except (MemoryError, RuntimeError) as error:
        if not no_room(error):
            raise
        raise ModelError(f"{spec} does not fit into memory; take a smaller model") from error
    if not isinstance(model, LocalModel):
        raise ModelError(
            f"{spec} is an endpoint: there is nothing to look into; give a folder or a hub id"
        )
    return model, find_sites(model.module)


def token_text(model: LocalModel) -> Callable[[int], str]:
    """What gives a token's text, so that it can be told apart from its neighbors in a line.

    Args:
        model: Whose tokens.
    """

    def text(token: int) -> str:
        # Quoted as Python does: blanks and control characters of a model's text do nothing here.
        return repr(str(model.tokenizer.decode([token])))

    return text
