"""The study of purity: its statistics, its tables, and that the page says what the labels and the CSVs say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.csv_rows import read_rows
from benchmarks.purity.statistics import IN_OBJECT, PLAIN, windows
from benchmarks.purity.study import KINDS, labelled, labels_of
from benchmarks.purity.tables import Labelled, by_label, by_statistic, kept_at, lines, ranking, within_groups

PAGE = Path(__file__).parents[1] / "docs" / "purity.md"
RESULTS = PAGE.parent / "results"
BEDS = {"purity": "purity-labels", "purity-shipped": "purity-labels-shipped", "purity-eta0": "purity-labels-eta0"}


@pytest.mark.parametrize("name", BEDS)
def test_the_pages_tables_are_those_of_the_csv(name: str) -> None:
    page, rows = PAGE.read_text(), read_rows(RESULTS / f"{name}.csv")
    for table in (lines(rows), by_label(rows, KINDS), by_statistic(read_rows(RESULTS / f"{name}-statistics.csv"))):
        assert "\n".join(table) in page


@pytest.mark.parametrize(("name", "labels"), BEDS.items())
def test_every_label_is_kept_and_used(name: str, labels: str) -> None:
    """A third label stands where the first two differ on whether a picture is good, and nowhere else."""
    given = read_rows(RESULTS / f"{labels}.csv")
    for row in given:
        split = bool(row["second"]) and (row["first"] == "g") != (row["second"] == "g")
        assert bool(row["third"]) == split and {row["first"], row["second"], row["third"]} <= {*"gtdno", ""}
    found = {row["sample_id"]: row["label"] for row in read_rows(RESULTS / f"{name}.csv")}
    assert found == labels_of(RESULTS / f"{labels}.csv") and len(found) == len(given) >= 512


@pytest.mark.parametrize(("name", "goal"), [("purity-shipped", 0.02)])
def test_silhouettes_reach_the_goal_on_the_labels(name: str, goal: float) -> None:
    """At most 2% of what is kept is off support, and nine in ten of the good are kept; the variance is far from it."""
    rows = read_rows(RESULTS / f"{name}.csv")
    known, columns = labelled(rows), [column for column in rows[0] if ":" in column]
    shares = []
    for column in (columns[-1], columns[0]):
        kept = kept_at(np.array([float(row[column]) for row in rows]), known, 0.96)
        assert kept[~known.off].mean() >= 0.9
        shares.append(known.off[kept].mean())
    assert columns[-1].startswith("silhouette") and shares[0] <= goal < 2 * goal < shares[1]


def test_statistics_are_what_their_names_say() -> None:
    """A corner that moves in one picture, and everything a little in another."""
    x0 = torch.zeros(3, 4, 2, 8, 8)
    x0[1, ::2, :, :3, :3] = 2.0  # variance 1 in 9 of 64 places
    x0[2, ::2] = 1.0  # variance 1/4 everywhere
    assert PLAIN["mean"](x0).tolist() == pytest.approx([0, 9 / 64, 1 / 4])
    assert PLAIN["max of 3x3"](x0).tolist() == pytest.approx([0, 1, 1 / 4])
    assert PLAIN["top 5%"](x0).tolist() == pytest.approx([0, 1, 1 / 4])
    assert PLAIN["L1"](x0).tolist() == pytest.approx([0, 9 / 64, 1 / 2])
    assert PLAIN["L-infinity"](x0).tolist() == pytest.approx([0, 1, 1 / 2])
    assert PLAIN["path"](x0).tolist() == pytest.approx([0, 4 * 9 / 64, 1])
    mask = torch.zeros(3, 8, 8)
    mask[:, :3] = 1
    assert IN_OBJECT["mean in object"](x0, mask).tolist() == pytest.approx([0, 9 / 24, 1 / 4])
    assert IN_OBJECT["share in object"](x0, mask).tolist()[1:] == pytest.approx([1, 24 / 64])
    assert all(0 <= start < stop <= 20 for start, stop in windows(20)) and len(set(windows(20))) == len(windows(20))


def test_ranks_are_within_groups_and_rejects_of_the_judge_do_not_count() -> None:
    groups = np.array(["a", "a", "a", "b", "b", "b"])
    known = Labelled(
        groups,
        np.array([True, True, False, True, True, True]),
        np.array([0, 1, 0, 0, 0, 1], bool),
        np.array([1, 1, 1, 0, 0, 0], bool),
    )
    values = np.array([1.0, 2.0, 9.0, 100.0, 200.0, 300.0])
    assert within_groups(values, known).tolist() == pytest.approx([1 / 2, 1, 1, 1 / 3, 2 / 3, 1])
    assert kept_at(values, known, 0.5).tolist() == [True, False, False, True, True, False]
    (row,) = ranking({"perfect": values}, known)
    assert (row["choose_samples"], row["choose_auroc"], row["test_samples"], row["test_auroc"]) == (2, 1, 3, 1)
