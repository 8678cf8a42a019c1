"""The command's entry, and the check that the packages with common names are fairshards' own.

This one module has a name that nobody else uses, so that it can speak when ``pipeline`` or ``filters``
of another project shadows ours.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

PACKAGES = ("pipeline", "transforms", "generators", "filters", "catalogs", "trainers", "pocket", "recipes")


class ShadowedPackage(ImportError):
    """A package of fairshards is hidden by another one of the same name."""


def check_installation(also: tuple[str, ...] = ()) -> None:
    """Check that each of our packages would be imported from our own folder.

    ``also`` holds folders that worker processes search before this process's path (their working folder).

    Raises:
        ShadowedPackage: names the file that shadows ours.
    """
    home = Path(__file__).resolve().parent
    for name in PACKAGES:
        first = importlib.machinery.PathFinder.find_spec(name, list(also)) if also else None
        spec = first if first and first.origin else importlib.util.find_spec(name)
        found = Path(spec.origin).resolve() if spec and spec.origin else None
        if found is None or found.parent.parent != home:
            where = f"{found} shadows it" if found else "it is not installed"
            raise ShadowedPackage(
                f"package {name!r} of fairshards lies in {home / name}, but {where}. Run from another folder, "
                "rename that package, or take its folder out of PYTHONPATH."
            )


def main() -> None:
    """Run the command line."""
    try:
        check_installation()
    except ShadowedPackage as error:
        sys.exit(f"error: {error}")
    try:
        from pipeline.cli import main as cli
    except KeyboardInterrupt:  # from here on the command line answers it (pipeline/interrupts.py)
        sys.exit(130)
    cli()


if __name__ == "__main__":
    main()
