"""What a person reads on the terminal after a run over health records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fairshards.catalogs.manifests import manifest
from fairshards.pipeline.recipe.records import EhrRecipe
from fairshards.pipeline.records.evaluation import REAL, REWEIGHED, SYNTHETIC, metric_of
from fairshards.trainers.evaluation.cohort_learners import LEARNERS

Row = dict[str, Any]


def print_ehr_result(recipe: EhrRecipe, result: Any, console: Console) -> None:
    """Print what was made and, after an evaluation, its tables."""
    root = escape(str(result.folder.root))

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    if result.curated:
        say(
            f"curated {len(result.curated.selection.chosen)} synthetic rows; {result.generated} drawn in this run; "
            f"curation {result.curated.curation_id}"
        )
    if result.judged:
        rows = manifest.read_rows(result.judged)[1]
        console.print(utility_table(rows, recipe.cohort.attribute))
        for line in summary_lines(rows):
            say(line)
    say(f"run folder: {root}")
    if result.report:
        say(f"report:     {escape(str(result.report))}")
    say(f"{result.seconds:.0f} s; ask the catalog: fairshards query {root} evaluation")


def utility_table(rows: Sequence[Row], attribute: str) -> Table:
    """Return AUROC and the largest gaps by what a learner was trained on, all asked of real test rows."""
    table = Table(
        title=f"asked of real test rows; differences by {attribute}",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in ("learner", "trained on"):
        table.add_column(name, overflow="fold")
    for name in ("AUROC", "95%", "AUPRC", "parity\ndiff", "odds\ndiff"):
        table.add_column(name, justify="right", no_wrap=True)
    for learner in LEARNERS:
        for trained_on in (REAL, REWEIGHED, SYNTHETIC):
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
                *(_shown(one) for one in (precision, *gaps)),
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
