import re
import xml.etree.ElementTree as ElementTree

import pytest
from benchmarks.tiny_models import build

from plumbrule.errors import ConfigError, DataError
from plumbrule.mechanism import Edge, draw_circuit, edges_of, find_sites, parsed_edges
from plumbrule.mechanism.circuits.drawing import THICK, THIN

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def graph():
    module = build("Gemma2ForCausalLM").module
    return edges_of(module, find_sites(module))


def effects_of(**effects):
    texts = [text for text in effects.pop("texts")]
    return dict(zip(parsed_edges(texts), effects["shares"], strict=True))


TEXTS = ("embed -> 0.q.1", "0.heads.1 -> 0.mlp.in", "0.mlp -> 2.k.1", "2.heads.3 -> final")


@pytest.fixture(scope="module")
def drawn(graph):
    effects = effects_of(texts=TEXTS, shares=(0.5, -0.25, 0.1, 1.0))
    return ElementTree.fromstring(draw_circuit(graph, effects, title="A <b>circuit</b> & more"))


def text_of(drawn, name):
    found = drawn.find(f"{SVG}{name}")
    assert found is not None
    return found.text or ""


def paths(drawn):
    return [each for each in drawn.iter(f"{SVG}path") if each.find(f"{SVG}title") is not None]


def test_every_edge_is_drawn_and_says_what_it_is(drawn):
    titles = [text_of(path, "title") for path in paths(drawn)]

    assert sorted(titles) == sorted(
        [
            "embed -> 0.q.1: 50% for the right answer",
            "0.heads.1 -> 0.mlp.in: 25% against the right answer",
            "0.mlp -> 2.k.1: 10% for the right answer",
            "2.heads.3 -> final: 100% for the right answer",
        ]
    )


def test_width_follows_size_and_color_follows_sign(drawn):
    by_title = {text_of(path, "title").split(":")[0]: path for path in paths(drawn)}
    widths = {name: float(path.get("stroke-width")) for name, path in by_title.items()}

    assert [name for name, _ in sorted(widths.items(), key=lambda each: each[1])] == [
        "0.mlp -> 2.k.1",
        "0.heads.1 -> 0.mlp.in",
        "embed -> 0.q.1",
        "2.heads.3 -> final",
    ]
    # A hundredth of a pixel is what is written.
    assert widths["2.heads.3 -> final"] == pytest.approx(THICK, abs=0.01)
    assert widths["embed -> 0.q.1"] == pytest.approx(THIN + 0.5 * (THICK - THIN), abs=0.01)
    assert by_title["0.heads.1 -> 0.mlp.in"].get("class") == "edge hinders"
    assert by_title["embed -> 0.q.1"].get("class") == "edge helps"


def test_layers_go_from_the_bottom_up(drawn):
    boxes = [each for each in drawn.iter(f"{SVG}rect") if each.get("class") == "node"]
    words = [
        each.text
        for each in drawn.iter(f"{SVG}text")
        if each.get("class") == "words" and each.text is not None
    ]
    heights = {name: float(box.get("y")) for name, box in zip(words, boxes, strict=True)}

    assert sorted(heights, key=lambda name: heights[name], reverse=True) == [
        "embed",
        "0.1",
        "MLP 0",
        "2.3",
        "answer",
    ]
    # A key that two heads share is drawn at the one that is read.
    assert "2.2" not in words
    for path in paths(drawn):
        numbers = [float(each) for each in re.findall(r"-?[\d.]+", path.get("d"))]
        assert numbers[1] > numbers[-1]  # upward


def test_a_reader_who_does_not_see_it_is_told(drawn):
    assert drawn.get("role") == "img"
    assert text_of(drawn, "title") == "A <b>circuit</b> & more"
    words = text_of(drawn, "desc")
    assert words.startswith("A circuit of 4 edges")
    assert "2.heads.3 -> final, 100% for the right answer" in words
    named = {each.get("id") for each in drawn.iter() if each.get("id")}
    assert set(drawn.get("aria-labelledby").split()) <= named


def test_hostile_titles_stay_text(graph):
    title = '</title><script>alert(1)</script>\x00\x1b\u202e"'
    drawn = ElementTree.fromstring(draw_circuit(graph, {}, title=title))

    assert not list(drawn.iter(f"{SVG}script"))
    assert text_of(drawn, "title") == '</title><script>alert(1)</script>"'


def test_an_empty_circuit_says_so(graph):
    drawn = ElementTree.fromstring(draw_circuit(graph, {}, title="none"))

    assert text_of(drawn, "desc") == "A circuit without edges: none is confirmed."
    assert "no edge stands" in [each.text for each in drawn.iter(f"{SVG}text")]
    assert paths(drawn) == []


def test_every_edge_of_a_model_at_once_can_be_drawn(graph):
    drawn = ElementTree.fromstring(
        draw_circuit(graph, dict.fromkeys(graph.edges, 0.1), title="all")
    )

    assert len(paths(drawn)) == len(graph.edges)
    assert "and 143 smaller ones" in text_of(drawn, "desc")


def test_what_cannot_be_drawn_is_refused(graph):
    with pytest.raises(DataError, match=r"expected a number for each edge, got none for embed"):
        draw_circuit(graph, effects_of(texts=TEXTS[:1], shares=(float("nan"),)), title="")
    with pytest.raises(ConfigError, match=r"there is no 7\.mlp"):
        draw_circuit(graph, {Edge(writer="7.mlp", reader="final"): 1.0}, title="")
