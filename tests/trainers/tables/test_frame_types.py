"""Synthetic rows have the names and types of the table that was fitted."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairshards.catalogs.cohorts.schema import CohortError
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.tables.frame_types import ColumnType, column_types
from fairshards.trainers.tables.synthesizer import BtGanSynthesizer
from tests.pipeline.leaks import PLANTED, leaks, spoken
from tests.trainers.tables.test_bt_gan_synthesizer import QUICK

N = 300


def people(**more: Any) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": draw.integers(20, 90, N),
            "sex": draw.choice(["f", "m"], N),
            "lab": draw.normal(5, 1, N).round(1),
            "died": draw.choice(["no", "yes"], N),
            **more,
        }
    )


def sampled(rows: pd.DataFrame, label: Any = "died", attribute: Any = "sex", **fit: Any) -> pd.DataFrame:
    return BtGanSynthesizer(label, attribute, **QUICK).fit(rows, **fit).sample(100, seed=1)


def test_every_type_comes_back(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    flags = draw.random(N) < 0.4
    rows = people(
        flag=flags,
        maybe=pd.array(np.where(draw.random(N) < 0.2, None, flags), "boolean"),
        objects=np.where(draw.random(N) < 0.2, None, flags).astype(object),
        small=draw.integers(0, 200, N).astype(np.uint8),
        nullable=pd.array(draw.integers(0, 9, N), "Int32"),
        single=draw.normal(0, 1, N).round(2).astype(np.float32),
        whole=draw.integers(0, 9, N).astype(float),
        text=pd.array(draw.choice(["a", "b"], N), "string"),
        died=draw.integers(0, 2, N),
        stage=pd.Categorical(draw.choice(["low", "high"], N), ["low", "none", "high"], ordered=True),
        code=pd.Categorical(draw.choice([3, 1], N)),
        site=draw.integers(1, 4, N),
    )
    model = BtGanSynthesizer("died", "sex", **QUICK).fit(rows, discrete_columns=["site"])
    found = model.sample(100, seed=1)
    expected = {name: str(dtype) for name, dtype in rows.dtypes.items()}
    assert {name: str(dtype) for name, dtype in found.dtypes.items()} == expected
    assert set(found["flag"]) <= {True, False} and set(found["died"]) == {0, 1} and set(found["site"]) <= {1, 2, 3}
    assert {type(value) for value in found["objects"].dropna()} <= {bool}
    assert list(found["stage"].cat.categories) == ["low", "high"] and found["stage"].cat.ordered
    assert set(found["code"].cat.categories) == {1, 3}
    model.save(tmp_path / "model.safetensors")
    pd.testing.assert_frame_equal(BtGanSynthesizer.load(tmp_path / "model.safetensors").sample(100, seed=1), found)
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o077 == 0


def test_tiny_and_huge_numbers_keep_their_size() -> None:
    draw = np.random.default_rng(0)
    rows = people(
        tiny=draw.lognormal(-16, 1, N),
        huge=draw.lognormal(300, 1, N),
        wide=draw.integers(0, 2**63, N, dtype=np.uint64) * np.uint64(2),
    )
    found = sampled(rows)
    for name in ("tiny", "huge"):
        assert rows[name].min() <= found[name].min() and found[name].max() <= rows[name].max(), name
        assert found[name].nunique() > 50
    assert found["wide"].dtype == np.uint64 and found["wide"].median() > 2**60


@pytest.mark.parametrize(
    ("names", "label", "attribute"), [([0, 1, 2, 3], 3, 1), (["age", "sex", "split", 7], 7, "sex")]
)
def test_names_come_back_whatever_they_are(names: list[Any], label: Any, attribute: Any) -> None:
    assert list(sampled(people().set_axis(names, axis=1), label, attribute).columns) == names


def test_infinite_numbers_are_missing_and_said() -> None:
    rows = people()
    rows.loc[0, "lab"] = np.inf
    with pytest.warns(UserWarning, match="lab: 1 of 300 cells is infinite"):
        found = sampled(rows)
    assert np.isfinite(found["lab"].dropna()).all()


def test_rare_categories_are_joined_and_said_and_typed_ones_stay_typed(tmp_path: Path) -> None:
    rows = people(code=np.repeat([1, 2], N // 2), ward=np.repeat(["north", "south"], N // 2))
    rows.loc[:6, "code"], rows.loc[0, "ward"] = range(90, 97), PLANTED
    with pytest.warns(UserWarning, match="code: 7 categories of 7 rows made missing") as said:
        model = BtGanSynthesizer("died", "sex", **QUICK).fit(rows, discrete_columns=["code"])
    found = model.sample(200)
    assert set(found["code"].dropna()) <= {1, 2} and found["code"].dtype == "Int64"
    assert set(found["ward"].dropna()) <= {"north", "south"}
    assert PLANTED not in "".join(str(one.message) for one in said)
    model.save(tmp_path / "model.safetensors")
    assert leaks(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows.set_axis(["age", "sex", "age", "died"], axis=1), "column 'age' twice"),
        (lambda rows: rows.set_axis(["age", "sex", 1, "1"], axis=1).rename(columns={"1": "1"}), "column '1' twice"),
        (lambda rows: rows.set_axis([("a", 1), "sex", "lab", "died"], axis=1), "name of type tuple"),
        (lambda rows: rows.assign(lists=[[1, 2]] * N), "'lists' holds lists"),
        (lambda rows: rows.assign(when=pd.Timestamp("2020-01-01")), "'when' holds dates"),
        (lambda rows: rows.assign(name=[f"{PLANTED}{number}" for number in range(N)]), "'name' has 300 values in 300"),
        (lambda rows: rows.assign(sex=[PLANTED, *rows["sex"][1:]]), "'sex' has values that fewer than 5"),
        (lambda rows: rows.assign(died=[PLANTED, *rows["died"][1:]]), "label 'died' has 3 values"),
        (lambda rows: rows.assign(mixed=[*range(200), *[PLANTED] * 100]), "'mixed'"),
        (lambda rows: rows.drop(columns="sex"), "sex"),
        (lambda rows: rows.head(0), "data has no rows"),
        (lambda rows: rows.head(50), "50 training rows"),
        (lambda rows: rows.to_numpy(), "a ndarray; expected a pandas DataFrame"),
    ],
)
def test_what_cannot_be_fitted_is_refused_by_name_and_never_by_value(change: Any, words: str) -> None:
    with warnings.catch_warnings(), pytest.raises((CohortError, TrainerError), match=words) as found:
        warnings.simplefilter("ignore")
        sampled(change(people()))
    assert PLANTED not in spoken(found.value)


@pytest.mark.parametrize(
    ("rows", "seed", "words"),
    [
        (-1, 0, "num_rows is -1"),
        (1.5, 0, "num_rows is 1.5"),
        (3, -1, "seed is -1"),
        (10**15, 0, "don't fit into memory"),
    ],
)
def test_a_count_that_cannot_be_is_refused_in_words(rows: Any, seed: int, words: str) -> None:
    model = BtGanSynthesizer("died", "sex", **QUICK).fit(people())
    with pytest.raises(TrainerError, match=words):
        model.sample(rows, seed)
    none = model.sample(0)
    assert none.dtypes.equals(model.sample(9).dtypes) and len(none) == 0


def test_types_hold_no_category_that_the_schema_lacks() -> None:
    found = column_types(people(ward=pd.Categorical([PLANTED] + ["a"] * (N - 1))))
    assert found["ward"].order == (PLANTED, "a")  # until ``named`` takes out what no schema lists


@pytest.mark.parametrize(
    ("dtype", "objects", "typed"),
    [
        ("bool", "", True),
        ("boolean", "", True),
        ("int64", "", True),
        ("float32", "", True),
        ("object", "boolean", True),
        ("object", "integer", True),
        ("object", "string", False),
        ("object", "mixed", False),
        ("string", "", False),
        ("a type that this pandas lacks", "", False),
    ],
)
def test_a_column_is_typed_where_other_cannot_be_one_of_its_values(dtype: str, objects: str, typed: bool) -> None:
    assert ColumnType("x", dtype, objects).typed is typed
