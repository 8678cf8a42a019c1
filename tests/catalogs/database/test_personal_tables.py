"""Personalisations in the catalog: what was taught, by which pictures, once each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fairshards.catalogs.database.catalog import Catalog, dump, rebuild
from fairshards.catalogs.manifests.manifest import ManifestError
from tests.catalogs.small_run import Run, ident

NAME = "abcdef012345"
PICTURES = [ident("edit", number) for number in range(3)]


def picture_rows(name: str = NAME) -> list[dict[str, Any]]:
    said = {"personal_id": name, "concept": "waterbird", "token": "<waterbird>"}
    return [
        {**said, "position": position, "sample_id": sample, "image_sha256": "a" * 64}
        for position, sample in enumerate(PICTURES)
    ]


def head(seed: int = 0) -> dict[str, Any]:
    """Return what a personalisation's head says (``fairshards.trainers.personal.record.account``)."""
    concept = {"name": "waterbird", "token": "<waterbird>", "class_word": "bird"}
    return {
        "method": "textual-inversion",
        "concept": concept,
        "seed": seed,
        "steps": 1000,
        "loss_first": 0.4,
        "loss_last": 0.2,
        "settings": {"lr": 5e-4},
        "model_fingerprint": "f" * 64,
        "weights": {"file": "learned_embeds.safetensors", "sha256": "b" * 64},
    }


@pytest.fixture
def taught(run: Run) -> Run:
    """The small run with one personalisation, taught by three edits."""
    run.write(f"personal/{NAME}/personal.parquet", "personalise", picture_rows(), task=NAME, settings=head())
    with Catalog.open(run.path, "write") as catalog:
        catalog.sync(run.names)
    return run


def rows(run: Run, sql: str) -> list[tuple[Any, ...]]:
    with Catalog.open(run.path) as catalog:
        return catalog.con.execute(sql).fetchall()


def test_a_personalisation_is_a_row(taught: Run) -> None:
    ((*found, settings),) = rows(
        taught,
        "SELECT personal_id, concept, token, class_word, method, seed, steps, pictures, loss_first, loss_last, "
        "weights_sha256, model_fingerprint, settings FROM personalisations",
    )
    assert found == [
        NAME,
        "waterbird",
        "<waterbird>",
        "bird",
        "textual-inversion",
        0,
        1000,
        3,
        0.4,
        0.2,
        "b" * 64,
        "f" * 64,
    ]
    assert json.loads(settings) == {"lr": 5e-4}


def test_its_pictures_lead_back_to_their_edits(taught: Run) -> None:
    sql = "SELECT position, sample_id, token FROM personal_pictures ORDER BY position"
    assert rows(taught, sql) == [(number, sample, "<waterbird>") for number, sample in enumerate(PICTURES)]
    sql = "SELECT count(*) FROM personal_pictures JOIN edits ON edit_id = sample_id"
    assert rows(taught, sql) == [(3,)]


def test_a_rebuild_gives_the_same_rows(taught: Run) -> None:
    with Catalog.open(taught.path) as catalog:
        before = dump(catalog.con)
    rebuild(taught.path)
    with Catalog.open(taught.path) as catalog:
        assert dump(catalog.con) == before
    assert len(before["personalisations"]) == 1 and len(before["personal_pictures"]) == 3


def test_two_seeds_stand_side_by_side_and_the_same_one_twice_is_refused(taught: Run) -> None:
    other = "fedcba543210"
    taught.write(f"personal/{other}/personal.parquet", "personalise", picture_rows(other), task=other, settings=head(1))
    with Catalog.open(taught.path, "write") as catalog:
        catalog.sync(taught.names)
    assert rows(taught, "SELECT seed FROM personalisations ORDER BY seed") == [(0,), (1,)]
    taught.write("personal/again.parquet", "personalise", picture_rows()[:1], task=NAME, settings=head())
    with Catalog.open(taught.path, "write") as catalog, pytest.raises(ManifestError, match=r"personal/again\.parquet"):
        catalog.sync(taught.names)
