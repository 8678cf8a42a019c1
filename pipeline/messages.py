"""What a person reads on the terminal: errors and the result table."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.recipe import Recipe

MOST_RANKED = 6
_AVERAGES = (
    "balanced: the mean over groups; average: plain over the test split; "
    "adjusted average: groups weighted by their share of the real training set"
)


@contextlib.contextmanager
def expected_errors(debug: bool) -> Iterator[None]:
    """Turn what can go wrong into one message on standard error and exit code 1; --debug shows tracebacks."""
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted; the same command goes on where it stopped", soft_wrap=True)
        raise typer.Exit(130) from None
    except Exception as error:
        if debug:
            raise
        Console(stderr=True).print(f"[red]error:[/] {escape(_message(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None


def _message(error: BaseException) -> str:
    """Return the error's own sentence; of an error inside a Beam step, that of its root."""
    text = _root_line(str(error).strip()) or type(error).__name__
    if "No space left on device" in text:
        text += "; free some space and run the same command again, what is committed is kept"
    ours = type(error).__module__.partition(".")[0] in (
        "pipeline",
        "catalogs",
        "transforms",
        "generators",
        "filters",
        "trainers",
        "fairshards",
        "pocket",
    )
    if ours or isinstance(error, OSError):
        return text
    return f"{type(error).__name__}: {text}\n(use --debug for the traceback)"


def _root_line(text: str) -> str:
    """Return the last line of a worker's traceback, which Beam hands over as text; other texts as they are."""
    if "Traceback (most recent call last)" not in text:
        return text
    lines = [
        line.strip()
        for line in text.splitlines()
        if re.match(r"^[\w.]+(Error|Exception|Busy|Image)\b.*", line)
    ]
    return re.sub(r"\s*\[while running .*$", "", lines[-1]) if lines else text


def print_result(recipe: Recipe, result: Any, console: Console) -> None:
    """Print what a run made and, after training, the table of accuracies."""
    root = escape(str(result.folder.root))
    if result.discovered:
        console.print(ranked_table(recipe, result.discovered.ranked))
    if result.curated:
        selection = result.curated.selection
        console.print(
            f"curated {len(selection.chosen)} samples: {selection.balanced} a group in the balanced split; "
            f"{result.generated} generated in this run; curation {result.curated.curation_id}",
            highlight=False,
            soft_wrap=True,
        )
    if result.trainings:
        console.print(accuracy_table(result.trainings))
    console.print(f"run folder: {root}", highlight=False, soft_wrap=True)
    if result.report:
        console.print(f"report:     {escape(str(result.report))}", highlight=False, soft_wrap=True)
    question = "spurious" if result.discovered and not result.curated else "balance"
    console.print(
        f"{result.seconds:.0f} s; ask the catalog: fairshards query {root} {question}",
        highlight=False,
        soft_wrap=True,
    )


def ranked_table(recipe: Recipe, ranked: Sequence[Any]) -> Table:
    """Return the ranked phrases of every class (at most six), with the hit rate's interval and the lift."""
    table = Table(title="phrases by how often editing them out changes the classifier's answer", box=box.SIMPLE_HEAD,
                  title_justify="left", show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))  # fmt: skip
    for name in ("class", "phrase"):
        table.add_column(name, overflow="fold")
    for name in ("hits", "rate %", "95%", "lift", "bits", "images"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for one in ranked:
        if one.rank <= MOST_RANKED:
            table.add_row(
                escape(recipe.classes[one.y].name), escape(one.phrase), f"{one.hits}/{one.successes}",
                f"{100 * one.rate:.0f}" if one.successes else "-",
                f"{100 * one.low:.0f}-{100 * one.high:.0f}" if one.successes else "-", f"{one.lift.value:.2f}",
                f"{one.bits:.3f}", str(one.occurrences), "[bold red]spurious[/]" if one.spurious else "",
                end_section=one.rank == MOST_RANKED,
            )  # fmt: skip
    return table


def accuracy_table(trainings: Sequence[Any]) -> Table:
    """Return the table of test accuracies, in percent, one row a training; below it what selected the models.

    Loss and seed are columns where the trainings differ in them, and stand in the title where they don't.
    """
    rules = "; ".join(dict.fromkeys(training.head.settings["selection"] for training in trainings))
    caption = escape(f"Model selection: {rules}. {_AVERAGES}.")
    differs = [name for name in ("loss", "seed") if len({getattr(one, name) for one in trainings}) > 1]
    same = [f"{name} {getattr(trainings[0], name)}" for name in ("loss", "seed") if name not in differs]
    title = ", ".join(["test accuracy, %", *same])
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD,
                  show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))  # fmt: skip
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
