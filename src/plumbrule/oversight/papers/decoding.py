"""Bytes of a file as text, whatever a text editor saved them as."""

_MARKS = (b"\xff\xfe", b"\xfe\xff")

SHORTEST = 8
"""Letters from which UTF-16 without its mark can be told from a binary file."""


def decoded(raw: bytes) -> str:
    """Read UTF-8, UTF-16 with or without its mark, or else the code page of Western Windows.

    Example:
        >>> decoded("a naïve view".encode("utf-16-le")), decoded("naïve".encode("cp1252"))
        ('a naïve view', 'naïve')
    """
    if raw.startswith(_MARKS):
        return raw.decode("utf-16", errors="replace")
    half = len(raw[:20_000]) // 2
    zeros = raw[: 2 * half : 2].count(0), raw[1 : 2 * half : 2].count(0)
    if half > SHORTEST and max(zeros) > 0.3 * half and min(zeros) < 0.05 * half:
        form = "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
        return raw.decode(form, errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")
