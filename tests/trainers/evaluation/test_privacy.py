"""Privacy measures where the answer is known: copies, strangers, near copies, and patients who are few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fairshards.catalogs.cohorts.schema import Column
from fairshards.generators.tables.encoding import TableEncoding
from fairshards.generators.tables.record_space import RecordSpace
from fairshards.trainers.evaluation.privacy import Privacy, privacy
from tests.trainers.tables.test_bt_gan import SCHEMA as COARSE
from tests.trainers.tables.test_bt_gan import people

SCHEMA = replace(COARSE, columns=(Column("dose", "numeric", 6), *COARSE.columns[1:]))
WARDS, SEXES, LABELS = ("n", "s"), ("f", "m"), ("no", "yes")


def strangers(n: int, seed: int) -> pd.DataFrame:
    """Return people of one distribution, who all differ: doses to six decimals."""
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "dose": np.round(draw.normal(0, 1, n), 6),
            "visits": pd.array(draw.poisson(3, n), "Int64"),
            "ward": draw.choice(WARDS, n),
            "sex": draw.choice(SEXES, n),
            "died": draw.choice(LABELS, n),
        }
    )


TRAIN, HELD_OUT = strangers(400, 0), strangers(300, 1)


@pytest.fixture(scope="module")
def space() -> RecordSpace:
    return RecordSpace(TableEncoding.fit(SCHEMA, "sex", TRAIN))


def test_the_training_rows_themselves_are_all_copies_all_near_and_all_known(space: RecordSpace) -> None:
    found = privacy(space, HELD_OUT, strangers(300, 2), HELD_OUT)
    assert found.copies == 300 and found.held_out_copies == 0 and found.n == 300
    assert found.nearest_train == 0 < found.nearest_held_out
    assert found.memorisation == pytest.approx(0.5, abs=0.005) and found.membership_auc > 0.99


def test_people_of_the_same_distribution_give_nobody_away(space: RecordSpace) -> None:
    found = privacy(space, TRAIN, HELD_OUT, strangers(1000, 3))
    assert found.copies == found.held_out_copies == 0 and found.n == 1000
    assert abs(found.memorisation) < 0.05 and abs(found.membership_auc - 0.5) < 0.075
    assert found.nearest_train == pytest.approx(found.nearest_held_out, rel=0.15)


def test_copies_with_a_little_noise_are_no_copies_and_are_told_all_the_same(space: RecordSpace) -> None:
    noisy = TRAIN.assign(dose=TRAIN["dose"] + np.random.default_rng(5).normal(0, 0.01, 400))
    found = privacy(space, TRAIN, HELD_OUT, noisy)
    assert found.copies == 0 and found.memorisation > 0.2 and found.membership_auc > 0.9


def test_the_unseen_and_the_training_patients_may_change_places(space: RecordSpace) -> None:
    """Rows made of the unseen ones: as far on the other side."""
    given = TRAIN.head(300)
    there, back = privacy(space, given, HELD_OUT, given), privacy(space, HELD_OUT, given, given)
    assert back.memorisation == pytest.approx(-there.memorisation, abs=1e-6)
    assert back.membership_auc == pytest.approx(1 - there.membership_auc, abs=1e-6)
    assert (back.copies, back.held_out_copies) == (there.held_out_copies, there.copies) == (0, 300)


def test_copies_are_counted_row_by_row_over_every_column_with_missing_ones(space: RecordSpace) -> None:
    given = TRAIN.head(3).assign(dose=[np.nan, 1.0, 2.0])
    changed = [
        given.assign(**{name: value})
        for name, value in (
            ("dose", 9.0),
            ("visits", pd.array([99] * 3, "Int64")),
            ("ward", given["ward"].map({"n": "s", "s": "n"})),
            ("died", given["died"].map({"no": "yes", "yes": "no"})),
        )
    ]
    for made, expected in ((given, 3), (pd.concat([given, given.head(1)]), 4), (pd.concat(changed), 0)):
        assert privacy(space, given, HELD_OUT, made).copies == expected


@pytest.mark.parametrize(
    "made",
    [
        lambda given: given.set_axis(range(100, 103)),
        lambda given: given.assign(visits=given["visits"].astype("int64")),
        lambda given: given.assign(sex=given["sex"].astype("string"), ward=given["ward"].astype("category")),
        pytest.param(lambda given: given.assign(dose=[-0.0, 1.0, 2.0])),
        pytest.param(lambda given: given.assign(visits=given["visits"].astype("float64"))),
    ],
)
def test_a_copy_is_one_whatever_its_types_and_its_index(made: object, space: RecordSpace) -> None:
    given = TRAIN.head(3).assign(dose=[0.0, 1.0, 2.0])
    assert privacy(space, given, HELD_OUT, made(given)).copies == 3  # type: ignore[operator]


def test_a_minus_zero_can_reach_the_training_rows() -> None:
    """So it does matter: a checked cohort's numbers are rounded, and -0.04 rounds to -0.0."""
    assert np.signbit(pd.Series([-0.04]).round(1)[0])


def test_chance_copies_are_as_many_of_training_patients_as_of_unseen_ones() -> None:
    """Held against each other, both kinds must be one number: 1,600 training patients are copied by chance more often
    than 100 unseen ones, though nothing was memorised."""

    def few(n: int, seed: int) -> pd.DataFrame:
        return strangers(n, seed).assign(dose=np.round(strangers(n, seed)["dose"]))

    train, held_out = few(1600, 0), few(100, 1)
    found = privacy(RecordSpace(TableEncoding.fit(SCHEMA, "sex", train)), train, held_out, few(1000, 2))
    assert found.held_out_copies > 100 and found.train_copies < 1.3 * found.held_out_copies
    assert found.copies > found.train_copies  # of all training patients


def test_rows_as_near_to_either_kind_count_half(space: RecordSpace) -> None:
    """The same people on both sides: each synthetic row is as near to the one as to the other."""
    found = privacy(space, HELD_OUT, HELD_OUT, strangers(100, 6))
    assert found.memorisation == 0 and found.membership_auc == pytest.approx(0.5)


def test_a_seed_repeats_and_few_people_are_no_error(space: RecordSpace) -> None:
    one, again = (privacy(space, TRAIN, HELD_OUT, strangers(50, 4), seed=7) for _ in range(2))
    assert one == again and isinstance(one, Privacy)
    tiny = privacy(space, TRAIN, HELD_OUT.head(1), strangers(1, 4))
    assert 0 <= tiny.membership_auc <= 1 and tiny.memorisation in (-0.5, 0.5)


def test_numbers_of_missing_values_are_compared_too() -> None:
    rows = people(600)
    space = RecordSpace(TableEncoding.fit(SCHEMA, "sex", rows))
    found = privacy(space, rows.head(200), rows.iloc[200:400], rows.tail(200))
    assert np.isfinite([found.nearest_train, found.nearest_held_out, found.membership_auc]).all()
