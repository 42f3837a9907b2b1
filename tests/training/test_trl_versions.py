"""The contract with TRL, against another version of it than the installed one.

pip install --target FOLDER --no-deps trl==VERSION
PLUMBRULE_TRL=FOLDER python -m pytest tests/training/test_trl_versions.py
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OTHER = os.environ.get("PLUMBRULE_TRL", "")


@pytest.mark.skipif(not OTHER, reason="PLUMBRULE_TRL names no folder with another TRL")
def test_the_contract_holds_with_another_version_of_trl():
    paths = [OTHER, str(ROOT / "src"), str(ROOT)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PLUMBRULE_TRL": ""}
    where = "import trl; print(trl.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert Path(found.strip()).is_relative_to(Path(OTHER).resolve())
    tests = [ROOT / "tests" / "training" / name for name in ("test_trl.py", "test_weighting.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, tests)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
