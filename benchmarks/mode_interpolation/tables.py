"""The tables of docs/mode-interpolation.md, from the CSVs that the runs wrote.

python -m benchmarks.mode_interpolation.tables 1d [--steps 5000] [--results docs/results/mode-interpolation.csv]
python -m benchmarks.mode_interpolation.tables shapes
python -m benchmarks.mode_interpolation.tables generations
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.csv_rows import read_rows
from benchmarks.mode_interpolation.study import WINDOWS

RESULTS = Path("docs/results/mode-interpolation.csv")
SHAPES, COUNTS, GENERATIONS = (
    RESULTS.with_stem(f"{RESULTS.stem}-{name}") for name in ("shapes", "shapes-counted", "recursive")
)
Row = dict[str, str]


def by_seed(rows: Sequence[Row], sigmas: Sequence[int], window: int = 10) -> Iterator[str]:
    """Yield the lines of the table of seeds: hallucinations, AUROC and what is removed, for each limit."""
    yield (
        "| seed | "
        + " | ".join(f"> {limit} sigmas | AUROC | removed" for limit in sigmas)
        + f" | AUROC of x_t, {sigmas[0]} sigmas |"
    )
    yield "|---|" + "---:|" * (3 * len(sigmas) + 1)
    for seed in sorted({row["seed"] for row in rows}, key=int):
        cells = [cell for limit in sigmas for cell in _cells(_one(rows, seed, limit, "x0", window))]
        control = _one(rows, seed, sigmas[0], "x_t", window)
        yield f"| {seed} | {' | '.join(cells)} | {_number(control['auroc'])} |"


def by_window(rows: Sequence[Row], sigmas: int) -> Iterator[str]:
    """Yield the lines of the sweep of the window: means over the seeds."""
    yield "| k | AUROC of x0 | removed | AUROC of x_t |"
    yield "|---:|---:|---:|---:|"
    for window in WINDOWS:
        means = [
            _mean(rows, sigmas, metric, window, what)
            for metric, what in (("x0", "auroc"), ("x0", "removed"), ("x_t", "auroc"))
        ]
        yield f"| {window} | {means[0]:.3f} | {100 * means[1]:.1f}% | {means[2]:.3f} |"


def of_shapes(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of SimpleShapes' table: each window's AUROC and what is removed, by metric; means over seeds."""
    metrics = ("x0", "x0 highest", "x_t")
    yield "| steps before the end | AUROC of x0 | removed | of its highest place | removed | of x_t |"
    yield "|---|---:|---:|---:|---:|---:|"
    for window in dict.fromkeys(row["window"] for row in rows):
        cells = []
        for metric in metrics:
            mine = [row for row in rows if (row["metric"], row["window"]) == (metric, window) and row["auroc"]]
            cells.append(f"{statistics.mean(float(row['auroc']) for row in mine):.3f}")
            cells.append(f"{100 * statistics.mean(float(row['removed']) for row in mine):.1f}%")
        name = window.replace("-", " to ") if "-" in window else f"last {window}"
        yield f"| {name} | {' | '.join(cells[:-1])} |"


def of_counts(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of SimpleShapes' other table: what is told of pictures with equally many shapes."""
    yield "| shapes in the picture | off support | score | AUROC | removed |"
    yield "|---|---:|---|---|---|"
    for row in rows:
        if (row["shapes"] == "any" or row["score"] != "number of shapes") and row["score"] != "x0, last 25":
            count, auroc, removed = _cells(row)
            yield f"| {row['shapes']} | {count} | {row['score']} | {auroc} | {removed} |"


def of_generations(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the recursive trainings' table: means over seeds, and the seeds' range where they differ."""
    yield "| filter | generation | drawn off support | handed on off support | spread, sigmas | modes |"
    yield "|---|---:|---|---|---|---:|"
    for kind in dict.fromkeys(row["filter"] for row in rows):
        for number in sorted({int(row["generation"]) for row in rows}):
            mine = [row for row in rows if row["filter"] == kind and int(row["generation"]) == number]
            drawn, handed = ([100 * float(row[what]) for row in mine] for what in ("drawn_off", "off"))
            spread = [float(row["spread"]) for row in mine]
            yield (
                f"| {kind} | {number} | {_range(drawn, '.2f', '%')} | {_range(handed, '.2f', '%')} | "
                f"{_range(spread, '.2f')} | {min(int(row['modes']) for row in mine)} |"
            )


def _range(values: Sequence[float], form: str, unit: str = "") -> str:
    around = f" ({min(values):{form}} to {max(values):{form}})" if len(values) > 1 else ""
    return f"{statistics.mean(values):{form}}{unit}{around}"


def _one(rows: Sequence[Row], seed: str, sigmas: int, metric: str, window: int) -> Row:
    wanted = {"seed": seed, "sigmas": str(sigmas), "metric": metric, "window": str(window)}
    return next(row for row in rows if all(row[name] == value for name, value in wanted.items()))


def _cells(row: Row) -> tuple[str, str, str]:
    count = f"{row['positives']} ({100 * int(row['positives']) / int(row['samples']):.2f}%)"
    if not row["auroc"]:
        return count, "-", "-"
    auroc = f"{_number(row['auroc'])} [{_number(row['auroc_low'])}, {_number(row['auroc_high'])}]"
    return count, auroc, f"{_percent(row['removed'])} [{_percent(row['removed_low'])}, {_percent(row['removed_high'])}]"


def _mean(rows: Sequence[Row], sigmas: int, metric: str, window: int, what: str) -> float:
    return statistics.mean(
        float(row[what])
        for row in rows
        if (row["sigmas"], row["metric"], row["window"]) == (str(sigmas), metric, str(window)) and row[what]
    )


def _number(text: str) -> str:
    return f"{float(text):.3f}" if text else "-"


def _percent(text: str) -> str:
    return f"{100 * float(text):.1f}%"


def main() -> None:
    """Print both tables of one set, or those of the other experiments."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("set")
    options.add_argument("--steps", type=int, default=5000)
    options.add_argument("--results", type=Path, default=RESULTS)
    arguments = options.parse_args()
    if arguments.set in ("shapes", "generations"):
        if arguments.set == "generations":
            print(*of_generations(read_rows(GENERATIONS)), sep="\n")
        else:
            print(*of_shapes(read_rows(SHAPES)), "", *of_counts(read_rows(COUNTS)), sep="\n")
        return
    rows = [
        row
        for row in read_rows(arguments.results)
        if row["set"] == arguments.set and row["steps"] == str(arguments.steps)
    ]
    if not rows:
        options.error(f"{arguments.results} has no rows of {arguments.set} with {arguments.steps} steps")
    print("\n".join(by_seed(rows, (6, 8))), "\n".join(by_window(rows, 6)), sep="\n\n")


if __name__ == "__main__":
    main()
