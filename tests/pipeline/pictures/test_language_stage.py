"""The language stage's own line, and which specs its models get."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fairshards.generators.language.constrained import installed_version
from fairshards.pipeline.discovery.language import _said
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.pictures.discovery_models import discovery_specs
from tests.tiny_text_models import write_tiny_florence2, write_tiny_instruct


def phrase(source_id: str, kind: str | None, status: str = "ok") -> dict[str, Any]:
    return {"source_id": source_id, "kind": kind, "status": status}


PHRASES = [
    phrase("a", "foreground"),
    phrase("a", "foreground"),
    phrase("a", "background"),
    phrase("b", "foreground"),
    phrase("b", "background", "reject"),
    phrase("c", None, "reject"),
]
CAPTIONS = [{"status": status} for status in ("ok", "ok", "ok", "reject")]


def test_the_line_counts_captions_by_what_is_known_of_them() -> None:
    assert _said(CAPTIONS, PHRASES, [{}, {"host": "x"}]) == (
        "phrases: of 3 captions 2 name objects, 1 a background, 0 an alternative"
    )


def test_the_line_tells_what_it_took() -> None:
    held = {"answers": "held to a schema by the endpoint"}
    attempts = [{"cut": 1}, {"cut": 2, "further": 4, **held}, {"further": 3, **held}, {"further": 0, "answers": ""}]
    assert _said(CAPTIONS, PHRASES, attempts).partition("alternative")[2] == (
        "; 7 further questions for what was missing; 3 captions or answers cut off by max_new_tokens; "
        "answers held to a schema by the endpoint"
    )


def specs(*changes: str) -> Any:
    recipe = load_recipe("pocket-aspire", changes)
    assert recipe.discovery is not None
    return discovery_specs(recipe, recipe.discovery).extractor


def test_a_model_that_does_not_chat_is_no_other_when_the_questions_change(monkeypatch: pytest.MonkeyPatch) -> None:
    extractor = specs()
    assert not extractor.model.chats and not extractor.model.constrained
    monkeypatch.setattr("fairshards.transforms.language.specs.PROMPT_VERSION", "another")
    assert specs().stage_fingerprint == extractor.stage_fingerprint


def test_a_model_that_chats_is_another_when_questions_or_library_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_tiny_instruct(tmp_path / "chat")
    change = f"discovery.extractor.model={folder}"
    extractor = specs(change)
    assert extractor.model.chats and extractor.model.constrained == installed_version()
    prints = {extractor.stage_fingerprint}
    for library in ("", "llguidance 7"):
        monkeypatch.setattr(
            "fairshards.pipeline.pictures.discovery_models.installed_version", lambda library=library: library
        )
        prints.add(specs(change).stage_fingerprint)
    monkeypatch.setattr("fairshards.transforms.language.specs.PROMPT_VERSION", "another")
    assert specs(change).stage_fingerprint not in prints and len(prints) >= 2


def test_the_task_that_a_captioner_is_told_decides_its_captions(tmp_path: Path) -> None:
    def captioner(*changes: str) -> Any:
        recipe = load_recipe("pocket-aspire", changes)
        assert recipe.discovery is not None
        return discovery_specs(recipe, recipe.discovery).captioner

    model = f"discovery.captioner.model={write_tiny_florence2(tmp_path / 'florence')}"
    told = captioner(model, "discovery.captioner.instruction='<CAPTION>'")
    assert captioner(model).stage_fingerprint == told.stage_fingerprint  # without it, it was told nothing once
    assert captioner().instruction is None
