"""Safety classifiers from outside: a sequence classifier on this machine, or behind an address."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from plumbrule.errors import EndpointError, ModelError, brief

SafetyClassifier = Callable[[Sequence[tuple[str, str]]], Float[np.ndarray, "replies labels"]]
"""Probabilities of a classifier's labels for pairs of request and reply."""


def open_classifier(spec: str, *, timeout_seconds: float = 60.0) -> SafetyClassifier:
    """Open a sequence classifier on this machine, or reach one at an address.

    Args:
        spec: Folder of a Hugging Face sequence classifier, or an address (http, https) that takes
            `{"inputs": [...]}` and gives a list of `{"label": ..., "score": ...}` for each.
        timeout_seconds: Longest wait for the address.

    Returns:
        The classifier. A request and its reply are put to it as a pair of texts.

    Raises:
        ModelError: There is no such classifier in the folder.
        EndpointError: The address cannot be reached, or gives something else.
    """
    if spec.startswith(("http://", "https://")):
        return lambda pairs: _classified_there(spec, pairs, timeout_seconds)
    if not Path(spec).is_dir():
        raise ModelError(
            f"expected a folder with a sequence classifier, or an address, got {spec!r}; download "
            "the classifier first and give its folder"
        )
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(spec, local_files_only=True)
        model = AutoModelForSequenceClassification.from_pretrained(
            spec, local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"expected a sequence classifier in {spec}, got something else: {brief(error)}"
        ) from error
    model.eval()

    def classify(pairs: Sequence[tuple[str, str]]) -> Float[np.ndarray, "replies labels"]:
        found = []
        for request, reply in pairs:  # one at a time: some tokenizers have no padding
            tokens = tokenizer(request, reply, truncation=True, max_length=512, return_tensors="pt")
            with torch.inference_mode():
                logits = model(**tokens).logits[0].float()
            shares = torch.softmax(logits, -1) if len(logits) > 1 else torch.sigmoid(logits)
            found.append(shares.numpy())
        return np.stack(found)

    return classify


def _classified_there(
    address: str, pairs: Sequence[tuple[str, str]], timeout_seconds: float
) -> Float[np.ndarray, "replies labels"]:
    import httpx

    texts = [f"{request}\n\n{reply}" for request, reply in pairs]
    try:
        answer = httpx.post(address, json={"inputs": texts}, timeout=timeout_seconds)
        answer.raise_for_status()
        rows = [{str(one["label"]): float(one["score"]) for one in each} for each in answer.json()]
        labels = sorted({label for row in rows for label in row})
        found = np.array([[row[label] for label in labels] for row in rows])
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise EndpointError(
            f"expected labels with scores for each of {len(texts)} texts from {address}, got: "
            f"{brief(error)}. Check the address; the same command asks again."
        ) from error
    if found.shape[:1] != (len(texts),) or found.ndim != 2 or not np.isfinite(found).all():
        raise EndpointError(
            f"expected labels with scores for each of {len(texts)} texts from {address}, got "
            f"an answer of shape {found.shape}"
        )
    return found
