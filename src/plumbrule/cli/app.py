"""The command `plumbrule`: its verbs, and how it ends."""

import os

import typer

from plumbrule.cli.ab import app as ab
from plumbrule.cli.amend import amend
from plumbrule.cli.amplify import amplify
from plumbrule.cli.compare import compare
from plumbrule.cli.compare_runs import compare_runs
from plumbrule.cli.comply import comply
from plumbrule.cli.constitution import app as constitution
from plumbrule.cli.curate import curate
from plumbrule.cli.distill import distill
from plumbrule.cli.ending import end_well
from plumbrule.cli.evidence import app as evidence
from plumbrule.cli.inspect import app as inspect
from plumbrule.cli.judge import app as judge
from plumbrule.cli.lab import app as lab
from plumbrule.cli.label import app as label
from plumbrule.cli.ledger import app as ledger
from plumbrule.cli.loop import loop, remedy
from plumbrule.cli.options import look_at_options
from plumbrule.cli.redteam import redteam
from plumbrule.cli.review import review
from plumbrule.cli.run import run
from plumbrule.cli.scale import scale
from plumbrule.cli.serve import serve
from plumbrule.cli.watch import watch

app = typer.Typer(
    name="plumbrule",
    help="Train a language model on a written constitution, then show what really changed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command()(run)
app.command()(compare)
app.command("compare-runs")(compare_runs)
app.command()(comply)
app.command()(redteam)
app.command()(review)
app.command()(amplify)
app.command()(amend)
app.command()(curate)
app.command()(distill)
app.command()(watch)
app.command()(scale)
app.command()(remedy)
app.command()(loop)
app.command()(serve)
app.add_typer(ab, name="ab")
app.add_typer(constitution, name="constitution")
app.add_typer(evidence, name="evidence")
app.add_typer(inspect, name="inspect")
app.add_typer(judge, name="judge")
app.add_typer(lab, name="lab")
app.add_typer(label, name="label")
app.add_typer(ledger, name="ledger")
look_at_options(app)


def main() -> None:
    """Run the command line.

    Exit codes: 0 done and gates passed, 1 done and a gate failed, 2 the input is wrong,
    3 a part outside failed and the same command goes on, 70 an error nobody foresaw,
    130 interrupted, 141 nobody reads the output any more.
    """
    # Before torch is loaded: threads that wait by spinning starve whatever shares the machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    end_well(app)
