"""Health records: from a cohort to synthetic rows of a fair generator, judged by utility, fairness and privacy."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import ClassVar

from fairshards.pipeline.kinds.kind import Kind, Pages
from fairshards.pipeline.recipe.base import RecipeBase
from fairshards.pipeline.recipe.records import EhrRecipe
from fairshards.pipeline.run.owner import own_folder


class Records(Kind):
    """Runs over health records, whose folders are their owner's alone."""

    name: ClassVar[str] = EhrRecipe.KIND
    recipe: ClassVar[type[RecipeBase]] = EhrRecipe
    extra: ClassVar[str | None] = "records"

    @property
    def pages(self) -> Pages:
        """The report and the card with their sections of records, the tables of the evaluation and of the plan."""
        from fairshards.pipeline.records.card import write_ehr_card
        from fairshards.pipeline.records.messages import print_ehr_result
        from fairshards.pipeline.records.plan_table import print_ehr_plan
        from fairshards.pipeline.records.report import write_ehr_report

        return Pages(
            write_ehr_report,
            write_ehr_card,
            print_ehr_result,
            lambda recipe, output: print_ehr_plan(recipe, output=output),
        )

    def guarded(self, root: Path) -> contextlib.AbstractContextManager[bool]:
        """Close the folder to everybody but its owner."""
        return own_folder(root)
