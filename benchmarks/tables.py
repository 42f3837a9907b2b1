"""Writes the documents' tables from the kept results: `python -m benchmarks.tables`."""

import json
from pathlib import Path

from benchmarks import debate_rows, house_counts, oversight_tax

ROOT = Path(__file__).parent.parent


def markdown(name: str, *, targets: bool) -> str:
    """A benchmark's rows as a Markdown table, those with a target or those without."""
    rows = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text("utf-8"))
    lines = ["| measure | target | measured | n | met |", "| --- | --- | --- | --- | --- |"]
    if not targets:
        lines = ["| measure | measured | n |", "| --- | --- | --- |"]
    for row in rows:
        if bool(row["target"]) != targets:
            continue
        value = "" if row["value"] is None else f"{row['value']:.4g}"
        if row["low"] is not None:
            value += f" [{row['low']:.4g}, {row['high']:.4g}]"
        unit = row["unit"].split(";")[0]  # says why where there is no value
        if targets:
            met = {True: "yes", False: "**no**", None: ""}[row["met"]]
            lines.append(
                f"| {row['measure']} | {row['target']} | {value} {unit} | {row['n']} | {met} |"
            )
        else:
            lines.append(f"| {row['measure']} | {value} {unit} | {row['n']} |")
    return "\n".join(lines)


def known_errors() -> str:
    """How often a verdict was right on sealed models, as the package says it beside verdicts."""
    rows = json.loads((ROOT / "benchmarks" / "results" / "mechanism_verdict.json").read_text())
    start = "sealed: label right, "
    found = [
        {
            "about": row["measure"].removeprefix(start).replace("all that took", "all"),
            "right": row["value"],
            "low": row["low"],
            "high": row["high"],
            "n": row["n"],
        }
        for row in rows
        if row["measure"].startswith(start)
    ]
    return json.dumps(found, indent=1) + "\n"


KNOWN_ERRORS = ROOT / "src" / "plumbrule" / "internalization" / "known_errors.json"


def fill(page: Path, tables: dict[str, str]) -> None:
    """Put tables between their markers."""
    text = page.read_text("utf-8")
    for name, table in tables.items():
        start, end = f"<!-- table: {name} -->", f"<!-- end of table: {name} -->"
        before, _, rest = text.partition(start)
        _, _, after = rest.partition(end)
        text = f"{before}{start}\n\n{table}\n\n{end}{after}"
    page.write_text(text, "utf-8")


if __name__ == "__main__":
    KNOWN_ERRORS.write_text(known_errors(), "utf-8")
    fill(
        ROOT / "README.md",
        {
            "main_job": markdown("main_job", targets=True),
            "size_ladder": markdown("main_job", targets=False),
        },
    )
    fill(
        ROOT / "docs" / "compare.md",
        {
            "real_compare": markdown("real_compare", targets=True),
            "real_compare_details": markdown("real_compare", targets=False),
            "real_claims": markdown("real_claims", targets=True),
            "compare": markdown("compare", targets=True),
            "compare_details": markdown("compare", targets=False),
            "weights_memory": markdown("weights_memory", targets=True),
        },
    )
    fill(
        ROOT / "docs" / "mechanism.md",
        {
            "real_inspect": markdown("real_inspect", targets=True),
            "real_inspect_details": markdown("real_inspect", targets=False),
            "mechanism_circuits": markdown("mechanism_circuits", targets=True),
            "mechanism_circuits_details": markdown("mechanism_circuits", targets=False),
            "mechanism_recurrence": markdown("mechanism_recurrence", targets=True),
            "mechanism_recurrence_details": markdown("mechanism_recurrence", targets=False),
            "mechanism_peers": markdown("mechanism_peers", targets=True),
            "mechanism_peers_details": markdown("mechanism_peers", targets=False),
        },
    )
    fill(
        ROOT / "docs" / "circuits.md",
        {
            "known_circuits": markdown("known_circuits", targets=True),
            "phase_change": markdown("phase_change", targets=True),
        },
    )
    for page, name in (
        ("models", "real_speed"),
        ("features", "mechanism_features"),
        ("running", "real_run"),
        ("robustness", "house"),
        ("review_papers", "papers"),
        ("review_papers", "real_papers"),
        ("review_papers", "real_papers_planted"),
        ("review_statistics", "statistics_checks"),
        ("amplify", "amplification"),
        ("recursive_reward", "recursive_reward"),
        ("people", "judges_people"),
        ("certificates", "judges_certified"),
        ("panels", "judges_panel"),
        ("guarding", "judges_guarded"),
        ("judging", "judges_village"),
        ("reward_models", "training_rewards"),
        ("training", "training_ppo"),
        ("public_input", "training_constitutions"),
        ("inverse", "training_constitutions"),
        ("amending", "training_amend"),
        ("recipes", "training"),
        ("recipes", "training_real"),
        ("over_optimization", "training_overoptimization"),
        ("evidence", "evidence"),
        ("scale", "scale"),
        ("lab", "mechanism_verdict"),
        ("lab", "loop_gaps"),
        ("loop", "loop"),
        ("loop", "loop_real"),
        ("comply", "comply"),
        ("redteam", "redteam"),
        ("watch", "monitoring"),
        ("repairs", "mechanism_repairs"),
        ("verdict", "mechanism_probes"),
    ):
        fill(
            ROOT / "docs" / f"{page}.md",
            {name: markdown(name, targets=True), f"{name}_details": markdown(name, targets=False)},
        )
    fill(ROOT / "docs" / "lab.md", {"loop_gaps": markdown("loop_gaps", targets=True)})
    fill(
        ROOT / "docs" / "small_models.md",
        {"training_small": markdown("training_small", targets=False)},
    )
    for page, name, tables in (
        ("debate", "debate", debate_rows.tables),
        ("oversight", "oversight_tax", oversight_tax.tables),
    ):
        kept = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text("utf-8"))
        fill(ROOT / "docs" / f"{page}.md", tables(kept))
    kept = json.loads((ROOT / "benchmarks" / "results" / "house_parts.json").read_text("utf-8"))
    fill(ROOT / "docs" / "robustness.md", {"house_parts": house_counts.parts_table(kept)})
    fill(ROOT / "docs" / "oversight.md", {"oversight": markdown("oversight", targets=True)})
