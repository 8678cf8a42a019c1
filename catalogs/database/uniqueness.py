"""Ids are unique in a run: checked once after an ingest, since a check per manifest would be quadratic."""

from __future__ import annotations

import duckdb

from fairshards.catalogs.database.ingest import remove, transaction
from fairshards.catalogs.manifests.manifest import ManifestError

# What may be there once only, per stage: (table, columns).
UNIQUE: dict[str, tuple[tuple[str, str], ...]] = {
    "run": (("runs", "run_id"),),
    "cohort": (("cohort_groups", "dataset, split, y, b"),),
    "fit": (("row_models", "model_id"),),
    "evaluate": (("evaluations", "evaluation_id, aspect, metric, trained_on, learner, attribute, group_name"),),
    "caption": (("captions", "source_id, captioner"),),
    "extract": (("phrases", "source_id, extractor, kind, phrase"),),
    "plan": (("plan", "sample_id"),),
    "generate": (("generated", "sample_id"),),
    "score": (("scores", "sample_id, score"),),
    "edit_plan": (("edit_plan", "edit_id"),),
    "edit": (("edits", "edit_id"),),
    "edit_score": (("edit_scores", "edit_id"),),
    "rank": (("spurious_features", "y, phrase"),),
    "audit": (("phrase_bits", "curation_id, phrase"),),
    "groups": (("discovered_groups", "source_id"),),
    "personalise": (("personal_pictures", "personal_id, sample_id"), ("personalisations", "personal_id")),
    "decide": (("decisions", "curation_id, sample_id, filter"), ("curations", "curation_id")),
    "calibration_plan": (("calibration_set", "source_id"),),
    "real_score": (("real_scores", "source_id, score"),),
    "calibrate": (("calibrations", "curation_id, filter, score, group_name"),),
    "g_detector": (("g_detector", "curation_id, group_name"),),
    "index": (("shard_index", "curation_id, sample_id"),),
    "train": (("group_metrics", "training_id, stage, split, y, b"), ("training_runs", "training_id")),
}


def check_unique(con: duckdb.DuckDBPyConnection) -> None:
    """Check that what is new repeats no id, and mark it as checked.

    A manifest that repeats an older one's, or its own, is removed again, so that the catalog stays usable.

    Raises:
        ManifestError: an id is there twice; both manifests are named.
    """
    stages = con.execute("SELECT DISTINCT stage FROM ingested WHERE NOT checked ORDER BY stage").fetchall()
    for (stage,) in stages:
        for table, columns in UNIQUE.get(stage, ()):
            _check_table(con, table, columns)
    with transaction(con):
        con.execute("UPDATE ingested SET checked = true WHERE NOT checked")


def _check_table(con: duckdb.DuckDBPyConnection, table: str, columns: str) -> None:
    twice = con.execute(
        f"SELECT {columns} FROM {table} GROUP BY {columns} HAVING count(*) > 1 ORDER BY ALL LIMIT 1"
    ).fetchone()
    if twice is None:
        return
    same = " AND ".join(f"{column} IS NOT DISTINCT FROM ?" for column in columns.split(", "))
    holders = con.execute(
        f"SELECT path, manifest FROM ingested WHERE manifest IN (SELECT manifest FROM {table} WHERE {same}) "
        "ORDER BY checked DESC, path",
        list(twice),
    ).fetchall()
    remove(con, [manifest for _, manifest in holders[1:] or holders])
    where = " and ".join(path for path, _ in holders)
    what = ", ".join(f"{column} {value}" for column, value in zip(columns.split(", "), twice, strict=True))
    raise ManifestError(
        f"{what} is there twice in {table}: in {where}"
        f"{' (twice in the one manifest)' if len(holders) == 1 else ''}. Ids are unique in a run; "
        "list one of the manifests only, or delete one and run again"
    )
