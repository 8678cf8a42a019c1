"""The tables of docs/records.md, from the CSV that ``benchmarks/bt_gan/study.py`` wrote.

    python -m benchmarks.bt_gan.tables [natural|ablation|arms|lambdas|proxied|others|tuning]

Means are over splits and seeds. An interval resamples whole splits, seeds and all: rows of one split share its people.
Lambda is chosen for each split by ``trainers/tables/lambda_choice.py``, from means over seeds on biased rows alone.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from benchmarks.bt_gan.study import BT_GAN, RESULTS, TUNING
from benchmarks.csv_rows import read_rows
from fairshards.trainers.tables.lambda_choice import Candidate, choose
from fairshards.trainers.tables.settings import BtGanSettings

REAL = ("real", "reweighed")
BIASED, OTHERS = ("labels", "proxy"), ("adult", "compas")
CONSTRAINT = "parity"
Row = dict[str, str]
Cell = tuple[str, str]
"""Split and seed."""
NAMES = {
    "real": "real rows",
    "reweighed": "real rows, reweighed",
    "bt-gan": "Bt-GAN",
    "tvae": "TVAE",
    "ctgan": "CTGAN",
    "copula": "Gaussian copula",
}
PARTS = {
    "bt-gan": "all",
    "no-weighting": "without weighted sampling",
    "no-rejection": "without rejection",
    "neither": "without either",
    "no-triple": "without Triple-GAN's pseudo-labels, classifier fixed",
    "no-distance-ratio": "without the filter `distance_ratio`",
}
LEARNERS = ("gb", "lr")


def number(row: Row, name: str) -> float:
    """Return a column of a row; NaN where it has none."""
    return float(row[name]) if row.get(name) else float("nan")


def natural(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the table of generators without a planted bias."""
    yield from _worth([row for row in rows if row["arm"] == "natural"], NAMES)


def ablation(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the table of what each part earns, on split 0."""
    yield from _worth(
        [row for row in rows if row["arm"] == "natural" and row["split"] == "0"], {"real": NAMES["real"], **PARTS}
    )


def _worth(own: Sequence[Row], names: Mapping[str, str]) -> Iterator[str]:
    yield (
        "| trained on | AUROC, GB | gap to real | AUROC, LR | gap to real | discriminative | correlations | "
        "smallest sub-group | black, % | copies | memorisation | membership | n |"
    )
    yield "|---|" + "---:|" * 12
    for variant, name in names.items():
        mine = [row for row in own if row["variant"] == variant]
        if not mine:
            continue
        cells = [name]
        for learner in LEARNERS:
            cells.append(f"{mean(mine, f'auroc_{learner}'):.3f}")
            cells.append("" if variant == "real" else f"{gap_to_real(own, mine, f'auroc_{learner}'):+.3f}")
        cells += [
            shown(mean(mine, name) if variant not in REAL else math.nan, form)
            for name, form in (
                ("discriminative_score", ".3f"),
                ("correlation_difference", ".3f"),
                ("smallest_subgroup_ratio", ".2f"),
            )
        ]
        cells.append(f"{100 * mean(mine, 'group_share'):.1f}")
        cells += [
            shown(mean(mine, name), form)
            for name, form in (("copies", ".0f"), ("memorisation", ".3f"), ("membership_auc", ".3f"))
        ]
        yield f"| {' | '.join([*cells, str(len(mine))])} |"


def gap_to_real(rows: Sequence[Row], mine: Sequence[Row], name: str) -> float:
    """Return the mean difference to real rows of the same split."""
    real = {row["split"]: number(row, name) for row in rows if row["variant"] == "real"}
    return fmean(number(row, name) - real[row["split"]] for row in mine)


def lambda_of(row: Row) -> float | None:
    """Return the lambda of a row's variant, or None where it is no Bt-GAN of a grid of lambdas."""
    if row["variant"] == "bt-gan":
        return 0.0
    kind, _, lam = row["variant"].partition("-")
    return float(lam) if kind == CONSTRAINT else None


def chosen(rows: Sequence[Row], learner: str) -> float:
    """Return the lambda that biased rows alone choose, of one arm and split.

    What the choice looks at is averaged over seeds, since a single training's AUROC moves by a hundredth; a lambda that
    some seed lacks isn't asked.
    """
    seeds = {row["seed"] for row in rows if lambda_of(row) == 0}
    grid: dict[float, list[Row]] = {}
    for row in rows:
        if (lam := lambda_of(row)) is not None:
            grid.setdefault(lam, []).append(row)
    candidates = [
        Candidate(
            lam,
            mean(mine, f"validation_auroc_within_{learner}"),
            mean(mine, f"train_information_{learner}"),
            mean(mine, f"train_information_given_y_{learner}"),
        )
        for lam, mine in grid.items()
        if {row["seed"] for row in mine} >= seeds
    ]
    return choose(candidates).lam


@dataclass(frozen=True)
class Paired:
    """Lambda 0 and the chosen lambda of every (split, seed) of an arm, for one learner."""

    before: Mapping[Cell, Row]
    after: Mapping[Cell, Row]
    learner: str

    def gap(self, cells: Sequence[Cell], rows: Mapping[Cell, Row]) -> float:
        """Return the mean signed TPR gap."""
        return fmean(number(rows[cell], f"tpr_gap_{self.learner}") for cell in cells)

    def closed(self, cells: Sequence[Cell]) -> float:
        """Return the share of the gap that is closed, in percent; what turns it round counts as a gap again."""
        return 100 * (1 - abs(self.gap(cells, self.after)) / abs(self.gap(cells, self.before)))

    def change(self, cells: Sequence[Cell]) -> float:
        """Return the mean change of AUROC on clean test rows."""
        area = f"auroc_{self.learner}"
        return fmean(number(self.after[cell], area) - number(self.before[cell], area) for cell in cells)


def paired(rows: Sequence[Row], learner: str) -> Paired:
    """Return the pairs of an arm's rows."""
    found = {(lam, row["split"], row["seed"]): row for row in rows if (lam := lambda_of(row)) is not None}
    cells = [(split, seed) for lam, split, seed in found if lam == 0]
    lams = {split: chosen([row for row in rows if row["split"] == split], learner) for split, _ in cells}
    before = {cell: found[0.0, *cell] for cell in cells}
    after = {cell: found[lams[cell[0]], *cell] for cell in cells}
    return Paired(before, after, learner)


def arms(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the table of biases: gaps, what is closed, at which utility."""
    yield (
        "| arm | learner | real: gap | reweighed: gap | λ = 0: gap | chosen λ: gap | closed, % (95%) | "
        "AUROC at λ = 0 | change (95%) | λ of each split |"
    )
    yield "|---|---|" + "---:|" * 8
    for arm, learner in itertools.product(BIASED, LEARNERS):
        own = [row for row in rows if row["arm"] == arm]
        pairs = paired(own, learner)
        if not pairs.before:
            continue
        cells = list(pairs.before)
        closed, moved = over_splits(cells, pairs.closed), over_splits(cells, pairs.change)
        gaps = [mean_of(own, name, f"tpr_gap_{learner}") for name in REAL]
        gaps += [pairs.gap(cells, side) for side in (pairs.before, pairs.after)]
        picked = {split: lambda_of(row) for (split, _), row in sorted(pairs.after.items())}
        lams = ", ".join(f"{lam:g}" for lam in picked.values())
        shares = f"{closed[0]:.0f} [{closed[1]:.0f}, {closed[2]:.0f}]"
        area = fmean(number(row, f"auroc_{learner}") for row in pairs.before.values())
        yield (
            f"| {arm} | {learner.upper()} | {' | '.join(f'{gap:.3f}' for gap in gaps)} | {shares} | {area:.3f} | "
            f"{moved[0]:+.3f} [{moved[1]:+.3f}, {moved[2]:+.3f}] | {lams} |"
        )


def lambdas(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what each lambda does, and what the choice saw of it."""
    yield (
        "| arm | λ | TPR gap, GB | LR | clean AUROC, GB | LR | biased AUROC, GB | LR | "
        "the same within groups, GB | LR | I(Ŷ; S), GB | LR | n |"
    )
    yield "|---|---|" + "---:|" * 11
    for arm in BIASED:
        grid = {row["variant"]: lam for row in rows if row["arm"] == arm and (lam := lambda_of(row)) is not None}
        for variant in sorted(grid, key=grid.__getitem__):
            mine = [row for row in rows if (row["arm"], row["variant"]) == (arm, variant)]
            cells = by_learner(
                mine, "tpr_gap", "auroc", "validation_auroc", "validation_auroc_within", "train_information"
            )
            yield f"| {arm} | {grid[variant]:g} | {' | '.join(cells)} | {len(mine)} |"


def over_splits(
    cells: Sequence[Cell], measure: Callable[[Sequence[Cell]], float], draws: int = 2000
) -> tuple[float, float, float]:
    """Return a measure over all (split, seed), and its 95% interval when whole splits are resampled."""
    splits = sorted({split for split, _ in cells})
    generator = np.random.default_rng(0)
    found = []
    for _ in range(draws):
        picked = generator.choice(splits, len(splits))
        found.append(measure([cell for split in picked for cell in cells if cell[0] == split]))
    low, high = np.quantile(found, [0.025, 0.975])
    return measure(cells), float(low), float(high)


def others(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the table of cohorts with a bias of their own."""
    yield "| cohort | trained on | AUROC, GB | LR | positives' gap, GB | LR | TPR gap, GB | LR | FPR gap, GB | LR | n |"
    yield "|---|---|" + "---:|" * 9
    for arm in OTHERS:
        own = [row for row in rows if row["arm"] == arm]
        for variant, name in {**NAMES, "bt-gan": "Bt-GAN, λ = 0", "parity-10": "Bt-GAN, parity, λ = 10"}.items():
            mine = [row for row in own if row["variant"] == variant]
            cells = by_learner(mine, "auroc", "parity_gap", "tpr_gap", "fpr_gap")
            if mine:
                yield f"| {arm} | {name} | {' | '.join(cells)} | {len(mine)} |"


def proxied(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what hiding proxies from the constraint's classifier does, over the splits' first seed of the proxy arm."""
    yield "| constraint | TPR gap, GB | LR | clean AUROC, GB | LR | I(Ŷ; S), GB | LR | n |"
    yield "|---|" + "---:|" * 7
    for variant, name in {
        "bt-gan": "none",
        "seen-parity-10": "λ = 10, the classifier sees the proxy",
        "parity-10": "λ = 10, it doesn't",
    }.items():
        mine = [row for row in rows if (row["arm"], row["variant"], row["seed"]) == ("proxy", variant, "0")]
        cells = by_learner(mine, "tpr_gap", "auroc", "train_information")
        yield f"| {name} | {' | '.join(cells)} | {len(mine)} |"


def tuning(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what settings were chosen by, of the tuning CSV: variants that both splits' first seed has."""
    yield "| α | dropout | steps | AUROC, GB | AUROC, LR | discriminative | correlations | memorisation | membership |"
    yield "|---:|---:|---:|" + "---:|" * 6
    for variant, changed in BT_GAN.items():
        mine = [row for row in rows if row["variant"] == variant and row["seed"] == "0"]
        if {row["split"] for row in mine} != {"0", "1"}:
            continue
        settings = BtGanSettings("race", **changed)
        cells = [f"{settings.alpha:g}", f"{settings.dropout:g}", f"{settings.steps:,} + {settings.stage2_steps:,}"]
        cells += [
            f"{mean(mine, name):.3f}"
            for name in (
                "auroc_gb",
                "auroc_lr",
                "discriminative_score",
                "correlation_difference",
                "memorisation",
                "membership_auc",
            )
        ]
        yield f"| {' | '.join(cells)} |"


def mean(rows: Sequence[Row], name: str) -> float:
    """Return a column's mean; NaN where no row has it."""
    values = [number(row, name) for row in rows if row.get(name)]
    return fmean(values) if values else float("nan")


def by_learner(rows: Sequence[Row], *names: str) -> list[str]:
    """Return the means of columns, both learners' of each; informations to a decimal more."""
    return [
        f"{mean(rows, f'{name}_{learner}'):{'.4f' if 'information' in name else '.3f'}}"
        for name in names
        for learner in LEARNERS
    ]


def mean_of(rows: Sequence[Row], variant: str, name: str) -> float:
    """Return a column's mean over a variant's rows."""
    return mean([row for row in rows if row["variant"] == variant], name)


def shown(value: float, form: str) -> str:
    """Return a number, or nothing for NaN."""
    return "" if value != value else format(value, form)


TABLES: dict[str, Callable[[Sequence[Row]], Iterator[str]]] = {
    "natural": natural,
    "ablation": ablation,
    "arms": arms,
    "lambdas": lambdas,
    "proxied": proxied,
    "others": others,
    "tuning": tuning,
}


def table(title: str) -> str:
    """Return a table of docs/records.md, from the CSV in docs/results."""
    return "\n".join(TABLES[title](read_rows(TUNING if title == "tuning" else RESULTS)))


if __name__ == "__main__":
    for title in sys.argv[1:] or TABLES:
        print(f"\n{title}\n\n{table(title)}")
