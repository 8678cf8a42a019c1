"""The tables of docs/bt-gan.md, from the CSV that ``benchmarks/bt_gan.py`` wrote.

    python -m benchmarks.bt_gan_tables [natural|ablation|arms|speed]

Means are over splits and seeds. An interval resamples whole splits, seeds and all: rows of one split share its people.
Lambda is chosen for each split and seed by ``trainers.lambda_choice`` from columns on biased rows alone.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from benchmarks.bt_gan import PLANTED, RESULTS
from benchmarks.csv_rows import read_rows
from trainers.lambda_choice import Candidate, choose

Row = dict[str, str]
Cell = tuple[str, str]
"""Split and seed."""
NAMES = {
    "real": "real rows", "reweighed": "real rows, reweighed", "bt-gan": "Bt-GAN, λ = 0", "ctgan": "CTGAN",
    "tvae": "TVAE", "copula": "Gaussian copula", "no-weighting": "no weighted sampling",
    "no-rejection": "no rejection", "neither": "neither", "triple": "with Triple-GAN's pseudo-labels",
    "no-triple": "no pseudo-labels, fixed classifier",
}  # fmt: skip
LEARNERS = ("gb", "lr")


def number(row: Row, name: str) -> float:
    """Return a column of a row; NaN where it has none."""
    return float(row[name]) if row.get(name) else float("nan")


def natural(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the table of generators without a planted bias."""
    own = [row for row in rows if row["arm"] == "natural"]
    yield ("| trained on | AUROC, GB | gap to real | AUROC, LR | gap to real | discriminative | correlations | "
           "smallest sub-group | black, % | copies | memorisation | membership |")  # fmt: skip
    yield "|---|" + "---:|" * 11
    for variant in dict.fromkeys(row["variant"] for row in own):
        mine = [row for row in own if row["variant"] == variant]
        cells = [NAMES.get(variant, variant)]
        for learner in LEARNERS:
            cells.append(f"{mean(mine, f'auroc_{learner}'):.3f}")
            cells.append("" if variant == "real" else f"{gap_to_real(own, mine, f'auroc_{learner}'):+.3f}")
        for name, form in (("discriminative_score", ".3f"), ("correlation_difference", ".3f"),
                           ("smallest_subgroup_ratio", ".2f")):  # fmt: skip
            cells.append(shown(mean(mine, name), form))
        cells.append(f"{100 * mean(mine, 'black_share'):.1f}")
        cells += [shown(mean(mine, name), form) for name, form in (
            ("copies", ".0f"), ("memorisation", ".3f"), ("membership_auc", ".3f"))]  # fmt: skip
        yield f"| {' | '.join(cells)} |"


def gap_to_real(rows: Sequence[Row], mine: Sequence[Row], name: str) -> float:
    """Return the mean difference to real rows of the same split."""
    real = {row["split"]: number(row, name) for row in rows if row["variant"] == "real"}
    return fmean(number(row, name) - real[row["split"]] for row in mine)


def chosen(rows: Sequence[Row], kind: str, learner: str = "gb") -> Row:
    """Return the row of the lambda that biased rows alone choose, of one arm, split and seed."""
    mine = {float(row["variant"].partition("-")[2]): row for row in rows if row["variant"].startswith(f"{kind}-")}
    base = next(row for row in rows if row["variant"] == "bt-gan")
    candidates = [
        Candidate(lam, number(row, f"validation_auroc_{learner}"), number(row, f"train_information_{learner}"),
                  number(row, f"train_information_given_y_{learner}"))
        for lam, row in {0.0: base, **mine}.items()
    ]  # fmt: skip
    best = choose(candidates).lam
    return mine[best] if best else base


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
        return 100 * (1 - abs(self.gap(cells, self.after)) / self.gap(cells, self.before))

    def change(self, cells: Sequence[Cell]) -> float:
        """Return the mean change of AUROC on clean test rows."""
        area = f"auroc_{self.learner}"
        return fmean(number(self.after[cell], area) - number(self.before[cell], area) for cell in cells)


def paired(rows: Sequence[Row], kind: str, learner: str) -> Paired:
    """Return the pairs of an arm's rows."""
    before = {(row["split"], row["seed"]): row for row in rows if row["variant"] == "bt-gan"}
    after = {cell: chosen([row for row in rows if (row["split"], row["seed"]) == cell], kind) for cell in before}
    return Paired(before, after, learner)


def arms(rows: Sequence[Row], kind: str = "odds") -> Iterator[str]:
    """Yield the table of planted biases: gaps, what is closed, at which utility."""
    yield ("| arm | learner | biased real: gap | reweighed: gap | λ = 0: gap | chosen λ: gap | closed, % (95%) | "
           "AUROC at λ = 0 | change (95%) | λ chosen |")  # fmt: skip
    yield "|---|---|" + "---:|" * 8
    for arm, learner in itertools.product(PLANTED, LEARNERS):
        own = [row for row in rows if row["arm"] == arm]
        pairs = paired(own, kind, learner)
        if not pairs.before:
            continue
        cells = list(pairs.before)
        closed, moved = over_splits(cells, pairs.closed), over_splits(cells, pairs.change)
        gaps = [mean_of(own, name, f"tpr_gap_{learner}") for name in ("real", "reweighed")]
        gaps += [pairs.gap(cells, side) for side in (pairs.before, pairs.after)]
        lams = sorted({row["variant"].partition("odds-")[2] or "0" for row in pairs.after.values()}, key=float)
        shares = f"{closed[0]:.0f} [{closed[1]:.0f}, {closed[2]:.0f}]"
        area = fmean(number(row, f"auroc_{learner}") for row in pairs.before.values())
        yield (f"| {arm} | {learner.upper()} | {' | '.join(f'{gap:.3f}' for gap in gaps)} | {shares} | {area:.3f} | "
               f"{moved[0]:+.3f} [{moved[1]:+.3f}, {moved[2]:+.3f}] | {', '.join(lams)} |")  # fmt: skip


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


def speed(rows: Sequence[Row]) -> Iterator[str]:
    """Yield training and sampling speeds."""
    yield "| generator | seconds to fit | rows drawn a second |"
    yield "|---|---:|---:|"
    own = [row for row in rows if row["arm"] == "natural" and row.get("fit_seconds")]
    for variant in dict.fromkeys(row["variant"] for row in own):
        mine = [row for row in own if row["variant"] == variant]
        seconds, drawn = mean(mine, "fit_seconds"), mean(mine, "sample_rows_per_s")
        yield f"| {NAMES.get(variant, variant)} | {seconds:.0f} | {drawn:,.0f} |"


def mean(rows: Sequence[Row], name: str) -> float:
    """Return a column's mean; NaN where no row has it."""
    values = [number(row, name) for row in rows if row.get(name)]
    return fmean(values) if values else float("nan")


def mean_of(rows: Sequence[Row], variant: str, name: str) -> float:
    """Return a column's mean over a variant's rows."""
    return mean([row for row in rows if row["variant"] == variant], name)


def shown(value: float, form: str) -> str:
    """Return a number, or nothing for NaN."""
    return "" if value != value else format(value, form)


TABLES: dict[str, Callable[[Sequence[Row]], Iterator[str]]] = {"natural": natural, "arms": arms, "speed": speed}

if __name__ == "__main__":
    for title in sys.argv[1:] or TABLES:
        print(f"\n{title}\n\n" + "\n".join(TABLES[title](read_rows(RESULTS))))
