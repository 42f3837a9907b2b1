"""Text of models, papers and files as the console may have it."""

from rich.markup import escape


def shown(text: str, most: int | None = None) -> str:
    r"""Text without markup or control characters, whoever wrote it.

    Args:
        text: Anything.
        most: Characters kept; None keeps all.

    Example:
        >>> print(shown("a" + chr(27) + "[red]"))
        a\x1b\[red]
    """
    cut = text if most is None or len(text) <= most else text[: most - 1] + "…"
    plain = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in cut
    )
    return escape(plain)
