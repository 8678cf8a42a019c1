"""What a run over pictures shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairshards.pipeline.pictures.card import CARD
from fairshards.pipeline.pictures.plan_table import plan_lines
from fairshards.pipeline.pictures.sections import HEADLINE, SECTIONS
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.report.pages import Line, Pages
from fairshards.pipeline.report.tables import accuracy_table, ranked_table


def summary(recipe: Recipe, result: Any) -> Iterator[Line]:
    """Yield what discovery found, what a run made and, after training, the table of accuracies."""
    if discovered := _discovered(result):
        yield ranked_table([value.name for value in recipe.classes], discovered.ranked)
    if result.curated:
        selection = result.curated.selection
        yield (
            f"curated {len(selection.chosen)} samples: {selection.balanced} a group in the balanced split; "
            f"{result.generated} generated in this run; curation {result.curated.curation_id}"
        )
    if result.judged:
        yield accuracy_table(result.judged)


def question(result: Any) -> str:
    """Return the named query that answers what the run was for."""
    return "spurious" if _discovered(result) and not result.curated else "balance"


def _discovered(result: Any) -> Any:
    """Return what discovery found in this run, if it looked for anything."""
    return result.prepared and result.prepared.discovered


PAGES: Pages[Recipe, Any] = Pages(
    HEADLINE,
    SECTIONS,
    "from the run’s catalog and shards. It loads nothing from anywhere, and the same run, reported from the same "
    "folder, gives the same bytes.",
    CARD,
    summary,
    question,
    plan_lines,
)
