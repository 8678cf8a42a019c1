"""What a run over health records shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table

from fairshards.catalogs.manifests import manifest
from fairshards.pipeline.recipe.records import EhrRecipe
from fairshards.pipeline.records.card import CARD
from fairshards.pipeline.records.evaluation import REAL, SYNTHETIC, metric_of
from fairshards.pipeline.records.measured import TABLES
from fairshards.pipeline.records.plan_table import plan_lines
from fairshards.pipeline.records.sections import HEADLINE, SECTIONS
from fairshards.pipeline.report.pages import Line, Pages
from fairshards.pipeline.report.reader import Row
from fairshards.pipeline.report.tables import plain_table
from fairshards.trainers.evaluation.cohort_learners import LEARNERS


def summary(recipe: EhrRecipe, result: Any) -> Iterator[Line]:
    """Yield what was made and, after an evaluation, its tables."""
    if result.curated:
        yield (
            f"curated {len(result.curated.selection.chosen)} synthetic rows; {result.generated} drawn in this run; "
            f"curation {result.curated.curation_id}"
        )
    if result.judged:
        rows = manifest.read_rows(result.judged)[1]
        yield utility_table(rows, recipe.cohort.attribute)
        yield from summary_lines(rows)


def utility_table(rows: Sequence[Row], attribute: str) -> Table:
    """Return AUROC and the largest gaps by what a learner was trained on, all asked of real test rows."""
    table = plain_table(f"asked of real test rows; differences by {attribute}")
    for name in ("learner", "trained on"):
        table.add_column(name, overflow="fold")
    for name in ("AUROC", "95%", "AUPRC", "parity\ndiff", "odds\ndiff"):
        table.add_column(name, justify="right", no_wrap=True)
    for learner in LEARNERS:
        for trained_on in TABLES:
            area = metric_of(rows, "auroc", trained_on, learner=learner)
            precision = metric_of(rows, "auprc", trained_on, learner=learner)
            gaps = [
                metric_of(rows, metric, trained_on, learner=learner, attribute=attribute)
                for metric in ("demographic_parity_difference", "equalized_odds_difference")
            ]
            if area is None:
                continue
            table.add_row(
                learner if trained_on == REAL else "",
                trained_on,
                f"{area['value']:.3f}",
                f"{area['low']:.3f}-{area['high']:.3f}",
                *map(_shown, (precision, *gaps)),
                end_section=trained_on == SYNTHETIC,
            )
    return table


def summary_lines(rows: Sequence[Row]) -> list[str]:
    """Return fidelity and privacy in a line each."""
    fidelity = ", ".join(
        f"{name.replace('_', ' ')} {_shown(metric_of(rows, name, SYNTHETIC))}"
        for name in ("discriminative_score", "correlation_difference", "smallest_subgroup_ratio")
    )
    private = ", ".join(
        f"{name.replace('_', ' ')} {_shown(metric_of(rows, name, SYNTHETIC))}"
        for name in ("copies", "memorisation", "membership_auc")
    )
    return [f"fidelity: {fidelity}", f"privacy:  {private}"]


def _shown(row: Row | None) -> str:
    return "-" if row is None or row["value"] is None else f"{row['value']:.3f}".removesuffix(".000")


PAGES: Pages[EhrRecipe, Any] = Pages(
    HEADLINE,
    SECTIONS,
    "from the run’s catalog. No patient’s row is on this page. It loads nothing from anywhere.",
    CARD,
    summary,
    lambda result: "evaluation",
    plan_lines,
    manifest.OWNER_ONLY,
)
