"""A kept generator of malformed inputs over all verbs: each with how the command may end.

`generate(materials, count, seed)` gives the same inputs each time. An input that nothing good can
come of must be refused (2 or 3). One that may turn out readable (a file cut short, a byte changed)
may also be taken (0), and by verbs that give a verdict it may be judged (1).
"""

import inspect
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml

REFUSED = frozenset({2, 3})
TAKEN = REFUSED | {0}
JUDGED = TAKEN | {1}

Make = Callable[[Path], None]
Fault = tuple[str, Callable[[Path, random.Random], None], bool]
"""Name, what it does to a file, and whether nothing good can come of it."""

HUGE = 10**400
FAR = Path("/nonexistent")


@dataclass(frozen=True, kw_only=True)
class Bad:
    """One malformed input."""

    id: str
    what: str
    arguments: Sequence[str]
    make: Make
    """Writes its files into the folder in which the command then runs."""

    ends: frozenset[int]
    unprivileged: bool = False


@dataclass(frozen=True, kw_only=True)
class Materials:
    """Good inputs, which are spoiled."""

    model: Path
    adapter: Path
    run: Path
    comparison: Path
    review: Path
    judging: Path
    """A prompt set."""

    constitution: Path


PROMPTS = [
    {"prompt": f"How do I make {what}?", "deserves_help": True, "held_out": number % 3 == 0}
    for number, what in enumerate(("a kite", "tea", "a hat", "bread", "a lamp", "a boat", "soup"))
]
RECIPE: dict[str, Any] = {
    "name": "small",
    "model": "lab:nano",
    "critic": "lab:small",
    "constitution": "village",
    "prompts": "prompts.jsonl",
    "judging_prompts": "village",
    "comparison": None,
    "candidates": 2,
    "sampling": {"max_new_tokens": 8},
    "revising": {"rounds": 1},
    "supervised": {"epochs": 1, "batch_size": 4},
    "reward": {"epochs": 1, "batch_size": 4},
    "dpo": {"epochs": 1, "batch_size": 4},
}
AMPLIFY: dict[str, Any] = {
    "ladder": "permutation",
    "sizes": {"size": 5},
    "student": {"levels": 3},
    "climb": {"rounds": 1},
}
PAPER = """# Tea and recall

## Abstract

Tea improved recall in 40 students, t(38) = 2.10, p = .042 [@lee2004].

## Method

We asked 40 students (20 with tea, 20 without) to recall 12 words.

## Results

Recall was higher with tea (M = 8.15, SD = 1.20) than without (M = 7.35, SD = 1.10),
t(38) = 2.10, p = .042. In all, 18 (45%) of 40 recalled every word.

## References

Lee, A. (2004). On tea. *Journal of Drinks*, 3(2), 11-19. https://doi.org/10.1000/tea.2004
"""
TEX = r"""\documentclass{article}
\newcommand{\stat}[3]{$t(#1) = #2$, $p = #3$}
\begin{document}
\section{Abstract} Tea improved recall in 40 students, \stat{38}{2.10}{.042} \cite{lee2004}.
\section{Method} We asked 40 students.
\section{Results} Recall was higher with tea, \stat{38}{2.10}{.042}.
\bibliographystyle{plain}
\bibliography{refs}
\end{document}
"""
BIB = """@string{jd = "Journal of Drinks"}
@article{lee2004, author = {Lee, Anna}, title = {On tea}, journal = jd, year = 2004,
  volume = 3, pages = {11--19}, doi = {10.1000/tea.2004}}
@book{kim1999, author = {Kim, Bo}, title = {Water}, publisher = {Well}, year = {1999}}
"""
MARKDOWN = """# Rules {#rules authority=root}

## Be kind {#be-kind authority=user}

Be kind to everyone.

## Say what is so {#be-honest authority=platform}

Do not lie.
"""
PAIRS = [
    {"clean": f"{a} and {b} sat. {a}", "corrupted": f"{b} and {a} sat. {a}", "right": " a",
     "wrong": " b"}
    for a, b in (("Anna", "Bram"), ("Cleo", "Dirk"), ("Elsa", "Finn"), ("Gwen", "Hugo"))
]  # fmt: skip


def lines(rows: Sequence[Any]) -> str:
    """JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


# -- What may be wrong with any file


def _empty(path: Path, rng: random.Random) -> None:
    path.write_bytes(b"")


def _blank(path: Path, rng: random.Random) -> None:
    path.write_bytes(rng.choice([b"\n", b" \n\t\n", b"\xef\xbb\xbf", b"\r\n\r\n"]))


def _binary(path: Path, rng: random.Random) -> None:
    path.write_bytes(b"\x89\x00\xff" + rng.randbytes(rng.choice([13, 400, 5000])))


def _utf16(path: Path, rng: random.Random) -> None:
    code = rng.choice(["utf-16-le", "utf-16-be", "utf-32-le"])
    path.write_bytes(path.read_bytes().decode("utf-8", "replace").encode(code))


def _other_code(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    at = len(data) // 2
    path.write_bytes(data[:at] + rng.choice([b"\xe9", b"\xff\xfe", b"\xc3\x28"]) + data[at:])


def _nul(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    at = rng.randrange(len(data))
    path.write_bytes(data[:at] + b"\0" + data[at:])


def _folder(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _missing(path: Path, rng: random.Random) -> None:
    path.unlink()


def _dead_link(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.symlink_to(rng.choice([FAR, path]))  # to nowhere, or to itself


def _pipe(path: Path, rng: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def _endless(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _forbidden(path: Path, rng: random.Random) -> None:
    path.chmod(0)


def _vast(path: Path, rng: random.Random) -> None:
    with path.open("r+b") as file:
        file.truncate(300 * 2**20)  # a file with a hole: nothing is written


def _cut(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(1, len(data))])


def _flipped(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 3, 30])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(data))


def _doubled(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data + data[rng.randrange(len(data)) :])


FAULTS: tuple[Fault, ...] = (
    ("empty", _empty, True),
    ("blank", _blank, True),
    ("binary", _binary, True),
    ("UTF-16", _utf16, True),
    ("not UTF-8", _other_code, True),
    ("a NUL inside", _nul, False),
    ("a folder", _folder, True),
    ("missing", _missing, True),
    ("a dead link", _dead_link, True),
    ("a pipe", _pipe, True),
    ("endless", _endless, True),
    ("not readable", _forbidden, True),
    ("vast", _vast, True),
    ("cut short", _cut, False),
    ("bits flipped", _flipped, False),
    ("doubled", _doubled, False),
)


# -- What may be wrong with a value in YAML or JSON


class Raw(str):
    """YAML or JSON as it is to stand in the file."""


def wrong_values(value: object) -> list[Any]:
    """Values that can never stand where this one does."""
    if isinstance(value, bool):
        return ["perhaps", 7, [True], {"a": 1}, 0.5, Raw(".nan")]
    if isinstance(value, int | float):
        return [
            "many", [1], {"a": 1}, True, -(10**30), 10**30, Raw(".nan"), Raw(".inf"), Raw("-.inf"),
            HUGE, Raw("2020-99-99"), "", Raw("!!python/name:os.system"),
        ]  # fmt: skip
    if isinstance(value, str):
        return [5, ["a"], {"a": "b"}, 0.5, Raw(".nan"), Raw("!!binary abc")]
    if isinstance(value, list | tuple):
        return ["a", 5, {"a": 1}, [[["a"]]], [None], [5]]
    if isinstance(value, dict):
        return ["a", 5, [1], {"no_such_key": 1}, Raw(".nan")]
    return [[1], {"no_such_key": 1}, "\x07", 1e30]


def leaves(value: object, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every value inside another, with its place; mappings and lists themselves too."""
    if place:
        yield place, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*place, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, (*place, number))


def put(value: Any, place: Sequence[Any], new: object) -> Any:
    """A copy with another value in one place."""
    if not place:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[place[0]] = put(value[place[0]], place[1:], new)
    return copied


def without(value: Any, place: Sequence[Any]) -> Any:
    """A copy that lacks one place."""
    copied = dict(value) if isinstance(value, dict) else list(value)
    if len(place) == 1:
        del copied[place[0]]
    else:
        copied[place[0]] = without(value[place[0]], place[1:])
    return copied


def to_yaml(value: object) -> str:
    """YAML in which `Raw` stands as it is."""
    text = yaml.safe_dump(_marked(value), sort_keys=False, allow_unicode=True)
    return _unmarked(text, value)


def to_json_text(value: object) -> str:
    """JSON in which `Raw` stands as it is."""
    return _unmarked(json.dumps(_marked(value)), value, quote='"')


def _marked(value: object) -> Any:
    if isinstance(value, Raw):
        return f"RAW{value.encode().hex()}WAR"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**300:
        return f"RAW{b'9'.hex() * 5000}WAR"  # Python itself refuses to print it
    if isinstance(value, dict):
        return {name: _marked(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_marked(inner) for inner in value]
    return value


def _unmarked(text: str, value: object, quote: str = "") -> str:
    while "RAW" in text:
        start, end = text.index("RAW"), text.index("WAR")
        raw = bytes.fromhex(text[start + 3 : end]).decode()
        text = text[: start - len(quote)] + raw + text[end + 3 + len(quote) :]
    return text


STRUCTURES: tuple[tuple[str, str, bool], ...] = (
    ("deep lists", "[" * 2000 + "]" * 2000, True),
    ("deep mappings", "{a: " * 2000 + "1" + "}" * 2000, True),
    ("deep by indent", "\n".join(" " * n + "a:" for n in range(300)), True),
    ("aliases that grow",
     "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
         f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n"
         for n in range(9)), True),
    ("contains itself", "&a [*a]", True),
    ("a scalar", "just words", True),
    ("a number", "9" * 5000, True),
    ("a list", "- a\n- b\n", True),
    ("two documents", "a: 1\n---\nb: 2\n", True),
    ("tabs", "a:\n\t- b\n", True),
    ("an unknown tag", "!!python/object/apply:os.system ['true']", True),
    ("a date that is none", "name: 2020-99-99", True),
    ("an open quote", 'name: "abc', True),
    ("an open bracket", "name: [1, 2", True),
    ("keys that are lists", "? [a, b]\n: 1\n", True),
    ("merge of nothing", "<<: 5\nname: a\n", True),
    ("control characters", "name: \x07\n", True),
)  # fmt: skip


# -- Inputs of each kind


def _write(name: str, text: str | bytes, spoil: Callable[[Path], None] | None = None) -> Make:
    def make(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        if spoil is not None:
            spoil(path)

    return make


def _both(*makes: Make) -> Make:
    def make(folder: Path) -> None:
        for each in makes:
            each(folder)

    return make


def _spoiled_file(
    rng: random.Random,
    name: str,
    good: str | bytes,
    arguments: Sequence[str],
    *,
    beside: Make = lambda folder: None,
    judged: bool = False,
    taken: Sequence[str] = (),
    careful: Sequence[str] = (),
) -> dict[str, Any]:
    """One of the faults that any file may have.

    Args:
        rng: Which, and where.
        name: Of the file.
        good: What it would hold.
        arguments: Of the command.
        beside: What else the command needs.
        judged: Whether a readable file gets a verdict.
        taken: Faults that this kind of file may have and be good.
        careful: Arguments added where the file may turn out good.
    """
    what, spoil, hopeless = rng.choice(FAULTS)
    hopeless = hopeless and what not in taken
    inner = random.Random(rng.random())
    return {
        "what": f"{name}: {what}",
        "arguments": (*arguments, *(() if hopeless else careful)),
        "make": _both(beside, _write(name, good, lambda path: spoil(path, inner))),
        "ends": REFUSED if hopeless else JUDGED if judged else TAKEN,
        "unprivileged": what == "not readable",
    }


_GOOD_PROMPTS = _write("prompts.jsonl", lines(PROMPTS))
_RUN = ("run", "--recipe", "recipe.yaml", "--out", "out")


def recipes(rng: random.Random, materials: Materials) -> Iterator[dict[str, Any]]:
    """Recipes of `run`."""
    from plumbrule.loop import make_config, to_mapping

    whole = to_mapping(make_config({**RECIPE, "comparison": {}}, "the benchmark"))
    whole["judging_prompts"] = "village"
    places = [place for place, _ in leaves(whole)]
    plain = to_yaml(RECIPE)
    while True:
        way = rng.randrange(10)
        if way < 6:
            place = rng.choice(places)
            value = _at(whole, place)
            new = rng.choice(wrong_values(value))
            text = to_yaml(put(whole, place, new))
            # Where nothing is set by default, some values may be right.
            ends = TAKEN if value is None or new == "" else REFUSED
            yield {
                "what": f"recipe: {'.'.join(map(str, place))} = {new!r:.40}",
                "arguments": (*_RUN, *(("--plan",) if ends is TAKEN else ())),
                "make": _both(_GOOD_PROMPTS, _write("recipe.yaml", text)),
                "ends": ends,
            }
        elif way == 6:
            place = rng.choice([each for each in places if isinstance(_at(whole, each), dict)])
            typo = rng.choice(["Epochs", "epoch", "beta ", "learning-rate", "", "modle", "\u00e9"])
            text = to_yaml(put(whole, place, {**_at(whole, place), typo: 1}))
            yield {
                "what": f"recipe: unknown key {typo!r} in {'.'.join(map(str, place))}",
                "arguments": _RUN,
                "make": _both(_GOOD_PROMPTS, _write("recipe.yaml", text)),
                "ends": REFUSED,
            }
        elif way == 7:
            name = rng.choice(["model", "constitution", "prompts"])
            yield {
                "what": f"recipe: without {name}",
                "arguments": _RUN,
                "make": _both(
                    _GOOD_PROMPTS, _write("recipe.yaml", to_yaml(without(RECIPE, [name])))
                ),
                "ends": REFUSED,
            }
        elif way == 8:
            what, text, hopeless = rng.choice(STRUCTURES)
            yield {
                "what": f"recipe: {what}",
                "arguments": _RUN,
                "make": _both(_GOOD_PROMPTS, _write("recipe.yaml", text)),
                "ends": REFUSED if hopeless else TAKEN,
            }
        else:
            yield _spoiled_file(
                rng, "recipe.yaml", plain, _RUN, beside=_GOOD_PROMPTS, careful=("--plan",)
            )


BAD_ROWS: tuple[Any, ...] = (
    {}, {"promt": "a"}, {"prompt": 5}, {"prompt": None}, {"prompt": ""}, {"prompt": "   "},
    {"prompt": []}, {"prompt": {}}, {"prompt": ["a"]}, {"prompt": [{}]},
    {"prompt": [{"role": "user"}]}, {"prompt": [{"role": "king", "content": "a"}]},
    {"prompt": [{"role": 5, "content": "a"}]}, {"prompt": [{"role": "user", "content": 5}]},
    {"prompt": [{"role": "assistant", "content": "a"}]},
    {"prompt": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]},
    {"messages": []}, {"messages": "a"}, {"messages": [{"role": "system", "content": "a"}]},
    {"messages": [{"role": "tool", "content": "a"}]}, {"messages": {"role": "user"}},
    {"conversations": [{"from": "gpt", "value": "a"}]}, {"conversations": 5},
    {"conversations": [{"from": "human"}]}, {"instruction": 5}, {"instruction": "", "input": ""},
    {"instruction": "a", "input": 5}, {"chosen": "a", "rejected": "b"}, {"chosen": []},
    {"chosen": [{"role": "user", "content": "a"}]}, {"question": ["a"]}, {"query": {}},
    {"prompt": "a", "held_out": "maybe"}, {"prompt": "a", "deserves_help": "maybe"},
    {"prompt": "a", "deserves_help": 5}, {"prompt": "a", "held_out": [True]},
    {"prompt": "a", "id": 5}, {"prompt": "a", "id": ["x"]}, {"prompt": "a", "group": 5},
    {"prompt": "a", "group": {"a": 1}}, {"prompt": "a", "kind": ["x"]},
    {"prompt": "a", "topics": "x"}, {"prompt": "a", "topics": [5]},
    {"prompt": "a\ud800"}, {"prompt": "a", "id": "\ud800"}, {"prompt": "a", "group": "\ud83d"},
    {"prompt": "word " * 4000}, {"prompt": "a", "system": 5},
    [], ["prompt"], 5, "a", None, True,
)  # fmt: skip
BAD_LINES: tuple[str, ...] = (
    '{"prompt": "a"', '{"prompt": "a"} {"prompt": "b"}', "{'prompt': 'a'}", '{"prompt": NaN}',
    '{"prompt": "a", "id": ' + "9" * 5000 + "}", "[" * 100_000, '{"a":' * 3000 + "1" + "}" * 3000,
    '{"prompt": "\\ud800"}', '{"prompt": "\\x"}', '{"prompt": "a\tb\n"}', "prompt: a", "{]",
    '{"prompt": Infinity}', '{"prompt" "a"}', "\x00", '{"prompt": "' + "a" * 2_000_000 + '"}',
)  # fmt: skip
BAD_TABLES: tuple[tuple[str, str], ...] = (
    ("p.csv", "prompt,held_out\na,true,b\n"), ("p.csv", "a,b\n1,2\n"), ("p.csv", 'prompt\n"open\n'),
    ("p.csv", "prompt\n"), ("p.csv", "prompt,prompt\n,\n"), ("p.csv", "\0\0\n"),
    ("p.csv", "prompt,held_out\na,perhaps\n"), ("p.tsv", "prompt\tdeserves_help\na\tmaybe\n"),
    ("p.csv", 'messages\n"[{""role"": 5}]"\n'), ("p.json", "5"), ("p.json", "[]"),
    ("p.json", "[5]"), ("p.json", "[[]]"), ("p.json", '{"a": 1}'), ("p.json", '{"a": [1]}'),
    ("p.json", "[" * 100_000), ("p.json", '[{"prompt": "a"}'), ("p.json", '"a"'),
    ("p.parquet", "PAR1"), ("p.parquet", "PAR1" + "x" * 200 + "PAR1"),
    ("p.parquet", "PAR1\x00\x00\x00\x00PAR1"), ("p.jsonl", "PAR1\nabc"),
)  # fmt: skip


def prompts(rng: random.Random, materials: Materials) -> Iterator[dict[str, Any]]:
    """Prompts of `run`, `compare` and `inspect neurons`."""
    while True:
        name, text = "prompts.jsonl", lines(PROMPTS)
        way, hopeless = rng.randrange(6), True
        if way < 2:
            row = rng.choice(BAD_ROWS)
            at = rng.randrange(len(PROMPTS) + 1)
            bad = json.dumps(row)
            rows = [json.dumps(each) for each in PROMPTS]
            text = "\n".join([*rows[:at], bad, *rows[at:]])
            what = f"line {at + 1}: {bad[:50]}"
            # Further columns are left out, whatever they hold.
            hopeless = not isinstance(row, dict) or not {"topics", "system"} & set(row)
        elif way == 2:
            bad = rng.choice(BAD_LINES)
            text = lines(PROMPTS[:2]) + bad + "\n" + lines(PROMPTS[2:])
            what = f"line 3: {bad[:50]!r}"
        elif way == 3:
            name, text = rng.choice(BAD_TABLES)
            what = f"{name}: {text[:40]!r}"
        elif way == 4:
            what, text = rng.choice(
                [
                    ("all held out", lines([{**row, "held_out": True} for row in PROMPTS])),
                    ("none held out", lines([{**row, "held_out": False} for row in PROMPTS])),
                    ("asked and held out", lines([{"prompt": "a", "held_out": False},
                                                  {"prompt": "a", "held_out": True}])),
                    ("one prompt", lines(PROMPTS[:1])),
                    ("two of one id", lines([{**row, "id": "a"} for row in PROMPTS])),
                ]
            )  # fmt: skip
            hopeless = what in ("all held out", "two of one id")
        else:
            verb = rng.randrange(3)
            yield {
                **_spoiled_file(rng, name, text, _with_prompts(name, verb), careful=(
                    ("--plan",) if verb == 0 else ())),
            }  # fmt: skip
            continue
        # What a run refuses in whole may be enough for others.
        verb = 0 if way == 4 else rng.randrange(3)
        careful = ("--plan",) if verb == 0 and not hopeless else ()
        yield {
            "what": f"prompts: {what}",
            "arguments": (*_with_prompts(name, verb), *careful),
            "make": _write(name, text),
            "ends": REFUSED if hopeless else JUDGED if verb == 1 else TAKEN,
        }


def _with_prompts(name: str, verb: int) -> Sequence[str]:
    return (
        ("run", "--model", "lab:nano", "--prompts", name, "--constitution", "village", "--critic",
         "lab:small", "--out", "out"),
        ("compare", "lab:nano", "lab:pico", "--prompts", name, "--budget", "20", "--max-tokens",
         "4", "--out", "out"),
        ("inspect", "neurons", "lab:nano", "--layer", "0", "--neuron", "1", "--prompts", name),
    )[verb]  # fmt: skip


def constitutions(rng: random.Random, materials: Materials) -> Iterator[dict[str, Any]]:
    """Constitutions of five verbs."""
    text = materials.constitution.read_text("utf-8")
    whole = yaml.safe_load(text)
    whole["principles"] = whole["principles"][:3]
    whole["principles"][0]["critique_examples"] = [
        {"request": "a", "reply": "b", "critique": "c", "revision": "d"}
    ]
    places = [place for place, _ in leaves(whole)]
    while True:
        verb = rng.randrange(5)
        arguments = (
            ("constitution", "show", "c.yaml"),
            ("constitution", "lint", "c.yaml"),
            ("constitution", "diff", "village", "c.yaml"),
            ("run", "--model", "lab:nano", "--critic", "lab:small", "--prompts", "prompts.jsonl",
             "--constitution", "c.yaml", "--out", "out"),
            ("compare", "lab:nano", "lab:pico", "--constitution", "c.yaml", "--budget", "20",
             "--max-tokens", "4", "--out", "out"),
        )[verb]  # fmt: skip
        judged = verb in (1, 4)
        way, hopeless = rng.randrange(5), True
        if way < 2:
            place = rng.choice(places)
            new = rng.choice(wrong_values(_at(whole, place)))
            what, text = (
                f"{'.'.join(map(str, place))} = {new!r:.40}",
                to_yaml(put(whole, place, new)),
            )
            # A version may be written as a number; what a test prompt is called may be anything.
            hopeless = new != "" and place[-1] != "version"
        elif way == 2:
            place = rng.choice([each for each in places if isinstance(each[-1], str)])
            what, text = f"without {'.'.join(map(str, place))}", to_yaml(without(whole, place))
            hopeless = place[-1] in ("name", "version", "id", "text", "tier", "principles",
                                     "request", "reply", "critique", "revision")  # fmt: skip
        elif way == 3:
            what, text, hopeless = rng.choice(STRUCTURES)
        else:
            yield _spoiled_file(
                rng, "c.yaml", materials.constitution.read_text("utf-8"), arguments,
                beside=_GOOD_PROMPTS, judged=judged, careful=("--plan",) if verb == 3 else (),
            )  # fmt: skip
            continue
        yield {
            "what": f"constitution: {what}",
            "arguments": (*arguments, *(("--plan",) if verb == 3 and not hopeless else ())),
            "make": _both(_GOOD_PROMPTS, _write("c.yaml", text)),
            "ends": REFUSED if hopeless else JUDGED if judged else TAKEN,
        }


def imports(rng: random.Random, materials: Materials) -> Iterator[dict[str, Any]]:
    """Markdown for `constitution import`."""
    texts = (
        "no headings", "# A {#a authority=king}\n\nBe.\n", "# A {#A B authority=user}\n\nBe.\n",
        "# A {#a authority=user}\n",
        "# A {#a authority=user}\n\nBe.\n\n# B {#a authority=user}\n\nX.\n",
        "#" * 50_000, "[" * 100_000, "{#" * 50_000, "# A {#a authority=user}\n\n" + "x" * 2_000_000,
        "```\n" * 1001, "> " * 50_000 + "a", "# \x00 {#a authority=user}\n\nBe.\n",
    )  # fmt: skip
    while True:
        if rng.random() < 0.4:
            text = rng.choice(texts)
            yield {
                "what": f"import: {text[:40]!r}",
                "arguments": ("constitution", "import", "m.md", "--out", "new.yaml"),
                "make": _write("m.md", text),
                "ends": TAKEN,
            }
        elif rng.random() < 0.3:
            out = rng.choice(["there.yaml", "there", "no/\0", "n" * 300 + ".yaml", "m.md/x.yaml"])
            yield {
                "what": f"import: --out {out[:20]!r}",
                "arguments": ("constitution", "import", "m.md", "--out", out.replace("\0", "m.md")),
                "make": _both(_write("m.md", MARKDOWN), _write("there.yaml", "a"),
                              lambda folder: (folder / "there").mkdir()),
                "ends": TAKEN if out == "no/\0" else REFUSED,
            }  # fmt: skip
        else:
            yield _spoiled_file(
                rng, "m.md", MARKDOWN, ("constitution", "import", "m.md", "--out", "new.yaml"),
            )  # fmt: skip


def prompt_sets(rng: random.Random, materials: Materials) -> Iterator[dict[str, Any]]:
    """Sets of questions that a judge is asked."""
    good = materials.judging.read_text("utf-8")
    whole = yaml.safe_load(good)
    places = [place for place, _ in leaves(whole)]
    recipe = _both(
        _GOOD_PROMPTS, _write("recipe.yaml", to_yaml({**RECIPE, "judging_prompts": "j.yaml"}))
    )
    while True:
        way, hopeless = rng.randrange(4), True
        if way < 2:
            place = rng.choice(places)
            new = rng.choice(
                [*wrong_values(_at(whole, place)), "{nothing} {", "{request.__class__}"]
            )
            what, text = (
                f"{'.'.join(map(str, place))} = {new!r:.40}",
                to_yaml(put(whole, place, new)),
            )
            hopeless = False  # a text may be any text
        elif way == 2:
            place = rng.choice([each for each in places if isinstance(each[-1], str)])
            what, text = f"without {'.'.join(map(str, place))}", to_yaml(without(whole, place))
            hopeless = place[-1] in ("name", "version", "critique", "revise", "compare", "grade")
        elif rng.random() < 0.5:
            what, text, hopeless = rng.choice(STRUCTURES)
        else:
            yield _spoiled_file(rng, "j.yaml", good, _RUN, beside=recipe, careful=("--plan",))
            continue
        yield {
            "what": f"prompt set: {what}",
            "arguments": (*_RUN, *(() if hopeless else ("--plan",))),
            "make": _both(recipe, _write("j.yaml", text)),
            "ends": REFUSED if hopeless else TAKEN,
        }


def _at(value: Any, place: Sequence[Any]) -> Any:
    for each in place:
        value = value[each]
    return value


BAD_TEMPLATES = (
    "{{ 1/0 }}", "{{ 'a' * 10**10 }}", "{% for x in range(10**7) %}a{% endfor %}", "{{ messages[",
    "",
    "{% raw %}", "{{ raise_exception('no') }}", "{{ messages.__class__.__mro__ }}", "{{ x.y.z }}",
    "{% include 'a' %}", "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "constant",
)  # fmt: skip


def models(rng: random.Random, materials: Materials) -> Iterator[dict[str, Any]]:
    """Folders of models and adapters."""
    names = sorted(path.name for path in materials.model.iterdir() if path.is_file())
    needed = ("config.json", "model.safetensors", "tokenizer.json")
    json_names = [name for name in names if name.endswith(".json") and name != "specimen.json"]
    while True:
        verb = rng.randrange(6)
        arguments: Sequence[str] = (
            ("inspect", "sites", "m"),
            ("inspect", "lens", "m", "Who is Anna?"),
            ("inspect", "heads", "m", "--sequences", "4", "--length", "4"),
            ("compare", "lab:nano", "m", "--prompts", "prompts.jsonl", "--budget", "20",
             "--max-tokens", "4", "--out", "out"),
            ("run", "--model", "m", "--critic", "lab:small", "--prompts", "prompts.jsonl",
             "--constitution", "village", "--out", "out", "--plan"),
            ("inspect", "weights", "m", "--against", "lab:nano", "--name", "0.heads.0 OV"),
        )[verb]  # fmt: skip
        ends = JUDGED if verb == 3 else TAKEN
        way = rng.randrange(6)
        inner = random.Random(rng.random())
        copy = _copied(materials.model, "m")
        unprivileged = False
        if way < 2:
            name = rng.choice(json_names)
            content = json.loads((materials.model / name).read_text("utf-8"))
            if name == "tokenizer.json":
                content["model"] = {**content["model"]}
            places = [place for place, _ in leaves(content) if len(place) < 4][:120]
            place = rng.choice(places)
            new = rng.choice([*wrong_values(_at(content, place)), None, -1, 0])
            text = to_json_text(put(content, place, _for_json(new)))
            what = f"{name}: {'.'.join(map(str, place))} = {new!r:.30}"
            make = _both(copy, _write(f"m/{name}", text))
        elif way == 2:
            name = rng.choice(names)
            fault, spoil, hopeless = rng.choice(FAULTS)
            what, unprivileged = f"{name}: {fault}", fault == "not readable"
            make = _both(copy, _spoil(f"m/{name}", spoil, inner))
            if hopeless and name in needed:
                ends = REFUSED
        elif way == 3:
            what, make = rng.choice(_bad_weights())
            make = _both(copy, make)
        elif way == 4:
            template = rng.choice(BAD_TEMPLATES)
            what = f"template {template[:30]!r}"
            make = _both(copy, _write("m/chat_template.jinja", template))
        else:
            what, make = _bad_adapter(rng, materials)
        yield {
            "what": f"model: {what}",
            "arguments": arguments,
            "make": _both(_GOOD_PROMPTS, make),
            "ends": ends,
            "unprivileged": unprivileged,
        }


def _for_json(value: Any) -> Any:
    known = {".nan": "NaN", ".inf": "Infinity", "-.inf": "-Infinity"}
    return Raw(known.get(str(value), "NaN")) if isinstance(value, Raw) else value


def _copied(source: Path, name: str) -> Make:
    return lambda folder: _copy(source, folder / name)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)


def _spoil(name: str, spoil: Callable[[Path, random.Random], None], rng: random.Random) -> Make:
    return lambda folder: spoil(folder / name, rng)


def _bad_weights() -> list[tuple[str, Make]]:
    """Files of weights that are well-formed and wrong."""

    def changed(change: Callable[[dict[str, Any]], None]) -> Make:
        def make(folder: Path) -> None:
            from safetensors.torch import load_file, save_file

            path = folder / "m" / "model.safetensors"
            tensors = load_file(path)
            change(tensors)
            save_file(tensors, path, metadata={"format": "pt"})

        return make

    def first(tensors: dict[str, Any]) -> str:
        return sorted(tensors)[0]

    def nan(tensors: dict[str, Any]) -> None:
        tensors[first(tensors)] = tensors[first(tensors)] * float("nan")

    def infinite(tensors: dict[str, Any]) -> None:
        tensors[first(tensors)] = tensors[first(tensors)] + float("inf")

    def short(tensors: dict[str, Any]) -> None:
        tensors[first(tensors)] = tensors[first(tensors)][:-1].clone()

    def lost(tensors: dict[str, Any]) -> None:
        del tensors[first(tensors)]

    def none(tensors: dict[str, Any]) -> None:
        tensors.clear()

    def more(tensors: dict[str, Any]) -> None:
        tensors["model.nothing.weight"] = tensors[first(tensors)].clone()

    def renamed(tensors: dict[str, Any]) -> None:
        for name in list(tensors):
            tensors[f"x.{name}"] = tensors.pop(name)

    def whole(tensors: dict[str, Any]) -> None:
        tensors[first(tensors)] = tensors[first(tensors)].int()

    def header(folder: Path) -> None:
        path = folder / "m" / "model.safetensors"
        path.write_bytes((2**62).to_bytes(8, "little") + path.read_bytes()[8:])

    def pickled(folder: Path) -> None:
        (folder / "m" / "model.safetensors").unlink()
        (folder / "m" / "pytorch_model.bin").write_bytes(
            b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R."
        )

    changes = (nan, infinite, short, lost, none, more, renamed, whole)
    return [
        *((f"weights: {each.__name__}", changed(each)) for each in changes),
        ("weights: a header of 2**62 bytes", header),
        ("weights: a pickle", pickled),
    ]


def _bad_adapter(rng: random.Random, materials: Materials) -> tuple[str, Make]:
    """A folder with a broken adapter."""
    copy = _copied(materials.adapter, "m")
    config = json.loads((materials.adapter / "adapter_config.json").read_text("utf-8"))
    if rng.random() < 0.6:
        place = rng.choice([place for place, _ in leaves(config) if len(place) == 1])
        new = rng.choice([*wrong_values(_at(config, place)), None, -1, 0])
        text = to_json_text(put(config, place, _for_json(new)))
        what = f"adapter: {place[0]} = {new!r:.30}"
        return what, _both(copy, _write("m/adapter_config.json", text))
    name = rng.choice(["adapter_config.json", "adapter_model.safetensors"])
    fault, spoil, _ = rng.choice([each for each in FAULTS if each[0] != "not readable"])
    return f"adapter: {name}: {fault}", _both(
        copy, _spoil(f"m/{name}", spoil, random.Random(rng.random()))
    )


def papers(rng: random.Random, materials: Materials) -> Iterator[dict[str, Any]]:
    """Papers in four formats."""
    fixed = {
        "deep.tex": "\\begin{document}" + "{" * 20_000 + "a" + "}" * 20_000,
        "loop.tex": "\\begin{document}\\input{loop}\\end{document}",
        "grow.tex": "".join(
            f"\\newcommand{{\\{chr(97 + n)}}}{{" + f"\\{chr(98 + n)}" * 10 + "}" for n in range(12)
        )
        + "\\begin{document}\\a\\end{document}",
        "self.tex": "\\newcommand{\\a}{\\a\\a}\\begin{document}\\a\\end{document}",
        "envs.tex": "\\begin{document}" + "\\begin{table}" * 5000,
        "dollars.tex": "\\begin{document}" + "$" * 20_001,
        "deep.md": "# A\n\n" + ">" * 5000 + " a\n",
        "lists.md": "# A\n\n" + "".join(" " * (2 * n) + "- a\n" for n in range(600)),
        "table.md": "# A\n\n" + "|".join("a" * 3000) + "\n" + "|".join("-" * 3000) + "\n",
        "brackets.md": "# A\n\n" + "[" * 50_000,
        "stats.md": "# A\n\n## Results\n\n" + "t(38) = 2.10, p = .042. " * 4000,
        "huge.md": f"# A\n\n## Results\n\nt({'9' * 400}) = {'9' * 400}.5, p = .{'0' * 400}1. "
        f"F(1e999, 0) = -5, p = 7. M = {'9' * 5000}.1, SD = nan, N = 0.\n",
        "line.txt": "a " * 200_000,
        "fake.pdf": "%PDF-1.7\n1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj\n"
        "2 0 obj << /Kids [2 0 R] /Count 99999999 /Type /Pages >> endobj\n"
        "trailer << /Root 1 0 R >>\n",
        "empty.pdf": "%PDF-1.4\n%%EOF\n",
        "text.pdf": PAPER,
        "paper.docx": "PK\x03\x04" + "x" * 200,
        "paper": PAPER,
        "control.md": PAPER + "\x1b[2J\x1b]0;x\x07\u202e\ufffe",
    }
    while True:
        if rng.random() < 0.35:
            name = rng.choice(sorted(fixed))
            yield {
                "what": f"paper: {name}",
                "arguments": ("review", name, "--out", "out"),
                "make": _write(name, fixed[name]),
                "ends": JUDGED,
            }
            continue
        name, good = rng.choice(
            [("p.md", PAPER), ("p.tex", TEX), ("p.txt", PAPER), ("p.md", PAPER)]
        )
        yield _spoiled_file(
            rng, name, good, ("review", name, "--out", "out"), judged=True,
            beside=_write("refs.bib", BIB), taken=("binary", "UTF-16", "not UTF-8", "blank"),
        )  # fmt: skip


def bibliographies(rng: random.Random, materials: Materials) -> Iterator[dict[str, Any]]:
    """Files of trusted entries, and lists of references."""
    texts = (
        "@article{", "@article{a", "@article{a,", "@article{a, title = {", "@article{a, title = }",
        "@article{a, title = {x}}" * 2000, "@{a}", "@article(a, title = {x})", "{" * 50_000,
        "@article{a, title = {" + "{" * 20_000 + "}" * 20_000 + "}}", "@comment{" * 5000,
        "@string{a = a # a # a}\n@article{x, title = a}", "@article{a, year = " + "9" * 5000 + "}",
        "@string{a0 = {xxxxxxxxxxxxxxxx}}\n" + "".join(
            f"@string{{a{n + 1} = a{n} # a{n} # a{n} # a{n}}}\n" for n in range(20)
        ) + "@article{x, title = a20}",
        '@article{a, title = "open}', "@article{a, doi = {10." + "1" * 10_000 + "/x}}",
        "@article{, title = {x}}", "@article{a b c, title = {x}}", "not BibTeX", "@preamble{{",
    )  # fmt: skip
    while True:
        way = rng.randrange(4)
        arguments = ("review", "p.md", "--bibliography", "b.bib", "--out", "out")
        paper = _write("p.md", PAPER)
        if way < 2:
            text = rng.choice(texts)
            yield {
                "what": f"BibTeX: {text[:40]!r}", "arguments": arguments, "ends": JUDGED,
                "make": _both(paper, _write("b.bib", text)),
            }  # fmt: skip
        elif way == 2:
            text = rng.choice(texts)
            yield {
                "what": f"own BibTeX: {text[:40]!r}", "ends": JUDGED,
                "arguments": ("review", "p.tex", "--out", "out"),
                "make": _both(_write("p.tex", TEX), _write("refs.bib", text)),
            }  # fmt: skip
        else:
            yield _spoiled_file(
                rng, "b.bib", BIB, arguments, beside=paper, judged=True,
                taken=("binary", "UTF-16", "not UTF-8", "blank"),
            )  # fmt: skip


def amplifications(rng: random.Random, materials: Materials) -> Iterator[dict[str, Any]]:
    """Recipes of `amplify`."""
    from plumbrule.recipes.amplification import Amplification
    from plumbrule.records import from_json, to_json

    whole = to_json(from_json(Amplification, AMPLIFY, origin="the benchmark"))
    places = [place for place, _ in leaves(whole)]
    arguments = ("amplify", "a.yaml", "--out", "out")
    while True:
        way, ends = rng.randrange(4), REFUSED
        if way < 2:
            place = rng.choice(places)
            value = _at(whole, place)
            new = rng.choice(wrong_values(value))
            what, text = (
                f"{'.'.join(map(str, place))} = {new!r:.40}",
                to_yaml(put(whole, place, new)),
            )
            ends = JUDGED if value is None else REFUSED
        elif way == 2:
            what, text, _ = rng.choice(STRUCTURES)
        else:
            # A recipe cut short would climb for minutes: only what can never be one.
            made = _spoiled_file(rng, "a.yaml", to_yaml(AMPLIFY), arguments)
            if made["ends"] == REFUSED:
                yield made
            continue
        yield {
            "what": f"amplify: {what}", "arguments": arguments,
            "make": _write("a.yaml", text), "ends": ends,
        }  # fmt: skip


def pairs(rng: random.Random, materials: Materials) -> Iterator[dict[str, Any]]:
    """Pairs for `inspect circuit`, encoders for `compare`, texts for `review --sources`."""
    arguments = ("inspect", "circuit", "lab:nano", "--pairs", "pairs.jsonl", "--out", "out")
    while True:
        way = rng.randrange(4)
        if way < 2:
            row = dict(rng.choice(PAIRS))
            key = rng.choice(sorted(row))
            new: Any = rng.choice(
                [5, None, "", [], {}, "a b c d e f", "\ud800", "word " * 3000, Raw("NaN")]
            )
            text = lines(PAIRS[:1]) + to_json_text({**row, key: new}) + "\n"
            yield {
                "what": f"pairs: {key} = {new!r:.30}", "arguments": arguments, "ends": REFUSED,
                "make": _write("pairs.jsonl", text),
            }  # fmt: skip
        elif way == 2:
            yield _spoiled_file(rng, "pairs.jsonl", lines(PAIRS), arguments)
        else:
            what = rng.choice(["missing", "empty", "a file", "not an encoder"])
            makes: Mapping[str, Make] = {
                "missing": lambda folder: None,
                "empty": lambda folder: (folder / "e").mkdir(),
                "a file": _write("e", "a"),
                "not an encoder": _write("e/config.json", '{"model_type": "what"}'),
            }
            yield {
                "what": f"encoder: {what}",
                "arguments": ("compare", "lab:nano", "lab:pico", "--prompts", "prompts.jsonl",
                              "--embedder", "e", "--budget", "20", "--out", "out"),
                "make": _both(_GOOD_PROMPTS, makes[what]), "ends": REFUSED,
            }  # fmt: skip


ODD_VALUES = (
    "nan", "inf", "-inf", "1e400", "-1", "0", "9" * 30, "9" * 5000, "abc", "", " ", "0x10", "1_000",
    "\udcff", "true", "[]", "--", "\u0663", "1,5", "-9223372036854775809", "\x1b[31m", "a" * 5000,
)  # fmt: skip
BASES: Mapping[str, Sequence[str]] = {
    "run": ("--model", "lab:nano", "--critic", "lab:small", "--prompts", "prompts.jsonl",
            "--constitution", "village", "--plan", "--out", "out"),
    "compare": ("lab:nano", "lab:pico", "--prompts", "prompts.jsonl", "--budget", "20",
                "--max-tokens", "4", "--out", "out"),
    "review": ("p.md", "--out", "out"),
    "amplify": (),
    "constitution show": ("village",),
    "constitution lint": ("village",),
    "constitution import": ("m.md", "--out", "new.yaml"),
    "inspect sites": ("lab:nano",),
    "inspect heads": ("lab:nano", "--sequences", "4", "--length", "4"),
    "inspect lens": ("lab:nano", "Who is Anna?"),
    "inspect neurons": ("lab:nano", "--layer", "0", "--neuron", "1"),
    "inspect weights": ("lab:nano", "--name", "0.heads.0 OV"),
    "inspect circuit": ("lab:nano", "--task", "copying", "--out", "out"),
    "lab build": (),
    "lab chat": (),
    "lab organism": (),
    "lab circuit": (),
    "ledger verify": ("run",),
    "ledger show": ("run",),
    "ledger export": ("run", "--out", "e.jsonl"),
}  # fmt: skip
SPECS = (
    "lab:nope", "lab:", "lab:../nano", "http://", "http://127.0.0.1:9/v1", "http://[::1", "ftp://a#m",
    "https://a:b:c/v1#m", "openai:", "", " ", "/nowhere", "./nowhere", "a/b/c", "nobody/nothing",
    "~nobody/x", "http://127.0.0.1:99999/v1#m", "http://u:p@127.0.0.1:9/v1#m", "#m",
    "prompts.jsonl",
    "a b", "\udcff", "x" * 3000, "http://127.0.0.1:9/v1#" + "m" * 3000, "..", ".",
)  # fmt: skip


def options(rng: random.Random, materials: Materials) -> Iterator[dict[str, Any]]:
    """Options of every verb, as the command line itself declares them."""
    known = declared()
    ready = _both(
        _GOOD_PROMPTS, _write("p.md", PAPER), _write("m.md", MARKDOWN),
        _copied(materials.run, "run"),
    )  # fmt: skip
    while True:
        verb = rng.choice(sorted(BASES))
        base = list(BASES[verb])
        way = rng.randrange(10)
        if way < 6 and known[verb]:
            option, numeric = rng.choice(known[verb])
            value = rng.choice(ODD_VALUES)
            given: list[str] = [option, value]
            if rng.random() < 0.1:
                given = [option]  # without its value
            if option in base:
                at = base.index(option)
                del base[at : at + 2]
            what = f"{option} {value[:20]!r}"
            impossible = numeric and not _is_number(value)
            ends = REFUSED if impossible or len(given) == 1 else JUDGED
            if (
                not impossible
                and len(given) == 2
                and verb in ("lab build", "lab circuit", "amplify")
            ):
                continue  # it would be built
        elif way == 6:
            given = [rng.choice(["--no-such", "-z", "--out=", "--seed=x", "--=", "---"])]
            what, ends = f"option {given[0]}", REFUSED | ({0, 1} if given[0] == "--out=" else set())
        elif way == 7:
            given, what, ends = ["too", "many", "words", "here", "now"], "words too many", REFUSED
            if verb == "lab build":
                what = "unknown specimens"
        else:
            verb = rng.choice(["run", "compare", "review", "inspect sites", "inspect lens"])
            spec = rng.choice(SPECS)
            base, given = list(BASES[verb]), []
            if verb == "run":
                option = rng.choice(["--model", "--critic", "--judge"])
                given = [option, spec]
                if option in base:
                    at = base.index(option)
                    del base[at : at + 2]
            elif verb == "review":
                given = ["--judge", spec]
            else:
                base[0] = spec
            what, ends = f"model {spec[:30]!r}", REFUSED
        yield {
            "what": f"{verb}: {what}",
            "arguments": (*verb.split(), *base, *given),
            "make": ready,
            "ends": frozenset(ends),
        }


def _is_number(text: str) -> bool:
    try:
        return float(text.replace("_", "")) == float(text.replace("_", ""))
    except ValueError:
        return False


def declared() -> dict[str, list[tuple[str, bool]]]:
    """Options that take a value, by verb, and whether each is a number."""
    from plumbrule.cli.app import app

    found: dict[str, list[tuple[str, bool]]] = {}

    def look(group: Any, place: str) -> None:
        for command in group.registered_commands:
            name = command.name or command.callback.__name__.replace("_", "-")
            found[f"{place}{name}"] = list(_options(command.callback))
        for inner in group.registered_groups:
            look(inner.typer_instance, f"{inner.name} ")

    look(app, "")
    return found


def _options(verb: Callable[..., Any]) -> Iterator[tuple[str, bool]]:
    for name, parameter in inspect.signature(verb).parameters.items():
        kind, *rest = get_args(parameter.annotation) or (parameter.annotation,)
        kinds = set(get_args(kind)) or {kind}
        if any(type(each).__name__ == "OptionInfo" for each in rest) and bool not in kinds:
            yield f"--{name.replace('_', '-')}", bool({int, float} & kinds)


def folders(rng: random.Random, materials: Materials) -> Iterator[dict[str, Any]]:
    """Folders of runs, comparisons and reviews, and what stands where one is to be."""
    sources = {
        "run": (materials.run, ("run", "--recipe", "recipe.yaml", "--out", "d")),
        "compare": (materials.comparison, ("compare", "--verify", "d")),
        "review": (materials.review, ("review", "--verify", "d")),
        "decide": (
            materials.review,
            ("review", "--out", "d", "--accept", "paper", "--person", "A"),
        ),
    }
    ready = _both(
        _GOOD_PROMPTS, _write("p.md", PAPER), _write("recipe.yaml", to_yaml(RECIPE)),
    )  # fmt: skip
    listed = {
        name: sorted(
            path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()
        )
        for name, (source, _) in sources.items()
    }  # fmt: skip
    while True:
        if rng.random() < 0.2:
            verb = rng.choice(["run", "compare", "review"])
            base = [each for each in BASES[verb] if each != "--plan"]
            base[base.index("--out") + 1] = "d"
            what = rng.choice(["a file", "foreign", "no room for a name", "below a file", "locked"])
            makes: Mapping[str, Make] = {
                "a file": _write("d", "a"),
                "foreign": _write("d/mine.txt", "a"),
                "no room for a name": lambda folder: None,
                "below a file": _write("f", "a"),
                "locked": lambda folder: (folder / "d").mkdir(mode=0o555),
            }
            base[base.index("d")] = {"no room for a name": "n" * 300, "below a file": "f/d"}.get(
                what, "d"
            )
            yield {
                "what": f"--out of {verb}: {what}",
                "arguments": (verb, *base),
                "make": _both(ready, makes[what]),
                "ends": REFUSED,
                "unprivileged": what == "locked",
            }
            continue
        which = rng.choice(sorted(sources))
        source, arguments = sources[which]
        name = rng.choice(listed[which])
        fault, spoil, _ = rng.choice(FAULTS)
        inner = random.Random(rng.random())
        yield {
            "what": f"{which} folder: {name}: {fault}",
            "arguments": arguments,
            "make": _both(ready, _copied(source, "d"), _spoil_some(f"d/{name}", spoil, inner)),
            # Each of these verbs gives a verdict: a gate, damage found, a closed gate.
            "ends": JUDGED,
            "unprivileged": False,
        }


def _spoil_some(
    name: str, spoil: Callable[[Path, random.Random], None], rng: random.Random
) -> Make:
    def make(folder: Path) -> None:
        path = folder / name
        if path.stat().st_size == 0:
            path.write_bytes(b"a")
        spoil(path, rng)

    return make


def ledgers(rng: random.Random, materials: Materials) -> Iterator[dict[str, Any]]:
    """Ledgers, whole and damaged, for the three verbs about them."""
    verbs: Sequence[Sequence[str]] = (
        ("ledger", "verify", "d"), ("ledger", "show", "d"),
        ("ledger", "export", "d", "--out", "e.jsonl"), ("ledger", "verify", "d/ledger.db"),
    )  # fmt: skip
    while True:
        arguments = rng.choice(verbs)
        way = rng.randrange(4)
        judged = JUDGED if "verify" in arguments else TAKEN
        if way == 0:
            spec = rng.choice(
                ["nowhere", "sqlite:///nowhere/x.db", "postgresql+psycopg://h/x", "mysql://", "://",
                 "sqlite://", "nodb+x://a", "", "d/../nowhere", "prompts.jsonl", "sqlite:///prompts.jsonl"]
            )  # fmt: skip
            yield {
                "what": f"ledger {spec!r}",
                "arguments": tuple(
                    spec if part in ("d", "d/ledger.db") else part for part in arguments
                ),
                "make": _GOOD_PROMPTS, "ends": REFUSED,
            }  # fmt: skip
            continue
        if way == 1:
            what, statement = rng.choice(_STATEMENTS)
            make: Make = _sql(statement)
            ends = judged
        else:
            name = rng.choice(["ledger.db", "ledger.db", "ledger.head"])
            what, spoil, _ = rng.choice([each for each in FAULTS if each[0] != "not readable"])
            what = f"{name}: {what}"
            make, ends = _spoil(f"d/{name}", spoil, random.Random(rng.random())), judged
        yield {
            "what": f"{' '.join(arguments[:2])}: {what}",
            "arguments": arguments,
            "make": _both(_copied(materials.run, "d"), make),
            "ends": ends,
        }


_STATEMENTS = (
    ("no table", "DROP TABLE entries"),
    ("a column less", "ALTER TABLE entries RENAME COLUMN payload TO load"),
    ("payload of bytes", "UPDATE entries SET payload = x'ff00ff'"),
    ("payload NULL", "CREATE TABLE other AS SELECT * FROM entries; DROP TABLE entries; "
     "ALTER TABLE other RENAME TO entries; UPDATE entries SET payload = NULL"),
    ("payload no JSON", "UPDATE entries SET payload = '{' WHERE position = 2"),
    ("deep payload", "UPDATE entries SET payload = '" + "[" * 5000 + "' WHERE position = 2"),
    ("payload a list", "UPDATE entries SET payload = '[]'"),
    ("position a word", "CREATE TABLE other AS SELECT * FROM entries; DROP TABLE entries; "
     "ALTER TABLE other RENAME TO entries; UPDATE entries SET position = 'x'"),
    ("date a number", "UPDATE entries SET written_at = 5"),
    ("hash a number", "UPDATE entries SET hash = 5"),
    ("kind of bytes", "UPDATE entries SET kind = x'00ff'"),
    ("none", "DELETE FROM entries"),
    ("huge numbers", "UPDATE entries SET payload = '{\"a\": " + "9" * 5000 + "}'"),
)  # fmt: skip


def _sql(statement: str) -> Make:
    def make(folder: Path) -> None:
        import sqlite3
        from contextlib import closing

        with closing(sqlite3.connect(folder / "d" / "ledger.db")) as database:
            database.executescript(statement)

    return make


FAMILIES: Mapping[
    str, tuple[Callable[[random.Random, Materials], Iterator[dict[str, Any]]], int]
] = {
    "recipe": (recipes, 150),
    "prompts": (prompts, 130),
    "constitution": (constitutions, 120),
    "import": (imports, 30),
    "questions": (prompt_sets, 50),
    "model": (models, 140),
    "paper": (papers, 90),
    "bibtex": (bibliographies, 50),
    "amplify": (amplifications, 40),
    "pairs": (pairs, 30),
    "option": (options, 110),
    "folder": (folders, 30),
    "ledger": (ledgers, 30),
}
"""Kinds of input, and how many of a thousand each gives."""


def generate(
    materials: Materials,
    *,
    count: int = 1000,
    seed: int = 0,
    families: Sequence[str] = tuple(FAMILIES),
) -> list[Bad]:
    """The inputs, the same for the same seed; `count` of them, shared out as in `FAMILIES`."""
    found = []
    for name in families:
        family, share = FAMILIES[name]
        rng = random.Random(f"{seed}/{name}")
        source = family(rng, materials)
        for number in range(max(1, round(share * count / 1000))):
            found.append(Bad(id=f"{name}-{number}", **next(source)))
    return found
