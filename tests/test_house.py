"""A sample of the inputs of `benchmarks/house.py`: each is refused in one clear paragraph."""

import logging
import sys
from pathlib import Path

import pytest
from benchmarks.house_call import Called
from benchmarks.house_inputs import REFUSED, Materials, generate
from benchmarks.house_refusals import clear, fault

import plumbrule
from plumbrule.cli.app import main
from plumbrule.models import model_folder

FAMILIES = (
    "recipe", "prompts", "constitution", "import", "questions", "paper", "bibtex",
    "amplify", "pairs",
)  # fmt: skip
"""Those that need no finished run."""

EACH = 7
NOWHERE = Path("/nonexistent")
HOME = Path(plumbrule.__file__).parent


def sample():
    materials = Materials(
        model=model_folder("lab:nano"), adapter=NOWHERE, run=NOWHERE, comparison=NOWHERE,
        review=NOWHERE, judging=HOME / "judging" / "village.yaml",
        constitution=HOME / "constitution" / "village.yaml",
    )  # fmt: skip
    found = []
    for family in FAMILIES:
        bad = generate(materials, count=1000, families=[family])
        # What may turn out good would be worked on, which takes its time.
        hopeless = [each for each in bad if each.ends == REFUSED and not each.unprivileged]
        found += hopeless[:: max(1, len(hopeless) // EACH)][:EACH]
    return found


SAMPLE = sample()


def test_the_sample_is_as_large_as_it_should_be():
    assert len(SAMPLE) >= 50


@pytest.mark.parametrize("bad", SAMPLE, ids=[bad.id for bad in SAMPLE])
def test_a_malformed_input_is_refused_in_one_paragraph(bad, tmp_path, monkeypatch, capsys):
    bad.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["plumbrule", *bad.arguments])
    # Libraries log to a stream that an earlier test has closed, which is no fault of a message.
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    code = ended.value.code
    called = Called(
        code=code if isinstance(code, int) else 0, out=said.out, err=said.err, seconds=0.0
    )
    monkeypatch.undo()
    clear(tmp_path)

    assert fault(bad.ends, called) is None, (bad.what, called.code, called.message)


@pytest.mark.parametrize(
    ("code", "err", "wrong"),
    [
        (2, "plumbrule: expected a, got b\n", None),
        (2, "18:29:12 loading: 0 of 1\nplumbrule: expected a, got b\n", None),
        (1, "", "ended with 1"),
        (70, "plumbrule: no", "nobody foresaw"),
        (None, "", "hangs"),
        (2, "", "no message"),
        (2, "plumbrule: expected a\n\nand b", "more than one paragraph"),
        (2, "plumbrule: no\n", "does not say what was expected"),
        (2, "Traceback (most recent call last)\n", "a traceback"),
    ],
)
def test_each_bad_end_is_told_from_a_good_one(code, err, wrong):
    found = fault(REFUSED, Called(code=code, out="", err=err, seconds=0.0))

    assert found is None if wrong is None else wrong in str(found)
