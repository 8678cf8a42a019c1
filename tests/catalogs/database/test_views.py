"""The views: each answers on an empty catalog and the small run; the bits are those of docs/methods.md#shared-bits."""

from __future__ import annotations

import json
import math

import duckdb
import pytest

from fairshards.catalogs.database import statements
from tests.catalogs.small_run import CURATION, ident

VIEWS = [name[3:] for name in statements.names("views")]


def test_every_view_answers_on_an_empty_catalog(empty: duckdb.DuckDBPyConnection) -> None:
    for name in VIEWS:
        for row in empty.execute(f"FROM {name}").fetchall():
            assert not any(isinstance(value, int | float) and value for value in row)


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_answers_on_the_small_run(name: str, con: duckdb.DuckDBPyConnection) -> None:
    assert con.execute(f"FROM {name}").fetchall()


def test_samples_join_the_plan(con: duckdb.DuckDBPyConnection) -> None:
    found = con.execute("SELECT count(*), count(prompt), min(g), max(g), any_value(kind) FROM samples").fetchone()
    assert found == (15, 15, 1, 1, "text-to-image")
    place = con.execute(
        'SELECT shard, "offset", size FROM samples WHERE sample_id = $1', [ident("sample", 1, 0, 2, 0)]
    ).fetchone()
    assert place == ("raw/10-0.tar", 1536 * 2 + 512, 702)


def test_group_balance_before_and_after(con: duckdb.DuckDBPyConnection) -> None:
    rows = con.execute(
        "SELECT group_name, real_train, planned, generated, accepted, kept, share_before, share_after "
        "FROM group_balance ORDER BY y, b"
    ).fetchall()
    assert [row[:6] for row in rows] == [
        ("landbird|land", 1, 4, 4, 3, 2),
        ("landbird|water", 0, 4, 4, 3, 2),
        ("waterbird|land", 1, 4, 4, 3, 2),
        ("waterbird|water", 3, 4, 3, 2, 2),
    ]
    assert math.fsum(row[6] for row in rows) == pytest.approx(1)
    assert [row[7] for row in rows] == [0.25] * 4


def test_the_share_after_is_that_of_the_balanced_split(empty: duckdb.DuckDBPyConnection) -> None:
    empty.execute("INSERT INTO curations VALUES ('c', '{}', 'm')")
    for b, extra in ((0, 0), (1, 6)):  # USB wants 6 more of group 0|1
        name = f"0|{b}"
        empty.execute(
            "INSERT INTO plan (sample_id, y, b, group_name, manifest) "
            "SELECT $1 || range, 0, $2, $1, 'm' FROM range($3)",
            [name, b, 3 + extra],
        )
        empty.execute(
            "INSERT INTO decisions SELECT 'c', $1 || range, 'quota', true, NULL, 'm' FROM range($2)", [name, 3 + extra]
        )
        empty.execute(
            "INSERT INTO shard_index (curation_id, sample_id, split, y, b, group_name, g, manifest) "
            "SELECT 'c', $1 || range, if(range < 3, 'balanced', 'extra'), 0, $2, $1, 1, 'm' FROM range($3)",
            [name, b, 3 + extra],
        )
    columns = "kept, kept_balanced, kept_extra, share_after"
    rows = empty.execute(f"SELECT {columns} FROM group_balance ORDER BY b").fetchall()
    assert rows == [(3, 3, 0, 0.5), (9, 3, 6, 0.5)]


def test_accept_rate_counts_what_a_filter_saw(con: duckdb.DuckDBPyConnection) -> None:
    rows = con.execute(
        "SELECT filter, seen, accepted, accept_rate FROM accept_rate "
        "WHERE group_name = 'waterbird|water' ORDER BY seen DESC"
    ).fetchall()
    assert rows == [("generated", 4, 3, 0.75), ("clip_alignment", 3, 2, pytest.approx(2 / 3)), ("quota", 2, 2, 1.0)]


def test_rejects_by_reason(con: duckdb.DuckDBPyConnection) -> None:
    rows = con.execute("SELECT curation_id, rejected_by, reason, n FROM reject_reasons ORDER BY ALL").fetchall()
    assert set(rows) == {
        (None, "generate", "nan_image", 1),
        (None, "source", "duplicate_key", 1),
        (None, "source", "truncated", 2),
        (CURATION, "clip_alignment", "low", 4),
        (CURATION, "quota", "surplus", 3),
    }


def test_a_sample_that_cannot_be_scored_counts_once(empty: duckdb.DuckDBPyConnection) -> None:
    for sample in ("s1", "s2"):
        for score in ("clip_alignment", "judge_class", "judge_bias", "grey_scale"):
            row = ["score", sample, score, "unreadable_image", "0 bytes", "m"]
            empty.execute("INSERT INTO rejects VALUES ($1, $2, $3, $4, $5, $6)", row)
    empty.execute("INSERT INTO rejects SELECT 'source', 'twice', 'k', 'duplicate_key', 'd', 'm' FROM range(2)")
    rows = empty.execute("SELECT rejected_by, n, example FROM reject_reasons ORDER BY ALL").fetchall()
    assert rows == [("score", 2, "s1"), ("source", 2, "twice")]


def test_nothing_disappears(con: duckdb.DuckDBPyConnection) -> None:
    lost = con.execute(
        "SELECT count(*) FROM plan WHERE sample_id NOT IN (SELECT sample_id FROM generated) "
        "AND sample_id NOT IN (SELECT id FROM rejects)"
    ).fetchone()
    assert lost == (0,)


def test_cost_per_kept_sample(con: duckdb.DuckDBPyConnection) -> None:
    row = con.execute("SELECT generated, kept, generate_seconds, score_seconds, seconds_per_kept FROM cost_per_kept")
    assert row.fetchone() == (15, 8, 4 * 2.0, 4 * 0.5, 10 / 8)


def test_shortfall(con: duckdb.DuckDBPyConnection) -> None:
    assert con.execute("SELECT DISTINCT quota, kept, shortfall FROM shortfall").fetchall() == [(2, 2, 0)]


def test_a_short_group_and_a_curation_that_doesnt_tell_its_quota(empty: duckdb.DuckDBPyConnection) -> None:
    empty.execute("INSERT INTO plan (sample_id, y, b, group_name, manifest) VALUES ('s', 0, 0, 'a|b', 'm')")
    settings = {"quotas": [{"y": 0, "b": 0, "group": "a|b", "balanced": 3, "extra": 2}]}
    empty.execute("INSERT INTO curations VALUES ('c', $1, 'm'), ('d', '{}', 'm')", [json.dumps(settings)])
    rows = empty.execute("SELECT curation_id, quota, kept, shortfall FROM shortfall ORDER BY curation_id").fetchall()
    assert rows == [("c", 5, 0, 5), ("d", None, 0, None)]


# ---- worst group -------------------------------------------------------------------------------------


def test_the_worst_group_is_the_least_accurate_not_the_smallest(empty: duckdb.DuckDBPyConnection) -> None:
    empty.execute("INSERT INTO training_runs (training_id, method, manifest) VALUES ('t', 'erm', 'm')")
    empty.execute("INSERT INTO ingested VALUES ('m', 'p', 'train', 't', 'h', 'f', ['index'], '{}', 3, true)")
    groups = [("a|a", 0, 0, 200, 100), ("a|b", 0, 1, 10, 8), ("b|a", 1, 0, 40, 38), ("b|b", 1, 1, 0, 0)]
    for name, y, b, n, correct in groups:
        empty.execute(
            "INSERT INTO group_metrics (training_id, stage, split, group_name, y, b, n, correct, accuracy, low, high, "
            "manifest) VALUES ('t', 'final', 'test', $1, $2, $3, $4, $5, $5 / nullif($4, 0), 0.1, 0.9, 'm')",
            [name, y, b, n, correct],
        )
    for y, b, n in ((0, 0, 90), (0, 1, 10), (1, 0, 100)):
        empty.execute(
            "INSERT INTO shard_index (g, split, y, b, manifest) SELECT 0, 'train', $1, $2, 'index' FROM range($3)",
            [y, b, n],
        )
    row = empty.execute(
        "SELECT group_name, accuracy, low, high, n, smallest_n, average, adjusted_average, balanced FROM worst_group"
    ).fetchone()
    assert row is not None
    assert row[:6] == ("a|a", 0.5, 0.1, 0.9, 200, 10)
    assert row[6] == pytest.approx(146 / 250)
    assert row[7] == pytest.approx((90 * 0.5 + 10 * 0.8 + 100 * 0.95) / 200)
    assert row[8] == pytest.approx((0.5 + 0.8 + 0.95) / 3)


def test_no_adjusted_average_where_a_training_group_wasnt_tested(empty: duckdb.DuckDBPyConnection) -> None:
    empty.execute("INSERT INTO ingested VALUES ('m', 'p', 'train', 't', 'h', 'f', ['index'], '{}', 1, true)")
    empty.execute(
        "INSERT INTO group_metrics (training_id, stage, split, group_name, y, b, n, correct, accuracy, "
        "manifest) VALUES ('t', 'final', 'test', 'a|a', 0, 0, 10, 5, 0.5, 'm')"
    )
    empty.execute(
        "INSERT INTO shard_index (g, split, y, b, manifest) VALUES (0, 'train', 0, 0, 'index'), "
        "(0, 'train', 1, 1, 'index')"
    )
    assert empty.execute("SELECT adjusted_average, average FROM worst_group").fetchall() == [(None, 0.5)]


def test_worst_group_of_the_small_run(con: duckdb.DuckDBPyConnection) -> None:
    rows = con.execute("SELECT method, group_name, accuracy, n, average FROM worst_group ORDER BY method").fetchall()
    assert rows == [("erm", "waterbird|land", 0.2, 10, 0.6), ("ffr", "waterbird|land", 0.7, 10, 0.825)]


# ---- who saw a sample ---------------------------------------------------------------------------------


def test_trainings_that_saw_a_sample(con: duckdb.DuckDBPyConnection) -> None:
    seen = con.execute(
        "SELECT training_id, use, used, shard_samples FROM seen_by WHERE sample_id = $1", [ident("sample", 0, 0, 1, 0)]
    ).fetchall()
    assert seen == [("bbbb00000002", "stage1", 8, 8)]
    test_image = con.execute("SELECT count(*) FROM seen_by WHERE sample_id = $1", [ident("source", "u0-4")]).fetchone()
    assert test_image == (0,)  # it lies in the same tar as training images, but is of the test split


# ---- mutual information (docs/methods.md#shared-bits) ---------------------------------------------------------

COUNTS = {  # docs/methods.md#counts-of-synthetic-samples: (0,0), (0,1), (1,0), (1,1), and m
    "celeba 0.90": ((592, 5335, 7797, 866), 4149),
    "celeba 0.99": ((54, 5335, 7797, 79), 4480),
    "celeba 0.999": ((6, 5335, 7797, 8), 4510),
    "utk 0.999": ((1, 934, 5731, 6), 4063),
}
BITS = {  # docs/methods.md#shared-bits: real I(Y;B); USB I(Y;B), I(Y;(B,G)); ASB I(Y;B), I(Y;(B,G))
    "celeba 0.90": (0.515, 0.000, 0.535, 0.101, 0.247),
    "celeba 0.99": (0.895, 0.000, 0.706, 0.127, 0.387),
    "celeba 0.999": (0.963, 0.000, 0.734, 0.129, 0.412),
    "utk 0.999": (0.575, 0.000, 0.541, 0.048, 0.256),
}


def _fill(con: duckdb.DuckDBPyConnection, counts: tuple[int, ...], split: str = "train") -> None:
    for group, n in enumerate(counts):
        con.execute(
            "INSERT INTO sources (source_id, split, y, b, group_name, manifest) "
            "SELECT $1 || '-' || range, $2, $3, $4, $1, 'm' FROM range($5)",
            [str(group), split, group // 2, group % 2, n],
        )


@pytest.mark.parametrize("name", COUNTS)
def test_every_figure_of_the_table(name: str, empty: duckdb.DuckDBPyConnection) -> None:
    counts, m = COUNTS[name]
    _fill(empty, counts)
    _fill(empty, (500, 500, 500, 500), split="test")  # doesn't count
    rows = {
        row[0]: row[1:]
        for row in empty.execute(
            "SELECT mix, i_y_b_bits, i_y_bg_bits, synthetic, real FROM mutual_information"
        ).fetchall()
    }
    real, usb_b, usb_bg, asb_b, asb_bg = BITS[name]
    close = 0.00051  # the table's 0.706 is 0.70549, rounded twice
    assert rows["real"][0] == rows["real"][1] == pytest.approx(real, abs=close)
    assert rows["usb"][:2] == (pytest.approx(usb_b, abs=close), pytest.approx(usb_bg, abs=close))
    assert rows["asb"][:2] == (pytest.approx(asb_b, abs=close), pytest.approx(asb_bg, abs=close))
    assert rows["ffr stage 1"] == (0, 0, 4 * m, 0)
    assert rows["asb"][2:] == (4 * m, sum(counts))
    assert rows["usb"][2] == sum(max(counts) - n for n in counts)


def test_bits_against_the_formula_with_python(empty: duckdb.DuckDBPyConnection) -> None:
    counts = (37, 211, 150, 9)
    _fill(empty, counts)
    m = sum(max(counts) - n for n in counts) // 4
    joint = {(group // 2, group % 2, 0): n for group, n in enumerate(counts)}
    joint |= {(group // 2, group % 2, 1): m for group in range(4)}
    total = sum(joint.values())
    expected = sum(
        n
        / total
        * math.log2(
            n
            * total
            / (sum(v for k, v in joint.items() if k[0] == y) * sum(v for k, v in joint.items() if k[1:] == (b, g)))
        )
        for (y, b, g), n in joint.items()
    )
    found = empty.execute("SELECT i_y_bg_bits FROM mutual_information WHERE mix = 'asb'").fetchone()
    assert found == (pytest.approx(expected, abs=1e-12),)


def test_the_index_counts_as_real_where_there_is_one(empty: duckdb.DuckDBPyConnection) -> None:
    _fill(empty, (10, 10, 10, 10))
    for group, n in enumerate((2, 8, 8, 2)):
        empty.execute(
            "INSERT INTO shard_index (g, split, y, b, group_name, manifest) "
            "SELECT 0, 'train', $1, $2, $3, 'm' FROM range($4)",
            [group // 2, group % 2, str(group), n],
        )
    assert empty.execute("SELECT n FROM real_counts ORDER BY y, b").fetchall() == [(2,), (8,), (8,), (2,)]


def test_a_group_without_real_images_counts_as_a_group(con: duckdb.DuckDBPyConnection) -> None:
    rows = con.execute("SELECT mix, real, synthetic, missing FROM mutual_information ORDER BY mix").fetchall()
    assert rows == [
        ("asb", 5, 4, 0),
        ("ffr stage 1", 0, 4, 0),
        ("real", 5, 0, 0),
        ("synthetic", 0, 8, 0),
        ("usb", 5, 7, 1),
    ]  # landbird|water: M - 0 = 3, and two are kept


def test_histogram_counts_every_score(con: duckdb.DuckDBPyConnection) -> None:
    rows = con.execute(
        "SELECT score, sum(n), min(bin_low), max(bin_high), max(bin) FROM score_histogram GROUP BY score ORDER BY score"
    ).fetchall()
    assert rows == [
        ("clip_alignment", 15, 0.2, pytest.approx(0.23), 39),
        ("group_judge", 15, 0.2, pytest.approx(0.23), 39),
        ("trajectory_variance", 15, 0.01, pytest.approx(0.04), 39),
    ]


# ---- edits and the ranking ------------------------------------------------------------------------------


def test_the_ranking_shows_three_edits_a_phrase_hits_first(con: duckdb.DuckDBPyConnection) -> None:
    rows = con.execute(
        "SELECT class_name, rank, phrase, spurious, score, low, high, occurrences, "
        "list_transform(examples, lambda example: example.edit_id), "
        "list_transform(examples, lambda example: example.hit), examples[1].shard "
        "FROM spurious_ranking ORDER BY y, rank"
    ).fetchall()
    assert [row[:8] for row in rows] == [
        ("waterbird", 1, "lake", True, 1.0, 0.2, 0.8, 9),
        ("waterbird", 2, "reed", False, 1.0, 0.2, 0.8, 9),
    ]
    hits = [ident("edit", 4), ident("edit", 1)]  # the larger shift first; then the edits without a hit
    assert rows[0][8:] == ([*hits, ident("edit", 3)], [True, True, False], "edits/edits-0000.tar")
    assert rows[1][8:] == ([ident("edit", 2)], [False], "edits/edits-0000.tar")


def test_a_ranked_phrase_without_an_edit_has_no_examples(empty: duckdb.DuckDBPyConnection) -> None:
    empty.execute("INSERT INTO spurious_features (y, phrase, rank, manifest) VALUES (0, 'sky', 1, 'm')")
    assert empty.execute("SELECT phrase, examples FROM spurious_ranking").fetchall() == [("sky", None)]


def test_a_sources_story_tells_its_edits(con: duckdb.DuckDBPyConnection) -> None:
    facts = con.execute(
        "SELECT facts FROM life_story WHERE sample_id = $1 AND event = 'edited'", [ident("source", "u0-1")]
    ).fetchall()
    said = json.loads(facts[0][0])
    assert (len(facts), said["phrase"], said["hit"], said["reason"]) == (1, "the lake", True, None)
    assert (said["shard"], said["mask_share"], said["replacement"]) == ("edits/edits-0000.tar", 0.4, "a desert")


def test_an_edit_that_failed_says_why_in_its_sources_story(empty: duckdb.DuckDBPyConnection) -> None:
    empty.execute("INSERT INTO edit_plan (edit_id, source_id, kind, phrase, manifest) VALUES ('e', 's', 'f', 'p', 'm')")
    empty.execute("INSERT INTO rejects VALUES ('edit', 'e', NULL, 'mask_empty', 'd', 'm')")
    facts = empty.execute("SELECT facts ->> '$.reason', facts ->> '$.hit' FROM life_story WHERE event = 'edited'")
    assert facts.fetchall() == [("mask_empty", None)]
