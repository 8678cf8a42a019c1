"""What a person reads on the terminal: errors and the result table."""

from __future__ import annotations

import builtins
import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run import interrupts

MOST_RANKED = 6
OURS = ("pipeline", "catalogs", "transforms", "generators", "filters", "trainers", "fairshards", "pocket")
_TRACEBACK = "Traceback (most recent call last):\n"
_STEP = re.compile(r"\s*\[while running '.*?'\]")
_NAMED = re.compile(r"((?:[A-Za-z_]\w*\.)*[A-Z]\w*)(?:: (.*)|(?<=Error)$|(?<=Exception)$)", re.DOTALL)
_AVERAGES = (
    "balanced: the mean over groups; average: plain over the test split; "
    "adjusted average: groups weighted by their share of the real training set"
)


@contextlib.contextmanager
def expected_errors(debug: bool) -> Iterator[None]:
    """Turn what can go wrong into one message on standard error and exit code 1; --debug shows tracebacks.

    After Ctrl-C the exit code is 130, after SIGTERM 143, whatever the interruption became on its way.
    """
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except (Exception, KeyboardInterrupt) as error:
        if interrupts.asked_by(error):
            Console(stderr=True).print(interrupts.SENTENCE, soft_wrap=True)
            raise typer.Exit(interrupts.exit_code()) from None
        if debug:
            raise
        Console(stderr=True).print(f"[red]error:[/] {escape(_message(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None


def _message(error: BaseException) -> str:
    """Return the error's own sentence; of an error inside a Beam step, that of its root."""
    kind, text = _root(error)
    name = kind.rpartition(".")[2]
    if "No space left on device" in text:
        text += "; free some space and run the same command again, what is committed is kept"
    if kind.partition(".")[0] in OURS or _is_os_error(kind):
        return text or name
    return f"{name}: {text}".removesuffix(": ") + "\n(use --debug for the traceback)"


def _root(error: BaseException) -> tuple[str, str]:
    """Return the qualified name and the text of what was raised at first.

    Beam raises an error of a step again, with the step's name behind its text, or as a RuntimeError whose text is
    the error's name and text; of a worker process it hands over the whole traceback as text.
    """
    kind, text = f"{type(error).__module__}.{type(error).__qualname__}", str(error).strip()
    if _TRACEBACK in text:
        lines = text[text.rindex(_TRACEBACK) :].splitlines()[1:]
        start = next((number for number, line in enumerate(lines) if line and not line[0].isspace()), None)
        if start is not None:
            kind, _, text = "\n".join(lines[start:]).strip().partition(": ")
    elif "[while running " not in text:
        return kind, text
    text = _STEP.sub("", text).strip()
    named = _NAMED.match(text)
    return (named[1], (named[2] or "").strip()) if kind.endswith("RuntimeError") and named else (kind, text)


def _is_os_error(kind: str) -> bool:
    found = getattr(builtins, kind.removeprefix("builtins."), None)
    return isinstance(found, type) and issubclass(found, OSError)


def print_result(recipe: Recipe, result: Any, console: Console) -> None:
    """Print what a run made and, after training, the table of accuracies."""
    root, found = escape(str(result.folder.root)), result.prepared and result.prepared.discovered
    if found:
        console.print(ranked_table(recipe, found.ranked))
    if result.curated:
        selection = result.curated.selection
        console.print(
            f"curated {len(selection.chosen)} samples: {selection.balanced} a group in the balanced split; "
            f"{result.generated} generated in this run; curation {result.curated.curation_id}",
            highlight=False,
            soft_wrap=True,
        )
    if result.judged:
        console.print(accuracy_table(result.judged))
    console.print(f"run folder: {root}", highlight=False, soft_wrap=True)
    if result.report:
        console.print(f"report:     {escape(str(result.report))}", highlight=False, soft_wrap=True)
    question = "spurious" if found and not result.curated else "balance"
    console.print(
        f"{result.seconds:.0f} s; ask the catalog: fairshards query {root} {question}", highlight=False, soft_wrap=True
    )


def ranked_table(recipe: Recipe, ranked: Sequence[Any]) -> Table:
    """Return the ranked phrases of every class (at most six), with the hit rate's interval and the lift."""
    table = Table(
        title="phrases by how often editing them out changes the classifier's answer",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in ("class", "phrase"):
        table.add_column(name, overflow="fold")
    for name in ("hits", "rate %", "95%", "lift", "bits", "images"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for one in ranked:
        if one.rank <= MOST_RANKED:
            table.add_row(
                escape(recipe.classes[one.y].name),
                escape(one.phrase),
                f"{one.hits}/{one.successes}",
                f"{100 * one.rate:.0f}" if one.successes else "-",
                f"{100 * one.low:.0f}-{100 * one.high:.0f}" if one.successes else "-",
                f"{one.lift.value:.2f}",
                f"{one.bits:.3f}",
                str(one.occurrences),
                "[bold red]spurious[/]" if one.spurious else "",
                end_section=one.rank == MOST_RANKED,
            )
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
    table = Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
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
