"""The page of a dictionary: how good it is, and its features one by one."""

from dataclasses import dataclass
from typing import Any

from plumbrule.report.subjects import Json
from plumbrule.report.templating import fill


@dataclass(frozen=True, kw_only=True)
class ShadedToken:
    """A token of a context."""

    text: str
    heat: int
    """Percent of the latent's largest activation in any context shown."""

    title: str
    """What a reader sees who points at it."""


@dataclass(frozen=True, kw_only=True)
class FeatureView:
    """One latent as the page shows it."""

    record: Json
    contexts: tuple[tuple[Json, tuple[ShadedToken, ...]], ...]
    bars: tuple[int, ...]
    """Heights of the histogram, in percent of the highest."""

    largest: float
    """Right end of the histogram."""


def render(content: Json) -> str:
    """Turn the record of a dictionary into one HTML file that needs nothing else."""
    return fill(
        "features",
        content,
        "features.css",
        views=[feature_view(each) for each in content.get("features") or ()],
    )


def feature_view(named: Json) -> FeatureView:
    """Lay out one latent."""
    feature = named["feature"]
    largest = max((float(each["peak"]) for each in feature["contexts"]), default=0.0)
    highest = max(feature["histogram"], default=0)
    return FeatureView(
        record=named,
        contexts=tuple((each, _shaded(each, largest)) for each in feature["contexts"]),
        bars=tuple(
            # One pixel shows that there are some.
            max(2, round(100 * each / highest)) if each and highest else 0
            for each in feature["histogram"]
        ),
        largest=largest,
    )


def _shaded(context: Any, largest: float) -> tuple[ShadedToken, ...]:
    return tuple(
        ShadedToken(
            text=str(token),
            heat=round(100 * float(activation) / largest) if largest else 0,
            title=f"{float(activation):.3g}" if activation else "silent",
        )
        for token, activation in zip(context["tokens"], context["activations"], strict=True)
    )
