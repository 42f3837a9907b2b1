import json
import re

from tests.report.test_report import PAYLOADS, Page

from plumbrule.report import write_page
from plumbrule.report.features import feature_view, render


def estimate(value):
    return {
        "value": value, "low": value - 0.1, "high": min(1.0, value + 0.1), "level": 0.95, "n": 20,
        "unit": "share of pairs in the right order", "method": "a score interval",
    }  # fmt: skip


def content(token=" word"):
    context = {
        "row": 3, "position": 2, "tokens": ["a", token, "."], "activations": [0.0, 2.0, 1.0],
        "peak": 2.0,
    }  # fmt: skip
    feature = {
        "latent": 17, "density": 0.021, "mean": 1.3, "contexts": [context], "silent": [],
        "histogram": [0, 5, 20, 1], "raised": [{"token": 4, "text": token, "score": 3.2}],
        "lowered": [{"token": 5, "text": "no", "score": -3.0}], "stands_out": True, "name": token,
    }  # fmt: skip
    return {
        "schema": 1,
        "title": f"Features of {token}",
        "command": "plumbrule inspect features",
        "dictionary": {"kind": "topk", "latents": 64},
        "training": {"tokens": 1000},
        "score": {
            "tokens": 900, "variance_explained": 0.81, "active": 4.0, "dead": 0.1, "loss": 2.0,
            "loss_spliced": 2.2, "loss_without": 8.0, "loss_recovered": 0.97, "reason": "",
        },
        "features": [
            {"feature": feature, "detection": estimate(0.8), "shuffled": None, "reason": ""}
        ],
        "baselines": {
            "latent": 17, "pooling": "max", "feature": estimate(0.7),
            "mean_difference": estimate(0.9), "probe": estimate(0.85), "texts": 30,
        },
        "scaled": [],
        "progress": None,
        "notes": ["A note."],
    }  # fmt: skip


def test_tokens_are_shaded_by_how_active_the_latent_is():
    html = render(content())

    assert 'style="--heat: 100" class="peak"' in html
    assert 'style="--heat: 50"' in html
    assert '<span title="silent">a</span>' in html
    assert feature_view(content()["features"][0]).bars == (0, 25, 100, 5)


def test_the_best_latent_stands_beside_plainer_methods():
    html = render(content())

    assert 'href="#feature-17"' in html
    assert 'id="feature-17"' in html
    assert html.index("best single latent") < html.index("difference of means")
    assert "70.0%" in html
    assert "90.0%" in html


def test_a_page_without_labels_says_what_is_missing():
    record = content() | {"baselines": None}

    assert "no labeled texts were given" in render(record)


def test_text_of_a_model_is_text():
    for payload in PAYLOADS:
        html = render(content(payload))
        assert Page(html)
        assert "<script" not in html
        assert not re.search(r"<(img|iframe|object|embed)\b", html)


def test_the_page_is_made_of_the_record_alone(tmp_path):
    write_page("features", content(), tmp_path)

    record = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert record == content()
    assert (tmp_path / "index.html").read_text("utf-8") == render(record)
