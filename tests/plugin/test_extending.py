"""The page on extending: its examples are written to files as it says, imported, and used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fairshards.families import COHORT_READERS, SOURCE_READERS
from fairshards.filters.registry import PICTURE_FILTERS, scorers_of
from fairshards.filters.scorers.base import own_scores
from fairshards.pipeline.recipe.base import filter_problems
from fairshards.transforms.sources.base import SourceItem
from tests.plugin.conftest import ALL

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
NAME = "my_package.brightness.Brightness"


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import sys

    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        file = tmp_path / block.splitlines()[0].removeprefix("# ")
        file.parent.mkdir(exist_ok=True)
        file.write_text(block)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "my_package"]:
        del sys.modules[name]


def test_the_filter_scores_and_decides() -> None:
    assert list(filter_problems({NAME: {"retain": 0.95}}, PICTURE_FILTERS)) == []
    assert "it is in grey levels, [0, 255]" in "".join(filter_problems({NAME: {"min": 300}}, PICTURE_FILTERS))
    pictures = [np.full((2, 2, 3), level, np.uint8) for level in (20, 200)]
    rows = dict(own_scores(scorers_of({NAME: {"min": 100}}), pictures, [{}, {}]))
    assert [row["value"] for row in rows.values()] == [20.0, 200.0]
    chosen = PICTURE_FILTERS[NAME](min=100)
    verdicts = [chosen.decide({"brightness": row["value"]}, {}, {}) for row in rows.values()]
    assert verdicts == [(False, "too_dark"), True]


def test_the_source_reader_reads(tmp_path: Path) -> None:
    pictures = np.zeros((3, 4, 5, 3), np.uint8)
    labels = {"split": ["train"] * 3, "class": ["a", "b", "a"], "bias": ["c", "c", "d"]}
    np.savez(tmp_path / "pictures.npz", pictures=pictures, **labels)
    reader = SOURCE_READERS["my_package.arrays.ArrayReader"](str(tmp_path / "pictures.npz"))
    listing = reader.listing()
    assert (listing.class_labels, listing.bias_labels) == ({"a", "b"}, {"c", "d"})
    items = list(reader.read(listing.units[0], []))
    assert all(isinstance(item, SourceItem) and item.data.startswith(b"\x89PNG") for item in items)
    assert [(item.split, item.class_label, item.bias_label) for item in items][2] == ("train", "a", "d")
    assert reader.settings() == {"reader": "ArrayReader", "class": "my_package.arrays.ArrayReader", "version": "1"}


def test_the_cohort_reader_reads() -> None:
    assert COHORT_READERS["my_package.cohorts.FirstPatients"](count=7).read(None).rows.num_rows == 7


def test_every_group_of_entry_points_stands_on_the_page() -> None:
    assert all(f"`fairshards.{family.name}`" in PAGE.read_text() for family in ALL)
