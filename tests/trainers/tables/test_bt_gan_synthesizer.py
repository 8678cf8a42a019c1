"""Bt-GAN over any table, and a schema from the rows themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairshards.catalogs.cohorts.schema import CohortError
from fairshards.catalogs.cohorts.tables.inferred import infer_schema, read_table
from fairshards.catalogs.cohorts.tables.settings import TableSettings
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.tables.synthesizer import BtGanSynthesizer

QUICK = {
    "steps": 40,
    "stage2_steps": 10,
    "window": 20,
    "snapshot": 5,
    "hidden": 16,
    "depth": 1,
    "batch": 64,
    "classifier_steps": 10,
}


def table(rows: int = 300) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "dose": np.round(draw.normal(5, 2, rows), 2),
            "visits": draw.integers(0, 9, rows).astype(float),
            "ward": draw.choice(["north", "south"], rows),
            "site": draw.integers(1, 4, rows),
            "sex": draw.choice(["f", "m"], rows),
            "died": draw.integers(0, 2, rows),
        }
    ).assign(visits=lambda found: found["visits"].mask(draw.random(rows) < 0.1))


def test_kinds_and_precision_are_those_of_the_rows() -> None:
    schema = infer_schema(table(), "died", ["sex"], ["site"])
    kinds = {column.name: (column.kind, column.decimals, column.categories) for column in schema.columns}
    assert kinds == {
        "dose": ("numeric", 2, ()),
        "visits": ("integer", 0, ()),
        "ward": ("category", 0, ("north", "south")),
        "site": ("category", 0, ("1", "2", "3")),
        "sex": ("category", 0, ("f", "m")),
        "died": ("category", 0, ("0", "1")),
    }


def test_fit_sample_save_and_load(tmp_path: Path) -> None:
    model = BtGanSynthesizer("died", "sex", **QUICK).fit(table(), ["site"])
    rows = model.sample(101, seed=3)
    assert list(rows.columns) == list(table().columns) and len(rows) == 101
    assert set(rows["site"].unique()) <= {1, 2, 3} and rows.dtypes.equals(table().dtypes)
    model.save(tmp_path / "model.safetensors")
    again = BtGanSynthesizer.load(tmp_path / "model.safetensors")
    pd.testing.assert_frame_equal(again.sample(101, seed=3), rows)


def test_the_table_s_decimal_comma_is_every_column_s() -> None:
    """1,100 is a thousand and a hundred, but for a table whose other numbers have a comma before decimals."""
    rows = table().assign(
        dose=lambda found: found["dose"].map(lambda one: f"{one:.2f}".replace(".", ",")),
        lab=[f"{number % 9 + 1},{number + 100}" for number in range(300)],
    )
    found = BtGanSynthesizer("died", "sex", **QUICK).fit(rows).sample(50, seed=1)
    assert found["lab"].astype(float).between(1, 10).all()


def test_the_event_is_the_one_that_was_named_and_stays_it(tmp_path: Path) -> None:
    rows = table().assign(died=np.where(table()["died"] == 1, "left", "stayed"))
    for event, others in (("stayed", "left"), ("left", "stayed")):
        model = BtGanSynthesizer("died", "sex", event=event, **QUICK).fit(rows)
        assert model.model is not None and model.model.encoding.schema["died"].categories == (others, event)
        model.save(tmp_path / "model.safetensors")
        assert BtGanSynthesizer.load(tmp_path / "model.safetensors").event == event
    with pytest.raises(CohortError, match="event"):
        BtGanSynthesizer("died", "sex", event="gone", **QUICK).fit(rows)


def test_an_untrained_one_says_so() -> None:
    with pytest.raises(TrainerError, match="call fit first"):
        BtGanSynthesizer("died", "sex").sample(3)


@pytest.mark.parametrize("columns", [["dose"], ["dose", "visits"], ["ward"], ["dose", "ward"]])
def test_any_kind_of_columns_alone_is_learned(columns: list[str]) -> None:
    """Numbers that are never missing have no one-hot block at all, categories no scores."""
    rows = table()[[*columns, "sex", "died"]].dropna()
    if columns == ["dose", "ward"]:
        rows = rows.assign(always=7.0, never=np.nan)
    found = BtGanSynthesizer("died", "sex", **QUICK).fit(rows).sample(50, seed=1)
    assert len(found) == 50 and found[columns].notna().all().all()
    assert set(rows.columns) >= set(found.columns) >= {*columns, "sex", "died"}


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_a_file_is_read_with_its_nulls(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    table().to_csv(path, index=False) if path.suffix == ".csv" else table().to_parquet(path)
    cohort = read_table(path, TableSettings("died", ("sex",), ("site",)))
    assert cohort.rows["visits"].null_count == table()["visits"].isna().sum()
    assert cohort.schema["died"].categories == ("0", "1") and cohort.rows.num_rows == 300


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows.drop(columns="sex"), "has no column 'sex' among its 5 columns"),
        (lambda rows: rows.assign(name=[f"ZZPLANTED{i}" for i in range(len(rows))]), "300 values in 300 rows"),
        (lambda rows: rows.assign(died=1), "tells nothing"),
        (lambda rows: rows.head(0), "no rows"),
    ],
)
def test_tables_that_cannot_be_used_are_refused_without_their_values(
    tmp_path: Path, change: object, words: str
) -> None:
    path = tmp_path / "table.parquet"
    change(table()).to_parquet(path)  # type: ignore[operator]
    with pytest.raises(CohortError, match=words) as found:
        read_table(path, TableSettings("died", ("sex",)))
    assert "ZZPLANTED" not in str(found.value)


def test_a_wrong_delimiter_and_rubbish_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("dose|died|sex\nZZPLANTED|1|f\n" * 3)
    with pytest.raises(CohortError, match=r"died|categor") as found:
        read_table(path, TableSettings("died,x", ("sex",)))
    assert "ZZPLANTED" not in str(found.value)
    (tmp_path / "x.parquet").write_bytes(b"ZZPLANTED")
    with pytest.raises(CohortError, match="can't be read"):
        read_table(tmp_path / "x.parquet", TableSettings("died", ("sex",)))
