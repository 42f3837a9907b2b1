"""Links from the report to the records it came from, and to nothing else."""

import re
from urllib.parse import quote

UP = "../"
"""The report lies one folder below the run's folder, and no link goes above that."""

_PART = re.compile(r"[^\x00-\x1f\x7f\\/:]+")


def records_href(path: object) -> str | None:
    """Turn the path of records into a link that stays inside the run's folder.

    Args:
        path: Relative to the run's folder, or to the report's folder (then it begins with `../`).

    Returns:
        The link, percent-encoded; None where the path is not one that may be linked.

    Example:
        >>> records_href("examination/before/judgments")
        '../examination/before/judgments'
        >>> records_href("../../etc/passwd"), records_href("javascript:alert(1)")
        (None, None)
    """
    if not isinstance(path, str):
        return None
    parts = path.removeprefix(UP).removesuffix("/").split("/")
    if not all(_PART.fullmatch(part) and part not in (".", "..") for part in parts):
        return None
    try:
        return UP + "/".join(quote(part) for part in parts)
    except UnicodeEncodeError:  # half of a surrogate pair is no name of a file
        return None
