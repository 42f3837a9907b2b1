"""What others' schemas say of a file that starts a run; runs in their environment alone.

`python scale_side.py PEER FILE` ends with 0 where the file was accepted and with 1 where not.
"""

import subprocess
import sys
from pathlib import Path


def main(peer: str, file: str) -> int:
    """Hold a file against the schema of `kubernetes-validate` or `skypilot`."""
    if peer == "kubernetes-validate":
        command = Path(sys.executable).with_name("kubernetes-validate")
        done = subprocess.run([command, "-k", "1.33", "--strict", file], check=False)
        return int(done.returncode != 0)
    import jsonschema
    import yaml
    from sky.utils import schemas  # type: ignore[import-not-found]

    task = yaml.safe_load(Path(file).read_text())
    try:
        jsonschema.validate(task, schemas.get_task_schema())
        jsonschema.validate(task["resources"], schemas.get_resources_schema())
    except jsonschema.ValidationError as error:
        sys.stdout.write(f"{error.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
