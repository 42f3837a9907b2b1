"""Small text files are read within bounds, and what is too deep or too large is said."""

import os

import pytest

from plumbrule.errors import ConfigError, ConstitutionError
from plumbrule.files import parse_yaml, read_small_text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 5000, "nested more than"),
        ("a: " + "{b: " * 60 + "1" + "}" * 60, "nested more than"),
        ("&a [*a]", "nested more than"),
        ("n: " + "9" * 6000, "cannot be read as YAML"),
        ("when: 2026-13-45", "cannot be read as YAML"),
        ("{[1]: 2}", "cannot be read as YAML"),
        ("a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 10)}]\n"
            for n in range(8)
        ), "expands to more than"),
        ("a: !!python/object:os.system x", "cannot be read as YAML"),
        ("a: b: c", "cannot be read as YAML"),
    ],
    ids=["lists", "maps", "itself", "digits", "date", "key", "aliases", "object", "broken"],
)  # fmt: skip
def test_what_is_no_plain_yaml_is_said(text, message):
    with pytest.raises(ConfigError, match=f"the recipe.*{message}"):
        parse_yaml(text, "the recipe")


def test_plain_yaml_is_read_with_its_aliases():
    assert parse_yaml("a: &a [1, 2]\nb: *a\n", "x") == {"a": [1, 2], "b": [1, 2]}
    assert parse_yaml("", "x") is None
    assert parse_yaml("\n".join(f"k{n}: {n}" for n in range(1000)), "x")["k999"] == 999


def test_a_file_is_read_with_or_without_its_mark(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"\xef\xbb\xbfhello")

    assert read_small_text(path, "a text") == "hello"


def pipe(path):
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "there is none at"),
        (lambda path: path.mkdir(), "is no file"),
        (pipe, "is no file"),
        (lambda path: path.symlink_to("/dev/zero"), "is no file"),
        (lambda path: path.write_bytes(b"x" * 101), "at most 100 bytes"),
        (lambda path: path.write_bytes(b"a\xff"), "byte 0xff at 1"),
    ],
)
def test_what_is_no_small_text_file_is_said(tmp_path, make, message):
    make(tmp_path / "a")

    with pytest.raises(ConstitutionError, match=f"expected a text.*{message}"):
        read_small_text(tmp_path / "a", "a text", most=100, error=ConstitutionError)
