"""The API reference from the docstrings: `python docs/reference.py FOLDER`; warnings are errors.

What is public: the names in `__all__` of `plumbrule` and of its packages, and the modules in
`BESIDES`, which the documents tell people to import. `tests/test_reference.py` keeps this complete.
"""

import argparse
import sys
import warnings
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import plumbrule

BESIDES = (
    "plumbrule.errors",
    "plumbrule.lab.induction",
    "plumbrule.lab.specimens",
    "plumbrule.lab.trained_circuits",
    "plumbrule.loop.amendable",
    "plumbrule.loop.amending",
    "plumbrule.loop.comparing",
    "plumbrule.loop.comparison_plan",
    "plumbrule.loop.complying",
    "plumbrule.loop.drafting",
    "plumbrule.loop.looping",
    "plumbrule.loop.recipe",
    "plumbrule.loop.red_teaming",
    "plumbrule.loop.reviewing",
    "plumbrule.loop.runs",
    "plumbrule.loop.trial_production",
    "plumbrule.loop.verdicts",
    "plumbrule.loop.verifying",
    "plumbrule.loop.watch_production",
    "plumbrule.mechanism.features.reporting",
    "plumbrule.oversight.wording",
    "plumbrule.recipes.amending",
    "plumbrule.recipes.amplification",
    "plumbrule.recipes.choosing",
    "plumbrule.recipes.curated",
    "plumbrule.recipes.curating",
    "plumbrule.recipes.distilled",
    "plumbrule.recipes.distilling",
    "plumbrule.recipes.looping",
    "plumbrule.records",
    "plumbrule.training.objectives",
)
"""Modules without `__all__` that people import from."""


def public_modules() -> list[str]:
    """Modules of the reference, those above first."""
    packages = [
        each.name
        for each in walk_packages(plumbrule.__path__, "plumbrule.")
        if each.ispkg and getattr(import_module(each.name), "__all__", None)
    ]
    return ["plumbrule", *sorted({*packages, *BESIDES} - {"plumbrule.cli"})]


def load() -> list[str]:
    """The modules, imported, with the names that come late."""
    names = public_modules()
    for name in names:
        module = import_module(name)
        for each in getattr(module, "__all__", ()):
            getattr(module, each)
    return names


def build(folder: Path) -> None:
    """Write the pages.

    Args:
        folder: Gets a page for each module, and an index.

    Raises:
        Warning: An annotation or a docstring cannot be read, or a name does not resolve.
    """
    import pdoc

    specs = []
    for name in load():
        specs += [name, f"!{name}\\."]  # a package without the modules in it
    pdoc.render.configure(docformat="google", show_source=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pdoc.pdoc(*specs, output_directory=folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    build(folder)
    sys.stdout.write(f"{folder / 'index.html'}\n")
