"""`plumbrule evidence` as it is typed."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from typer.testing import CliRunner

from plumbrule.cli.app import app
from plumbrule.evidence.page import VERIFIER

WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {missing}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
from plumbrule.cli import main
main()
"""


def call(*words):
    return CliRunner().invoke(app, ["evidence", *map(str, words)])


def test_from_a_run_to_a_folder_that_verifies(finished, keys, tmp_path):
    out = tmp_path / "evidence"
    exported = call("export", finished, "--out", out, "--key", keys.private)
    verified = call("verify", out, "--key", keys.public, "--weights", finished / "models" / "final")

    assert (exported.exit_code, verified.exit_code) == (0, 0)
    assert f"signed by {keys.verifying.id}" in exported.output
    assert "sound: everything that could be checked" in verified.output
    assert "weights: small/models/final: 8 files as recorded" in verified.output


def test_tampering_ends_with_1_and_names_the_file(plain, copied):
    folder = copied(plain)
    (folder / "documents" / "small" / "annex-iv.md").write_text("All is well.")
    verified = call("verify", folder)

    assert verified.exit_code == 1
    assert "documents/small/annex-iv.md" in verified.output
    assert "not sound" in verified.output


def test_documents_can_be_written_alone(finished, tmp_path):
    out = tmp_path / "bom.json"

    assert call("document", "bom", finished, "--out", out).exit_code == 0
    assert json.loads(out.read_text())["specVersion"] == "1.7"
    assert call("document", "annex-iv", finished).output.startswith("# Technical documentation")


def test_the_packages_that_the_page_names_are_all_that_verifying_needs(signed, keys):
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["sign"]]
    names = {re.split(r"[^\w-]", each)[0] for each in needed}
    missing = {{"scikit-learn": "sklearn"}.get(each, each) for each in names - set(VERIFIER)}
    command = [sys.executable, "-c", WITHOUT.replace("{missing}", repr(missing))]

    done = subprocess.run(
        [*command, "evidence", "verify", str(signed), "--key", str(keys.public)],
        capture_output=True, text=True,
    )  # fmt: skip

    assert set(VERIFIER) <= names
    assert {"torch", "transformers"} <= missing
    assert (done.returncode, done.stderr) == (0, "")
    assert "sound: everything" in done.stdout
