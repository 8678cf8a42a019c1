"""Packages that only some runs need: which of them are missing, and the extra that brings them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement


class MissingExtra(ImportError):
    """Something was asked for that needs packages which aren't installed; the message says how to install them."""


def check_extra(extra: str, doing: str) -> None:
    """Check that the packages of an extra of pyproject.toml are installed, in versions that it allows.

    Args:
        extra: The extra's name, e.g. "llm".
        doing: What needs it, as the message's subject: "asking an endpoint".

    Raises:
        MissingExtra: names the packages and the pip command.
    """
    if problems := [problem for package in packages_of(extra) if (problem := _problem(package))]:
        raise MissingExtra(f"{doing} needs {' and '.join(problems)}: pip install 'fairshards[{extra}]'")


def packages_of(extra: str) -> list[Requirement]:
    """Return what an extra asks for.

    Raises:
        MissingExtra: the installed distribution declares no such extra, as one made from older files does.
    """
    declared = [Requirement(line) for line in requires("fairshards") or ()]
    ours = [package for package in declared if package.marker and package.marker.evaluate({"extra": extra})]
    if not ours:
        raise MissingExtra(
            f"the installed fairshards declares no extra {extra!r}, so it was installed from other files than these: "
            "install it again, e.g. with pip install --editable ."
        )
    return ours


def _problem(package: Requirement) -> str:
    """Return what is wrong with an installed package; "" where nothing is."""
    try:
        installed = version(package.name)
    except PackageNotFoundError:
        return f"{package.name}{package.specifier}, which isn't installed"
    if not package.specifier.contains(installed, prereleases=True):
        return f"{package.name}{package.specifier}, but {installed} is installed"
    return ""
