"""What a run of the made-up kind shows: its plan, its summary, its report and its card."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fairshards.pipeline.report.pages import Card, Pages, Section
from fairshards.pipeline.report.sections import BALANCE
from fairshards.pipeline.run.checks import Check, attempted


def plan(recipe: Any, root: Path) -> Iterator[str | list[Check]]:
    yield [attempted("path", Path(recipe.path).read_text, recipe.path)]
    yield f"{2 * recipe.quota.per_group} sentences"


def about(view: Any) -> str:
    return f"Sentences about {' and '.join(view.recipe.classes)}."


CARD: Card[Any] = Card(
    *("card.md.jinja", ".txt", about, ["text-generation"], ["synthetic"]),
    configs=lambda view, shards: [{"config_name": "default", "data_files": "curated/*/*.txt"}],
    facts=lambda view, shards: {},
    inside=lambda view, shards: ([], []),
)
PAGES: Pages[Any, Any] = Pages(
    Section("", "", "headline.html.jinja", lambda view: {"said": about(view)}),
    *([BALANCE], "From the catalog.", CARD),
    summary=lambda recipe, result: iter([f"kept {dict(result.judged)}"]),
    question=lambda result: "balance",
    plan=plan,
    templates=Path(__file__).parent / "third_kind_templates",
)
