"""What the labels say: how well each statistic ranks pictures off support, and what filters make of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.mode_interpolation.hallucination import separation
from fairshards.trainers.evaluation.intervals import auroc, wilson

Bools = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]
RETAINED = (0.96, 0.9, 0.7, 0.5)
FEWEST = 10
"""Pictures of a kind that its AUROC needs."""


@dataclass(frozen=True)
class Labelled:
    """Labelled samples (n): their groups, whether CLIP's judge keeps them, whether they are off support, and whether
    they belong to the half that chooses.
    """

    groups: npt.NDArray[np.str_]
    judged: Bools
    off: Bools
    choosing: Bools


def within_groups(values: Values, labelled: Labelled) -> Values:
    """Return each value's rank among the samples of its group that the judge keeps, in [0, 1]."""
    ranks = np.zeros(len(values))
    for group in np.unique(labelled.groups):
        mine = labelled.groups == group
        compared = np.sort(values[mine & labelled.judged])
        ranks[mine] = np.searchsorted(compared, values[mine], side="right") / len(compared)
    return ranks


def ranking(statistics: Mapping[str, Values], labelled: Labelled) -> Iterator[dict[str, Any]]:
    """Yield a row for each statistic: AUROC and what is removed at 96% of the good, in each half, of judged samples."""
    for name, values in statistics.items():
        ranks = within_groups(values, labelled)
        row: dict[str, Any] = {"statistic": name}
        for half, which in (("choose", labelled.choosing), ("test", ~labelled.choosing)):
            mine = which & labelled.judged
            found = separation(ranks[mine], labelled.off[mine])
            row |= {f"{half}_{key}": value for key, value in vars(found).items()}
        yield row


def kept_at(values: Values, labelled: Labelled, retain: float) -> Bools:
    """Tell what a filter keeps: judged, and at most the ``retain`` quantile of the judged of its group."""
    kept = labelled.judged.copy()
    for group in np.unique(labelled.groups):
        mine = labelled.judged & (labelled.groups == group)
        kept[mine] = values[mine] <= np.quantile(values[mine], retain)
    return kept


def by_statistic(ranks: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Yield the page's table of statistics: the window that the choosing half likes best, and both halves' AUROC."""
    best: dict[str, Mapping[str, str]] = {}
    for row in ranks:
        family = row["statistic"].partition(", steps")[0]
        if family not in best or float(row["choose_auroc"]) > float(best[family]["choose_auroc"]):
            best[family] = row
    yield "| statistic | best window | AUROC, choosing half | AUROC, testing half | removed at 96%, testing half |"
    yield "|---|---|---:|---|---|"
    for family, row in sorted(best.items(), key=lambda item: -float(item[1]["choose_auroc"])):
        area, removed = (_interval(row, f"test_{what}", factor) for what, factor in (("auroc", 1), ("removed", 100)))
        window = row["statistic"].partition(", steps ")[2] or "-"
        yield f"| {family} | {window} | {float(row['choose_auroc']):.3f} | {area} | {removed} |"


def by_label(rows: Sequence[Mapping[str, str]], labels: Mapping[str, str]) -> Iterator[str]:
    """Yield the page's table of kinds: AUROC of each of them against the good, in ranks within the group."""
    kinds = np.array([row["label"] for row in rows])
    judged, groups = np.array([row["judged"] == "1" for row in rows]), np.array([row["group"] for row in rows])
    labelled = Labelled(groups, judged, kinds != "g", np.zeros(len(rows), bool))
    wanted = {letter: name for letter, name in labels.items() if (judged & (kinds == letter)).sum() >= FEWEST}
    counts = [f"{name} ({(judged & (kinds == letter)).sum()})" for letter, name in wanted.items()]
    yield f"| statistic | {' | '.join(counts)} |"
    yield "|---|" + "---|" * len(wanted)
    for name in [name for name in rows[0] if ":" in name]:
        ranks = within_groups(np.array([float(row[name]) for row in rows]), labelled)
        cells = []
        for letter in wanted:
            areas = auroc(ranks[judged & (kinds == letter)].tolist(), ranks[judged & (kinds == "g")].tolist())
            cells.append("{:.2f} [{:.2f}, {:.2f}]".format(*areas))
        yield f"| {name} | {' | '.join(cells)} |"


def _interval(row: Mapping[str, str], name: str, factor: int) -> str:
    form = ".3f" if factor == 1 else ".1f"
    value, low, high = (factor * float(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return f"{value:{form}}{'' if factor == 1 else '%'} [{low:{form}}, {high:{form}}]"


def lines(rows: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Yield the page's table of filters: what each keeps of the good, and how pure that is."""
    off, judged = np.array([row["label"] != "g" for row in rows]), np.array([row["judged"] == "1" for row in rows])
    oracle = np.array([row["oracle"] == "1" for row in rows])
    labelled = Labelled(np.array([row["group"] for row in rows]), judged, off, np.zeros(len(rows), bool))
    names = [name for name in rows[0] if ":" in name]
    values = {name: np.array([float(row[name]) for row in rows]) for name in names}
    yield "| kept by | kept | of the good | off support | oracle's purity |"
    yield "|---|---:|---:|---|---|"
    yield _line("no filter", np.ones(len(rows), bool), off, oracle)
    yield _line("the judge", judged, off, oracle)
    for name, filtered in ((names[0], "variance"), (names[-1], "silhouette")):
        for retain in RETAINED:
            kept = kept_at(values[name], labelled, retain)
            yield _line(f"the judge and `{filtered}`, retain {retain}", kept, off, oracle)


def _line(name: str, kept: Bools, off: Bools, oracle: Bools) -> str:
    shares = [(int((kept & which).sum()), int(kept.sum())) for which in (off, oracle)]
    cells = [
        f"{100 * part / whole:.1f}% [{100 * low:.1f}, {100 * high:.1f}]"
        for part, whole in shares
        for low, high in [wilson(part, whole)]
    ]
    return f"| {name} | {int(kept.sum())} | {(kept & ~off).sum() / (~off).sum():.1%} | {cells[0]} | {cells[1]} |"
