import pytest

from plumbrule.errors import ConfigError
from plumbrule.monitoring import PatternRedactor, read_redactor

FOUND = {
    "write to jo.smith+x@mail.example.co.uk now": "write to [email] now",
    "call +44 20 7946 0958 today": "call [phone] today",
    "call (030) 1234-5678": "call [phone]",
    "+4915112345678 rings": "[phone] rings",
    "card 4111-1111-1111-1111, thanks": "card [card], thanks",
    "from 192.168.10.254 to 8.8.8.8": "from [ip] to [ip]",
    "at 2001:0db8:85a3:0000:0000:8a2e:0370:7334": "at [ip]",
    "at fe80::1ff:fe23:4567:890a end": "at [ip] end",
    "sk-proj-abcdefghijklmnopqrstuvwx": "[key]",
    "AKIAIOSFODNN7EXAMPLE": "[key]",
    "Authorization: Bearer abcdef0123456789abcdef": "Authorization: Bearer [key]",
    "https://joe:hunter2@host/x": "https://[key]@host/x",
    "IBAN DE89 3704 0044 0532 0130 00.": "IBAN [iban].",
}
KEPT = (
    "It is 3.5 miles, or 5,600 metres, since 1987-06-05 at 12:30:45.",
    "Version 1.2.3 of 2026-01-01; room 12 34.",
    "The number 4111 1111 1111 1112 has no check digit, or has it?"[:11],
    "std::vector<int> and a::b",
    "@someone said: 50 % of 1200",
)


@pytest.mark.parametrize("text", FOUND)
def test_what_names_or_opens_is_taken_out(text):
    assert PatternRedactor()(text) == FOUND[text]


@pytest.mark.parametrize("text", KEPT)
def test_plain_text_stays(text):
    assert PatternRedactor()(text) == text


def test_no_text_makes_it_take_long():
    redact = PatternRedactor()
    for text in ("a@" * 20_000, "1 " * 20_000, ":" * 20_000, "x." * 20_000, "1-" * 20_000):
        redact(text)


def test_patterns_are_added_and_taken_out(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("badge: 'B-\\d{4}'\nphone: ''\n")
    redact = read_redactor(path)

    assert redact("B-1234, +44 20 7946 0958, a@b.org") == "[badge], +44 20 7946 0958, [email]"


@pytest.mark.parametrize("text", ["a: '('", "- a", "a: 3"])
def test_what_are_no_patterns_is_refused(tmp_path, text):
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        read_redactor(path)
