"""Whether a dictionary belongs to a model: refused where it does not, before anything is read."""

from pathlib import Path

from plumbrule.errors import DataError
from plumbrule.mechanism.capturing import capture
from plumbrule.mechanism.features.dictionaries import BASE, Dictionary
from plumbrule.mechanism.features.streaming import ModelPart


def check_fits(
    dictionary: Dictionary,
    model: ModelPart,
    *,
    base: ModelPart | None = None,
    spec: str = "",
) -> None:
    """Refuse a dictionary of another model, layer or width.

    Where a file holds a hash of weights, they must be these. Others name a model, which is compared
    with what was typed where that is a hub id; a folder can be called anything.

    Args:
        dictionary: What was read.
        model: The model to use it on; left as it was.
        base: The model before training, for dictionaries that read both.
        spec: What was typed to open the model.

    Raises:
        ConfigError: The model has no such site.
        DataError: The weights, the name or the width are others, or a model is missing.
    """
    origin, reading = dictionary.origin, dictionary.origin.reading
    for hashed, part, which in (
        (origin.identity, model, "the model"),
        (origin.base, base, "the model before training"),
    ):
        if hashed and part is not None and hashed != part.identity:
            raise DataError(
                f"the dictionary was trained on other weights ({hashed[:12]}) than {which} has "
                f"({part.identity[:12]}); open the model that it belongs to"
                + (f", which was called {origin.model}" if origin.model else "")
            )
    if not origin.identity and origin.model and _is_hub(spec) and not _alike(origin.model, spec):
        raise DataError(
            f"expected a dictionary of {spec}, this one says that it belongs to {origin.model}; "
            "open that model"
        )
    if reading.two_models and base is None:
        raise DataError(
            f"a {reading.task} reads the model before training too; give it with --against"
        )
    widths = {}
    for name in reading.sites:
        part = base if name.startswith(BASE) else model
        assert part is not None
        site = name.removeprefix(BASE)
        widths[name] = capture(part.module, part.sites, [[0, 0]], [site]).values[site][0].shape[-1]
    read = widths[reading.site]
    if reading.two_models and widths[BASE + reading.site] != read:
        raise DataError(
            f"expected two models as wide as each other at {reading.site}, got {read} and "
            f"{widths[BASE + reading.site]}"
        )
    factor = 2 if reading.task == "crosscoder" else 1
    written = read if reading.into is None else widths[reading.into]
    got = (dictionary.encoder.shape[1], dictionary.decoder.shape[1])
    if got != (factor * read, factor * written):
        raise DataError(
            f"expected a dictionary that reads {factor * read} numbers a token and writes "
            f"{factor * written} at {' and '.join(reading.sites)}, this one reads {got[0]} and "
            f"writes {got[1]}; it is of another model or site"
        )


def _is_hub(spec: str) -> bool:
    return bool(spec) and not spec.startswith("lab:") and not Path(spec).expanduser().exists()


def _alike(one: str, other: str) -> bool:
    """Whether two names are of one model: only what is behind the last slash counts."""

    def bare(name: str) -> str:
        return name.rpartition("/")[2].casefold().replace("_", "-").removesuffix("-pt")

    return bare(one) == bare(other)
