"""The page of an evidence folder: what is there, what was checked, and what vouches for it."""

from plumbrule.report.subjects import Json
from plumbrule.report.templating import environment, styles


def render(content: Json) -> str:
    """Turn the record of an evidence folder into one HTML file that needs nothing else.

    Args:
        content: What `evidence.page` puts together.

    Returns:
        The page; the same record gives the same text.
    """
    page = (
        environment()
        .get_template("evidence.html.j2")
        .render(record=content, style=styles("style.css"))
    )
    return page + "\n"
