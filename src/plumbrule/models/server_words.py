"""What a server says when it does not answer, and what is meant by it.

Servers agree on no wording, so what matters is looked for: a filter that withheld a text, a text
that is too long, and money that has run out. Whether an account may be used at all is never taken
for a filter.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_MODERATION = re.compile(
    r"content[ _-]?(?:filter|management|policy|moderation|security|safety)|moderat(?:ion|ed)|"
    r"responsible[ _]?ai|data_inspection|inappropriate|prohibited[ _]content|\bflagged\b|"
    r"safety (?:system|filter|setting|guideline|polic|reason|check)|\"safety\"|"
    r"(?:sensitive|harmful|unsafe|offensive|objectionable|disallowed|illegal)"
    r" (?:content|information|text|word|input|prompt|material|request)|"
    r"blocked (?:by|due to|because)[^.]{0,60}(?:polic|safety|filter|guardrail|content)|"
    r"violat\w*[^.]{0,60}(?:usage|content|safety|acceptable)[ _-]?(?:use )?"
    r"(?:polic|guideline|standard)|(?:usage|acceptable use) polic|guardrail|jailbreak|"
    r"prompt (?:was |has been |is )?(?:blocked|rejected|flagged|filtered)|blockreason|"
    r"\u4e0d\u5f53\u5185\u5bb9|\u654f\u611f|\u5185\u5bb9\u5b89\u5168|\u5ba1\u6838",
    re.IGNORECASE,
)
_CODES = frozenset(
    {
        "content_filter",
        "content_policy_violation",
        "data_inspection_failed",
        "moderation_blocked",
        "content_moderation",
        "safety",
        "prohibited_content",
        "responsibleaipolicyviolation",
        "risk_control",
    }
)
_ACCOUNT = re.compile(
    r"\b(?:your|this|the) (?:account|organi[sz]ation|api[ _]?key|key|project|ip|country|region)\b|"
    r"api[ _]key|billing|deactivated|suspended|not (?:authori[sz]ed|permitted to use)|"
    r"permission_denied|terms of service",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"context[ _-]?(?:length|window|size)|maximum (?:input|prompt|sequence|model) length|"
    r"(?:prompt|input|request|messages?) (?:is|are) too (?:long|large)|too many (?:input )?tokens|"
    r"(?:input|prompt)[^.]{0,40} exceeds|string_above_max_length|max_model_len|n_ctx",
    re.IGNORECASE,
)
_QUOTA = re.compile(
    r"insufficient[ _]?(?:quota|balance|credit|fund)|billing_hard_limit|out of credits|"
    r"payment required|arrears",
    re.IGNORECASE,
)
_NOT_SAID = frozenset({"input", "request", "body", "headers", "url"})


@dataclass(frozen=True, kw_only=True)
class Said:
    """A server's words about why it does not answer."""

    message: str
    """What to show; empty where it gave no words."""

    words: str
    """Everything it said, for looking things up in; never what it merely repeats of ours."""

    code: str = ""
    param: str = ""
    """Field of the request that it names, if any."""

    status: int | None = None
    """The status that it writes into the text, which may differ from the one it sent."""


def read_words(body: str | Any) -> Said:
    """Find a server's words in a body of any form.

    Args:
        body: Text that came, or what it holds as JSON.
    """
    value: Any = body
    if isinstance(body, str):
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return Said(message=body, words=body)
    inner = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(inner, str):
        return Said(message=inner, words=" ".join(_strings(value)))
    fields = inner if isinstance(inner, dict) else {}
    words = " ".join(_strings(value))
    message = next(
        (fields[name] for name in ("message", "msg", "detail") if _is_text(fields.get(name))), words
    )
    upstream = fields.get("metadata")
    if isinstance(upstream, dict) and _is_text(upstream.get("raw")):
        message = f"{message}: {upstream['raw']}"
    codes = [fields.get(name) for name in ("code", "type", "status", "reason")]
    return Said(
        message=message,
        words=words,
        code=" ".join(one for one in codes if isinstance(one, str)),
        param=_param(fields, value),
        status=_status(codes),
    )


def is_moderation(said: Said) -> bool:
    """Whether a filter withheld this one text."""
    if _CODES & set(said.code.casefold().split()):
        return True
    return bool(_MODERATION.search(said.words)) and not _ACCOUNT.search(said.words)


def is_too_long(said: Said) -> bool:
    """Whether the text is longer than the model reads."""
    return bool(_TOO_LONG.search(f"{said.code} {said.words}"))


def is_quota(said: Said) -> bool:
    """Whether the money has run out, which waiting does not mend."""
    return bool(_QUOTA.search(f"{said.code} {said.words}"))


def _status(codes: list[object]) -> int | None:
    for one in codes:
        if isinstance(one, int) and not isinstance(one, bool):
            return one
        if isinstance(one, str) and re.fullmatch(r"[45]\d\d", one):
            return int(one)
    return None


def _param(fields: dict[str, Any], value: Any) -> str:
    if _is_text(fields.get("param")):
        return str(fields["param"])
    details = fields.get("detail") if "detail" in fields else value
    if isinstance(details, list) and details and isinstance(details[0], dict):
        place = details[0].get("loc")
        if isinstance(place, list) and place:
            return str(place[-1])
    return ""


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _strings(value: object, depth: int = 0) -> Iterator[str]:
    """Every text in a value, except what repeats the request."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict) and depth < 8:
        for name, part in value.items():
            if name not in _NOT_SAID:
                yield from _strings(part, depth + 1)
    elif isinstance(value, list) and depth < 8:
        for part in value:
            yield from _strings(part, depth + 1)
