"""The reversible transformer: scores, blocks, missing as a state, and errors that hold nobody's value."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

from fairshards.catalogs.cohorts.schema import CohortError, Column, Schema
from fairshards.generators.tables.encoding import TableEncoding
from fairshards.generators.tables.record_space import RecordSpace, nearest, other_neighbours

SCHEMA = Schema(
    "tiny",
    (
        Column("dose", "numeric", 1),
        Column("visits", "integer"),
        Column("always", "integer"),
        Column("never", "numeric", 1),
        Column("ward", "category", categories=("north", "south", "west")),
        Column("sex", "category", categories=("f", "m")),
        Column("died", "category", categories=("no", "yes")),
    ),
    "died",
    ("sex",),
)


def rows(n: int = 600) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    dose = np.where(draw.random(n) < 0.25, np.nan, np.round(draw.normal(5, 2, n), 1))
    ward = draw.choice(["north", "south"], n).astype(object)
    ward[draw.random(n) < 0.1] = None
    return pd.DataFrame(
        {
            "dose": dose,
            "visits": pd.array(draw.poisson(2, n), "Int64"),
            "always": pd.array([7] * n, "Int64"),
            "never": np.full(n, np.nan),
            "ward": ward,
            "sex": draw.choice(["f", "m"], n),
            "died": draw.choice(["no", "yes"], n),
        }
    )


def test_rows_come_back() -> None:
    given = rows()
    encoding = TableEncoding.fit(SCHEMA, "sex", given)
    encoded = encoding.encode(given)
    back = encoding.decode(encoding.scores(encoded, np.random.default_rng(1)), encoded.y, encoded.s)
    assert list(back.columns) == SCHEMA.names
    for name in ("visits", "ward", "sex", "died", "always"):
        found, expected = ([None if pd.isna(value) else value for value in table[name]] for table in (back, given))
        assert np.mean([one == other for one, other in zip(found, expected, strict=True)]) > 0.99, name
    assert back["dose"].isna().equals(given["dose"].isna())
    assert np.nanmedian(np.abs(back["dose"] - given["dose"])) == 0 and back["never"].isna().all()
    assert [str(kind) for kind in back.dtypes[:4]] == ["float64", "Int64", "Int64", "float64"]


def test_networks_see_normal_scores_blocks_and_zero_where_a_number_is_missing() -> None:
    given = rows(3000)
    encoding = TableEncoding.fit(SCHEMA, "sex", given)
    assert encoding.numerics == ("dose", "visits") and set(encoding.constants) == {"always", "never"}
    assert [(block.column, block.states) for block in encoding.blocks] == [
        ("dose", ("present", None)),
        ("ward", ("north", "south", None)),
    ]
    x = encoding.scores(encoding.encode(given), np.random.default_rng(1))
    assert x.shape == (3000, encoding.width) and x.dtype == np.float32
    missing = given["dose"].isna().to_numpy()
    assert (x[missing, 0] == 0).all() and kstest(x[~missing, 0], "norm").pvalue > 0.001
    for block in encoding.blocks:
        part = x[:, block.start : block.stop]
        assert (part.sum(1) == 1).all() and set(np.unique(part)) == {0.0, 1.0}


def test_it_survives_json() -> None:
    given = rows()
    encoding = TableEncoding.fit(SCHEMA, "sex", given)
    again = TableEncoding.from_json(json.loads(json.dumps(encoding.to_json())))
    one, other = encoding.encode(given), again.encode(given)
    assert all(np.array_equal(getattr(one, name), getattr(other, name)) for name in vars(one))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found.assign(died="no"), "one value"),
        (lambda found: found.assign(sex=found["sex"].mask(found.index == 3)), "missing in 1 of"),
        (lambda found: found.assign(ward="ZZPLANTED77"), "ward"),
        (lambda found: found.assign(dose=1.0, visits=pd.array([1] * len(found), "Int64"), ward="north"), "varies"),
    ],
)
def test_rows_that_cannot_be_learned_from_are_refused(change: object, words: str) -> None:
    with pytest.raises(CohortError, match=words) as found:
        TableEncoding.fit(SCHEMA, "sex", change(rows()))  # type: ignore[operator]
    assert "ZZPLANTED77" not in str(found.value)


def test_a_category_unseen_in_training_is_refused_by_its_column() -> None:
    encoding = TableEncoding.fit(SCHEMA, "sex", rows())
    with pytest.raises(CohortError, match="'ward' has a value in 600 rows") as found:
        encoding.encode(rows().assign(ward="west"))
    assert not any(value in str(found.value) for value in ("west", "north", "south"))
    with pytest.raises(CohortError, match="no protected attribute"):
        TableEncoding.fit(SCHEMA, "ward", rows())


def test_distances_mean_the_same_for_numbers_categories_and_what_is_missing() -> None:
    given = rows(300)
    space = RecordSpace(TableEncoding.fit(SCHEMA, "sex", given))
    points = space.points(given)
    base = given[given["ward"].notna() & given["dose"].notna()].head(1)
    changed = {
        "ward": base.assign(ward="south" if base["ward"].iloc[0] == "north" else "north"),
        "sex": base.assign(sex="f" if base["sex"].iloc[0] == "m" else "m"),
    }
    assert space.columns == 5  # dose, visits, ward, sex, died
    for other in changed.values():
        assert nearest(space.points(base), space.points(other), space.columns)[0] == pytest.approx(1 / space.columns)
    assert nearest(points, points, space.columns).max() == 0
    brute = [min(np.abs(points[i] - points[j]).sum() for j in range(300) if j != i) / space.columns for i in range(20)]
    assert np.allclose(other_neighbours(points, space.columns)[:, 0][:20], brute, atol=1e-6)
