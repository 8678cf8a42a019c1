"""Tables that a terminal shows after a run: phrases by rank, and accuracies by training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

MOST_RANKED = 6
_AVERAGES = (
    "balanced: the mean over groups; average: plain over the test split; "
    "adjusted average: groups weighted by their share of the real training set"
)


def plain_table(title: str, caption: str | None = None) -> Table:
    """Return an empty table without a frame, title and caption on the left."""
    return Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def ranked_table(class_names: Sequence[str], ranked: Sequence[Any]) -> Table:
    """Return the ranked phrases of every class (at most six), with the hit rate's interval and the lift."""
    table = plain_table("phrases by how often editing them out changes the classifier's answer")
    for name in ("class", "phrase"):
        table.add_column(name, overflow="fold")
    for name in ("hits", "rate %", "95%", "lift", "bits", "images"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for phrase in ranked:
        if phrase.rank <= MOST_RANKED:
            table.add_row(
                escape(class_names[phrase.y]),
                escape(phrase.phrase),
                f"{phrase.hits}/{phrase.successes}",
                f"{100 * phrase.rate:.0f}" if phrase.successes else "-",
                f"{100 * phrase.low:.0f}-{100 * phrase.high:.0f}" if phrase.successes else "-",
                f"{phrase.lift.value:.2f}",
                f"{phrase.bits:.3f}",
                str(phrase.occurrences),
                "[bold red]spurious[/]" if phrase.spurious else "",
                end_section=phrase.rank == MOST_RANKED,
            )
    return table


def accuracy_table(trainings: Sequence[Any]) -> Table:
    """Return the table of test accuracies, in percent, one row a training; below it what selected the models.

    Loss and seed are columns where the trainings differ in them, and stand in the title where they don't.
    """
    rules = "; ".join(dict.fromkeys(training.head.settings["selection"] for training in trainings))
    caption = escape(f"Model selection: {rules}. {_AVERAGES}.")
    differs = [name for name in ("loss", "seed") if len({getattr(training, name) for training in trainings}) > 1]
    same = [f"{name} {getattr(trainings[0], name)}" for name in ("loss", "seed") if name not in differs]
    table = plain_table(", ".join(["test accuracy, %", *same]), caption)
    table.add_column("method", no_wrap=True)
    for name in (*differs, "worst\ngroup", "balanced", "average", "adjusted\naverage"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("which (n)", overflow="fold")
    for training in trainings:
        which = [str(getattr(training, name)) for name in differs]
        _add(table, [training.name, *which], training.test)
        if "stage1" in training.metrics:
            _add(table, ["  stage 1 alone", *which], training.metrics["stage1"]["test"])
    return table


def _add(table: Table, which: Sequence[str], test: Mapping[str, Any]) -> None:
    def percent(name: str) -> str:
        return "-" if test[name] is None else f"{100 * test[name]:.1f}"

    table.add_row(
        *which,
        *map(percent, ("worst_group", "balanced", "average", "adjusted_average")),
        escape(f"{test['worst_group_name']} ({test['worst_n']})"),
    )
