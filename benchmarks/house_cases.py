"""The kept failing inputs in `../shared/cases`, each given to the command as its README says."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.house_call import Called, call, preload
from benchmarks.house_endpoint import hurry
from benchmarks.house_inputs import PAPER
from benchmarks.house_materials import materials
from benchmarks.house_quirks import asked, serving
from benchmarks.house_refusals import clear
from benchmarks.rows import Row, single
from plumbrule.models import model_folder

CASES = Path(__file__).parents[2] / "shared" / "cases"

Check = Callable[[Path], str]
"""Tries a case in an empty folder; what is wrong, or nothing."""


def _ends(called: Called, codes: set[int], *words: str) -> str:
    """What is wrong with how a call ended; nothing where it is as it should be."""
    said = f"{called.out} {called.message}"
    if called.code not in codes or called.traced:
        return f"ended with {called.code}: {called.message[:200]}"
    lacking = [word for word in words if word not in said]
    return f"does not say {', '.join(lacking)}: {said[-300:]}" if lacking else ""


def _copied(case: str, folder: Path) -> Path:
    shutil.copytree(CASES / case, folder, dirs_exist_ok=True)
    return folder


@contextmanager
def _shared_server(script: Path, folder: Path) -> Iterator[str]:
    """One of the servers that lie with the cases."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "QUIRK_LOG": str(folder / "quirk.log")}
    process = subprocess.Popen(
        [sys.executable, str(script), str(port), str(folder / "server.log")], cwd=folder,
        env=environment, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=1)
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


def _judged(case: str, models: Mapping[str, tuple[set[int], tuple[str, ...]]]) -> Check:
    """A review of `small.md` with each of some models of `quirk.py` as its judge."""

    def check(folder: Path) -> str:
        _copied(case, folder)
        wrong = []
        with _shared_server(CASES / "quirk.py", folder) as address:
            for model, (codes, words) in models.items():
                called = call(
                    ("review", "small.md", "--judge", f"{address}#{model}", "--out", model),
                    folder, timeout=120, first=hurry,
                )  # fmt: skip
                wrong += [f"{model}: {said}"] if (said := _ends(called, codes, *words)) else []
                if codes == {0, 1} and "it crashed" in called.out:
                    wrong.append(f"{model}: a check crashed")
        return "; ".join(wrong)

    return check


def generation_config(folder: Path) -> str:
    """An odd `generation_config.json` is kept byte for byte."""
    _copied("01_generation_config", folder)
    shutil.copytree(model_folder("lab:nano"), folder / "m")
    shutil.copy(folder / "generation_config.json", folder / "m" / "generation_config.json")
    text = (folder / "quick.yaml").read_text("utf-8").replace("MODEL", "m")
    (folder / "quick.yaml").write_text(f"{text}teach_anyway: true\nleast_margin: 0\n", "utf-8")
    called = call(("run", "--recipe", "quick.yaml", "--out", "out"), folder, timeout=300)
    wrong = _ends(called, {0, 1})
    kept = folder / "out" / "models" / "final" / "generation_config.json"
    if not wrong and kept.read_bytes() != (folder / "generation_config.json").read_bytes():
        return "not kept byte for byte"
    return wrong


def lora_on_tied(folder: Path) -> str:
    """An adapter on a tied output layer changes what it was trained to change, and no more."""

    def saved(targets: str) -> None:
        import peft
        import torch
        import transformers

        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_pretrained(model_folder("lab:nano"))
        config = peft.LoraConfig(r=4, target_modules=[targets], task_type="CAUSAL_LM")
        adapted = peft.get_peft_model(model, config)
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter, std=0.3)
        adapted.save_pretrained(folder / targets)
        path = folder / targets / "adapter_config.json"
        content = json.loads(path.read_text("utf-8"))
        path.write_text(json.dumps({**content, "base_model_name_or_path": "lab:nano"}), "utf-8")

    folder.mkdir(parents=True, exist_ok=True)
    wrong = []
    for targets in ("lm_head", "embed_tokens"):
        saved(targets)
        import peft
        import torch
        import transformers

        from plumbrule.models import open_model

        opened = open_model(str(folder / targets)).module  # type: ignore[attr-defined]
        base = transformers.AutoModelForCausalLM.from_pretrained(model_folder("lab:nano"))
        truth = peft.PeftModel.from_pretrained(base, str(folder / targets)).eval()
        ids = torch.arange(10, 40)[None]
        with torch.no_grad():
            far = (opened(input_ids=ids)["logits"] - truth(input_ids=ids)["logits"]).abs().max()
        if float(far) > 1e-3:
            wrong.append(f"{targets}: logits differ by {float(far):.3g}")
    return "; ".join(wrong)


def proxies(folder: Path) -> str:
    """A variable of the environment that cannot be used is named."""
    _copied("11_socks_proxy", folder)
    wrong = []
    for name, value in (
        ("ALL_PROXY", "socks5://127.0.0.1:1080"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
    ):
        arguments = ("review", "small.md", "--judge", "http://127.0.0.1:9/v1#m", "--out", name)
        called = call(arguments, folder, environment={name: value})
        wrong.append(_ends(called, {2}, name))
    return "; ".join(filter(None, wrong))


def beyond_context(folder: Path) -> str:
    """A text longer than the model reads is refused by every verb."""
    _copied("12_inspect_beyond_context", folder)
    long = json.loads((folder / "long.jsonl").read_text("utf-8").splitlines()[0])["prompt"]
    text = long if isinstance(long, str) else long[-1]["content"]
    calls = (
        ("inspect", "heads", "gpt2_32"),
        ("inspect", "lens", "gpt2_32", text),
        ("inspect", "neurons", "gpt2_32", "--layer", "0", "--prompts", "long.jsonl"),
        ("inspect", "circuit", "gpt2_32", "--pairs", "pairs.jsonl", "--out", "out"),
    )
    return "; ".join(filter(None, (_ends(call(each, folder), {2}, "32") for each in calls)))


def latex_macros(folder: Path) -> str:
    """A planted error in siunitx and macros is found, or reading says what it lost."""
    _copied("13_latex_macros_siunitx", folder)
    called = call(("review", "tex.tex", "--bibliography", "refs.bib", "--out", "out"), folder)
    if wrong := _ends(called, {0, 1}):
        return wrong
    found = "decision" in called.out or "inconsistent" in called.out
    return "" if found or "reading       uncertain" in called.out else called.out[:300]


def other_tail(folder: Path) -> str:
    """A one-tailed p in the other tail is consistent."""
    _copied("14_one_sided_wrong_tail", folder)
    called = call(("review", "stats.md", "--out", "out"), folder)
    wrong = _ends(called, {0})
    return wrong or ("called inconsistent" if "inconsistent" in called.out else "")


def clock(folder: Path) -> str:
    """A template that prints the time gives the same prompt twice."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(model_folder("lab:nano"), folder / "m")
    shutil.copy(CASES / "19_clock_in_template" / "chat_template.jinja", folder / "m")
    said = []
    for _ in range(2):
        called = call(("inspect", "lens", "m", "Who is Anna?"), folder)
        if wrong := _ends(called, {0}):
            return wrong
        said.append(called.out)
        time.sleep(1.1)
    return "" if said[0] == said[1] else "two prompts"


def prompt_formats(folder: Path) -> str:
    """Prompts in the forms that people have are read, or the line is named."""
    _copied("20_other_prompt_formats", folder)
    wrong = []
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".jsonl", ".json", ".csv"):
            continue
        called = call(
            ("compare", "lab:nano", "lab:pico", "--prompts", path.name, "--budget",
             "10",
             "--max-tokens", "4", "--out", f"out-{path.stem}"), folder,
        )  # fmt: skip
        codes = {2} if path.stem == "tool" else {0, 1, 2}
        said = _ends(called, codes)
        few = "prompts" in called.message and "at least" in called.message
        read = called.code != 2 or few
        if said or (path.stem != "tool" and not read):
            wrong.append(f"{path.name}: {said or called.message[:150]}")
    return "; ".join(wrong)


def two_sizes(folder: Path) -> str:
    """Models of different width compare."""
    _copied("21_compare_two_sizes", folder)
    first = ("compare", "lab:nano", "lab:small", "--prompts", "one.jsonl", "--budget", "60",
             "--max-tokens", "8", "--out", "a")  # fmt: skip
    second = (
        "compare",
        "lab:nano",
        "lab:pico",
        "--budget",
        "40",
        "--max-tokens",
        "4",
        "--out",
        "b",
    )
    found = [_ends(call(first, folder, timeout=120), {0, 1, 2})]
    found.append(_ends(call(second, folder, timeout=200), {0, 1}))
    return "; ".join(filter(None, found))


def string_bomb(folder: Path) -> str:
    """Macros that quadruple are named as broken, at once."""
    _copied("robustness/02_bibtex_string_bomb", folder)
    (folder / "p.md").write_text(PAPER, "utf-8")
    called = call(("review", "p.md", "--bibliography", "bomb12.bib", "--out", "out"), folder)
    return _ends(called, {0, 1, 2}) or ("slow" if called.seconds > 60 else "")


def killed_ledger(folder: Path) -> str:
    """A review killed while its ledger was made goes on."""
    import sqlite3
    from contextlib import closing

    _copied("robustness/03_review_killed_while_ledger_made", folder)
    whole = call(("review", "naps.md", "--out", "out"), folder)
    kept = ("review.json", "material.json", "config.yaml", "run.lock", "ledger.db")
    wrong = []
    for name in ("without a table", "without a head"):
        shutil.copytree(folder / "out", folder / name)
        for path in (folder / name).iterdir():
            if path.name not in kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        ledger = folder / name / "ledger.db"
        with closing(sqlite3.connect(ledger)) as database, database:
            database.execute("DELETE FROM entries")
        if name == "without a table":
            ledger.unlink()
            with closing(sqlite3.connect(ledger)) as database, database:
                database.execute("CREATE TABLE other (a)")
                database.execute("DROP TABLE other")
        again = call(("review", "naps.md", "--out", name), folder)
        wrong += [f"{name}: {said}"] if (said := _ends(again, {whole.code or 0})) else []
    return "; ".join(wrong)


def length_loop(folder: Path) -> str:
    """A server that refuses both names of a length is asked a few times."""
    _copied("robustness/03_review_killed_while_ledger_made", folder)
    with _shared_server(
        CASES / "robustness" / "04_endpoint_length_name_loop" / "server.py", folder
    ) as address:
        called = call(
            ("review", "naps.md", "--judge", f"{address}#lengthloop", "--out", "out"), folder
        )
    log = (folder / "server.log").read_text("utf-8").splitlines()
    count = sum('"req"' in line for line in log)
    return _ends(called, {2}) or (f"asked {count} times" if count > 10 else "")


def bad_gzip(folder: Path) -> str:
    """A body that is no gzip is an answer that failed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "p.md").write_text(PAPER, "utf-8")
    with serving() as address:
        model = f"{address}/v1#bad gzip@case"
        called = call(("review", "p.md", "--judge", model, "--out", "out"), folder, first=hurry)
    return _ends(called, {3}, "same command")


def artifacts(folder: Path) -> str:
    """`ledger verify` covers stages, weights, configuration and report."""
    run = materials(folder.parent / "materials").run
    wrong = []
    for number, pattern in enumerate(
        ("stages/**/*.jsonl", "models/*/model.safetensors", "models/*/tokenizer.json",
         "config.yaml", "run.json", "report/report.json", "report/index.html")
    ):  # fmt: skip
        copy = folder / f"run{number}"
        shutil.copytree(run, copy)
        path = min(copy.glob(pattern))
        path.write_bytes(path.read_bytes() + b" ")
        name = path.relative_to(copy).as_posix()
        wrong.append(_ends(call(("ledger", "verify", copy.name), folder), {1}, name))
    return "; ".join(filter(None, wrong))


def recipe_yaml(folder: Path) -> str:
    """YAML that is no recipe is refused."""
    _copied("robustness/08_recipe_yaml_traceback", folder)
    names = [*sorted(path.name for path in folder.glob("*.yaml")), "."]
    calls = (call(("run", "--recipe", name, "--out", "out"), folder) for name in names)
    return "; ".join(filter(None, (_ends(called, {2}) for called in calls)))


def prompt_lines(folder: Path) -> str:
    """Lines that are no prompts are refused with their number."""
    _copied("robustness/09_prompts_traceback", folder)
    wrong = [
        _ends(call(("run", "--model", "lab:nano", "--constitution", "village", "--prompts",
                    path.name, "--out", "out"), folder), {2}, "line 1")
        for path in sorted(folder.glob("*.jsonl"))
    ]  # fmt: skip
    return "; ".join(filter(None, wrong))


def model_config(folder: Path) -> str:
    """Configurations and templates that are none are refused."""
    huge = "9" * 6000
    changes = {
        "config.json": [
            '{"model_type": ["a"]}', '{"architectures": 5}', '{"auto_map": ["x"]}',
            '{"auto_map": "x"}', "[" * 100_000, f'{{"a": {huge}}}',
        ],
        "generation_config.json": ['{"eos_token_id": "x"}', '{"eos_token_id": [[1]]}'],
        "chat_template.jinja": [
            "{{ 1/0 }}", "{{ 'a'*10**10 }}", "{% for x in range(10**7) %}a{% endfor %}",
        ],
    }  # fmt: skip
    wrong = []
    folder.mkdir(parents=True, exist_ok=True)
    for name, texts in changes.items():
        for text in texts:
            clear(folder / "m")
            shutil.copytree(model_folder("lab:nano"), folder / "m")
            (folder / "m" / name).write_text(text, "utf-8")
            called = call(("inspect", "lens", "m", "Who is Anna?"), folder)
            codes = {0, 2} if name == "generation_config.json" else {2}
            wrong += [f"{name} {text[:30]}: {said}"] if (said := _ends(called, codes)) else []
    clear(folder / "m")
    shutil.copytree(model_folder("lab:nano"), folder / "m")
    (folder / "m" / "model.safetensors").unlink()
    os.mkfifo(folder / "m" / "model.safetensors")
    wrong.append(_ends(call(("inspect", "sites", "m"), folder), {2}))
    return "; ".join(filter(None, wrong))


def recipe_values(folder: Path) -> str:
    """Values out of range are refused at once."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "p.jsonl").write_text('{"prompt": "a"}\n{"prompt": "b", "held_out": true}\n', "utf-8")
    wrong = []
    for text in (
        "most_prompts: -5", "most_prompts: 0", "most_compared: -5", "most_compared: 0",
        "supervised: {epochs: 1.0e30}", "candidates: 1000000000", "candidate_temperature: -1",
        "seed: true", "gates: {most_violations: -1}", 'name: "a\\0b"',
        "comparison: {screens: [nope]}",
    ):  # fmt: skip
        recipe = f"model: lab:nano\nconstitution: village\nprompts: p.jsonl\n{text}\n"
        (folder / "r.yaml").write_text(recipe, "utf-8")
        called = call(("run", "--recipe", "r.yaml", "--out", "out"), folder)
        wrong += [f"{text}: {said}"] if (said := _ends(called, {2})) else []
    return "; ".join(wrong)


def review_numbers(folder: Path) -> str:
    """Numbers that are none, and text that is none, are refused."""
    _copied("robustness/03_review_killed_while_ledger_made", folder)
    call(("review", "naps.md", "--out", "out"), folder)
    decide = ("review", "--out", "out", "--accept", "paper", "--person")
    calls = (
        ("review", "naps.md", "--out", "x", "--timeout", "nan"),
        ("review", "naps.md", "--out", "x", "--timeout", "1e400"),
        (*decide, "p", "--minutes", "inf"),
        (*decide, "p", "--minutes", "nan"),
        (*decide, "p\udcff"),
    )
    return "; ".join(filter(None, (_ends(call(each, folder), {2}) for each in calls)))


def endless(folder: Path) -> str:
    """What is read without end is refused."""
    calls = (("run", "--recipe", "/dev/zero"), ("constitution", "import", "/dev/zero"))
    return "; ".join(filter(None, (_ends(call(each, folder), {2}) for each in calls)))


def budget(folder: Path) -> str:
    """The budget remembers charged calls without a usable answer."""
    from plumbrule.errors import PlumbruleError
    from plumbrule.models import EndpointSettings, Sampling, open_model
    from plumbrule.records import Message

    folder.mkdir(parents=True, exist_ok=True)
    with serving() as address:
        for _ in range(4):
            try:
                model = open_model(
                    f"{address}/v1#HTML@budget",
                    cache=folder / "calls.db",
                    endpoint=EndpointSettings(max_calls=3, backoff_seconds=0.01),
                )
                model.sample([(Message("user", "x"),)], sampling=Sampling(), seeds=[0])
            except PlumbruleError:
                continue
        count = asked(address, "HTML@budget")
    return "" if count <= 3 else f"{count} charged calls where 3 were allowed"


def kernels(folder: Path) -> str:
    """An attention that names code to be fetched is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(model_folder("lab:nano"), folder / "m")
    path = folder / "m" / "config.json"
    content = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**content, "_attn_implementation": "evil/kernel"}), "utf-8")
    return _ends(call(("inspect", "sites", "m"), folder), {2}, "trust_remote_code")


def refused_key(folder: Path) -> str:
    """A judge that was kept out is asked again by the same command."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "p.md").write_text(PAPER, "utf-8")
    with serving() as address:
        command = ("review", "p.md", "--judge", f"{address}/v1#401@again", "--out", "out")
        wrong = [_ends(call(command, folder), {2}, "PLUMBRULE_ENDPOINT_KEY") for _ in range(2)]
        count = asked(address, "401@again")
    return "; ".join(filter(None, wrong)) or ("" if count == 2 else f"asked {count} times, not 2")


USED: tuple[set[int], tuple[str, ...]] = ({0, 1}, ())
CHECKS: Mapping[str, Check] = {
    "01_generation_config": generation_config,
    "02_lora_on_tied_head": lora_on_tied,
    "03_no_top_p": _judged("03_no_top_p", dict.fromkeys(("notopp", "notemp", "noseed"), USED)),
    "04_reasoning_judge": _judged(
        "04_reasoning_judge", dict.fromkeys(("reasoner", "thinktag"), USED)
    ),
    "05_content_parts": _judged("05_content_parts", {"parts": USED}),
    "07_logprobs_empty": _judged("07_logprobs_empty", dict.fromkeys(("lplist", "lptopnull"), USED)),
    "09_error_in_200": _judged("09_error_in_200", {"err200": ({3}, ("overloaded",))}),
    "10_moderation_not_named_content_filter": _judged(
        "10_moderation_not_named_content_filter",
        dict.fromkeys(("moderated403", "inspect400", "azure400"), USED),
    ),
    "11_socks_proxy": proxies,
    "12_inspect_beyond_context": beyond_context,
    "13_latex_macros_siunitx": latex_macros,
    "14_one_sided_wrong_tail": other_tail,
    "19_clock_in_template": clock,
    "20_other_prompt_formats": prompt_formats,
    "21_compare_two_sizes": two_sizes,
    "robustness/02_bibtex_string_bomb": string_bomb,
    "robustness/03_review_killed_while_ledger_made": killed_ledger,
    "robustness/04_endpoint_length_name_loop": length_loop,
    "robustness/05_endpoint_bad_gzip": bad_gzip,
    "robustness/07_run_verify_covers_no_artifact": artifacts,
    "robustness/08_recipe_yaml_traceback": recipe_yaml,
    "robustness/09_prompts_traceback": prompt_lines,
    "robustness/10_model_config_traceback": model_config,
    "robustness/11_recipe_values_accepted": recipe_values,
    "robustness/12_review_numbers_traceback": review_numbers,
    "robustness/14_endless_file": endless,
    "robustness/17_budget_forgets_broken": budget,
    "robustness/18_attn_implementation_kernel": kernels,
    "robustness/22_review_401_is_for_ever": refused_key,
}


def rows(work: Path) -> list[Row]:
    """Try every case that is not known to be right yet."""
    from benchmarks.house import Kept

    if not CASES.is_dir():
        return []
    preload()
    folders = {path.parent.relative_to(CASES).as_posix() for path in CASES.rglob("README.md")}
    lacking = {name for name in folders if not name.startswith("papers") and name != "."}
    kept = Kept(work / "cases.jsonl")
    seen = {name: each for name, each in kept.read().items() if not each["wrong"]}
    for name, check in CHECKS.items():
        if name not in seen:
            clear(work / "case")
            (work / "case").mkdir(parents=True)
            try:
                wrong = check(work / "case")
            except Exception as error:  # a case that breaks the check is not right
                wrong = f"{type(error).__name__}: {error}"
            seen[name] = {"id": name, "wrong": wrong}
            kept.add(seen[name])
            if wrong:
                print(name, wrong[:1500], file=sys.stderr, flush=True)
    right = sum(not seen[name]["wrong"] for name in CHECKS)
    count = len({*CHECKS, *lacking})
    return [
        single("cases in ../shared/cases besides papers: right", right, unit=f"of {count}",
               n=count, target="all", met=right == count)
    ]  # fmt: skip
