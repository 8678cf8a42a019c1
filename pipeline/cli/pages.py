"""Prints what a kind shows on the terminal: the lines after a run, and the plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from fairshards.pipeline.recipe.base import RecipeBase
from fairshards.pipeline.run.checks import print_checklist

if TYPE_CHECKING:
    from fairshards.pipeline.report.pages import Line, Pages


def print_summary(recipe: RecipeBase, result: Any, pages: Pages[Any, Any], console: Console) -> None:
    """Print what a run made, where it lies, how long it took, and what to ask next."""
    root = result.folder.root
    for line in pages.summary(recipe, result):
        _print(line, console)
    _print(f"run folder: {root}", console)
    if result.report:
        _print(f"report:     {result.report}", console)
    question = pages.question(result)
    _print(f"{result.seconds:.0f} s; ask the catalog: fairshards query {root} {question}", console)


def print_plan(recipe: RecipeBase, output: Path | None, pages: Pages[Any, Any], console: Console) -> bool:
    """Print all that is checked before a run, and what would be made; return whether all is right."""
    good = True
    for block in pages.plan(recipe, output or Path(recipe.output) / recipe.name):
        if isinstance(block, list):
            good = print_checklist(block, console) and good
        else:
            _print(block, console)
    return good


def _print(line: Line, console: Console) -> None:
    """Print a table, or a line as it is: never broken, and names in brackets are no markup."""
    if isinstance(line, str):
        console.print(escape(line), highlight=False, soft_wrap=True)
    else:
        console.print(line)
