"""The documentation as a site: `python -m docs.website FOLDER`; a warning is an error.

The pages are those of the repository, and their order is that of the table in `README.md`: nothing
is listed twice. The reference made by `docs/reference.py` goes along under `reference/`.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from docs import reference

ROOT = Path(__file__).parent.parent
REPOSITORY = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE")
READING_ON = re.compile(r"\((docs/\w+\.md)\)(?=.*\|)")
LISTED = ("docs/notebooks", "log")
"""Folders that pages link to, which get a page that lists what lies there."""


def pages() -> list[str]:
    """The pages of the README's table in their order, then those that it does not name."""
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Reading on")[2]
    named = list(dict.fromkeys(READING_ON.findall(table)))
    rest = (path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").glob("*.md")))
    return [*named, *(each for each in rest if each not in named)]


def stage(folder: Path) -> None:
    """Lay out what the site is made of, where the pages' links find each other."""
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("*.py", "__*"))
    shutil.copytree(ROOT / "log", folder / "log")
    for name in REPOSITORY:
        shutil.copy(ROOT / name, folder / name)
    (folder / "wide.css").write_text(".md-grid { max-width: 84rem }\n")  # examples are 120 wide
    for name in LISTED:
        files = sorted(path.name for path in (folder / name).iterdir())
        lines = "".join(f"- [{each}]({each})\n" for each in files)
        (folder / name / "index.md").write_text(f"# {name.split('/')[-1].title()}\n\n{lines}")
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8")
    for name in LISTED:
        text = re.sub(rf"\]\({name}/?\)", f"]({name}/index.md)", text)
    readme.write_text(text, encoding="utf-8")


def settings(source: Path, site: Path) -> dict[str, object]:
    """What MkDocs is told."""
    tutorials = [each for each in pages() if "/tutorial_" in each]
    return {
        "site_name": "Plumbrule",
        "docs_dir": str(source),
        "site_dir": str(site),
        "use_directory_urls": False,  # so that it can be read from a disk
        "theme": {
            "name": "material",
            "font": False,  # nothing is fetched from elsewhere
            "features": ["navigation.sections", "content.code.copy"],
            "palette": [
                {"media": "(prefers-color-scheme: light)", "scheme": "default"},
                {"media": "(prefers-color-scheme: dark)", "scheme": "slate"},
            ],
        },
        "extra_css": ["wide.css"],
        "plugins": ["search", "offline"],
        "markdown_extensions": ["tables", "pymdownx.superfences", {"toc": {"permalink": True}}],
        "validation": {"anchors": "warn", "unrecognized_links": "info"},
        "nav": [
            {"Start": "README.md"},
            {"Tutorials": tutorials},
            {"Pages": [each for each in pages() if each not in tutorials]},
            {"Project": [*REPOSITORY[1:-1], "docs/notebooks/index.md", "log/index.md"]},
            {"Reference": "reference/index.html"},
        ],
    }


def build(site: Path) -> None:
    """Write the site.

    Args:
        site: Folder of the site; what lies there goes.

    Raises:
        subprocess.CalledProcessError: MkDocs had something to say, such as a link to nowhere.
        Warning: A docstring cannot be read.
    """
    with TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()
        stage(source)
        reference.build(source / "reference")
        configuration = Path(folder) / "mkdocs.yml"
        configuration.write_text(yaml.safe_dump(settings(source, site.absolute())))
        subprocess.run(
            [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-f", str(configuration)],
            check=True,
            env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},  # an announcement of the theme's
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    build(folder)
    sys.stdout.write(f"{folder / 'index.html'}\n")
