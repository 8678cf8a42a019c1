"""Sentence embeddings merge phrases, on a tiny real encoder; what is missing is said before anything starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fairshards.generators.checkpoints.model_files import ModelFilesError
from fairshards.generators.phrases.sentences import load_embedder
from fairshards.pipeline.discovery.phrases_found import phrases_found
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.pictures.discovery_models import discovery_specs
from fairshards.pipeline.pictures.discovery_plan import downloads
from tests.tiny_text_models import write_tiny_bert


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("encoder") / "bert")


def test_a_phrase_has_one_embedding_whatever_stands_beside_it(folder: Path) -> None:
    embed = load_embedder(folder)
    phrases = ["a lake", "the very long shore of a lake", "\u9ce5", "a lake"]
    together = np.asarray(embed(phrases))
    assert together.shape == (4, 16) and np.allclose(together[0], together[3], atol=1e-5)
    assert np.allclose(together[0], np.asarray(embed(["a lake"]))[0], atol=1e-5)
    assert not np.allclose(together[0], together[1], atol=1e-2)


@pytest.mark.parametrize(("threshold", "groups"), [(1.0, 2), (1e-6, 1)])
def test_a_recipe_merges_phrases_from_its_threshold_on(folder: Path, threshold: float, groups: int) -> None:
    recipe = load_recipe("pocket-aspire", [f"discovery.merge={{model: {folder}, threshold: {threshold}}}"])
    assert recipe.discovery is not None
    merge = discovery_specs(recipe, recipe.discovery).merge
    assert merge is not None and len(merge.fingerprint) == 64
    near = np.asarray(load_embedder(folder)(["a lake", "a lakeside"]))
    assert near[0] @ near[1] > 0  # so that the lower threshold has something to merge
    index = [{"sample_id": f"s{number}", "y": 0} for number in range(2)]
    captions = [{"source_id": row["sample_id"], "status": "ok"} for row in index]
    phrases = [
        {"source_id": f"s{number}", "kind": "background", "phrase": phrase, "status": "ok"}
        for number, phrase in enumerate(("a lake", "a lakeside"))
    ]
    found = phrases_found(index, captions, phrases, {}, merge)
    assert len({group for image in found.images for group in image.groups}) == groups
    assert len({group for image in phrases_found(index, captions, phrases, {}).images for group in image.groups}) == 2


def test_a_plan_names_the_model_and_what_is_wrong_is_said(tmp_path: Path) -> None:
    assert "owner/encoder" in downloads(load_recipe("pocket-aspire", ["discovery.merge={model: owner/encoder}"]))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelFilesError, match="can't be loaded as a model of sentence embeddings"):
        load_embedder(tmp_path)
