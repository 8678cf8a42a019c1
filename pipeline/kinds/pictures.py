"""Pictures: from a dataset of labelled images to balanced or spurious-free ones, judged by trainings."""

from __future__ import annotations

from typing import ClassVar

from fairshards.pipeline.kinds.kind import Kind, Pages
from fairshards.pipeline.recipe.base import RecipeBase
from fairshards.pipeline.recipe.pictures import Recipe


class Pictures(Kind):
    """Runs over pictures."""

    name: ClassVar[str] = Recipe.KIND
    recipe: ClassVar[type[RecipeBase]] = Recipe

    @property
    def pages(self) -> Pages:
        """The report with its sections of pictures, the card, the tables of accuracies and of the plan."""
        from fairshards.pipeline.cli.messages import print_result
        from fairshards.pipeline.cli.plan_table import print_plan
        from fairshards.pipeline.report.card import write_card
        from fairshards.pipeline.report.page import write_report

        return Pages(write_report, write_card, print_result, print_plan)
