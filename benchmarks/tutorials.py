"""The tutorials, every command: `python -m benchmarks.tutorials`.

It ends with 1 where a command ends otherwise than its page says.
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from docs.tutorials import CONSOLE, PAGES, commands, run


def main() -> int:
    """Run each page in a folder of its own, as its reader does."""
    failed = 0
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        count = sum(len(list(commands(block))) for block in CONSOLE.findall(text))
        started = time.monotonic()
        with TemporaryDirectory() as folder:
            try:
                run(text, Path(folder), lambda line: print(f"$ {line}", flush=True))
            except RuntimeError as error:
                print(error)
                failed += 1
                continue
        print(f"{page.name}: {count} commands, {time.monotonic() - started:.0f} s", flush=True)
    print(f"{len(PAGES) - failed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
