"""Constrained decoding on a tiny model of random weights: even that answers in the asked form."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from fairshards.generators.checkpoints.model_files import ModelFilesError
from fairshards.generators.language import constrained
from fairshards.generators.language.constrained import Grammar, SchemaProcessor, bounded, installed_version
from fairshards.generators.language.conversation import NEUTRAL, Conversation, ask
from fairshards.generators.language.language_model import LanguageModel
from fairshards.generators.language.replies import CutAnswer
from fairshards.generators.language.sampling import Decoding
from fairshards.generators.phrases.answer import parse_answer, parse_field
from fairshards.generators.phrases.extraction import ExtractionRequest, extract
from fairshards.generators.phrases.prompt import SCHEMA, conversation, narrower
from tests.tiny_text_models import byte_tokenizer, write_tiny_instruct

needs_library = pytest.mark.skipif(not installed_version(), reason="needs fairshards[llm]")
ASKED = [conversation(caption, ["bird"], seed) for seed, caption in enumerate(("a bird on water", "水边的鸟", "a"))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_instruct(tmp_path_factory.mktemp("text") / "instruct")


@pytest.fixture
def short_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte is a token here, and weights that mean nothing fill whatever they are given."""
    monkeypatch.setattr(constrained, "_BOUNDS", {"string": {"maxLength": 5}, "array": {"maxItems": 2}})


def load(folder: Path, limit: int, temperature: float = 0.0, library: str = installed_version()) -> LanguageModel:
    decoding = Decoding(limit, temperature)
    return LanguageModel.load(folder, decoding, batch_size=2, fingerprint="f", device="cpu", constrained=library)


@needs_library
@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_random_weights_answer_in_the_asked_form(folder: Path, short_names: None, temperature: float) -> None:
    answers = ask(load(folder, 200, temperature), ASKED)
    assert len({str(answer) for answer in answers}) > 1 or not temperature
    for answer in answers:
        assert isinstance(answer, str) and not isinstance(answer, CutAnswer)
        assert [*json.loads(answer)] == ["foreground", "background", "alternative"]
        assert len(parse_answer(answer).foreground) <= 2
    free = ask(load(folder, 200, temperature, library=""), ASKED)
    assert not any(str(answer).startswith('{"foreground"') for answer in free)


@needs_library
def test_rows_are_held_each_to_its_own_schema_or_to_none(folder: Path, short_names: None) -> None:
    model = load(folder, 120)
    one, free = ask(model, [narrower("background", "a lake", ["bird"]), NEUTRAL])
    assert isinstance(one, str) and parse_field(one, "background") is not None and [*json.loads(one)] == ["background"]
    assert not str(free).startswith("{")
    assert ask(model, [narrower("background", "a lake", ["bird"])]) == [one]  # whatever stands beside it


@needs_library
def test_an_answer_that_the_limit_cuts_is_told_as_cut(folder: Path) -> None:
    found = extract(load(folder, 12), [ExtractionRequest("0", "a bird on water", ("bird",))], attempts=2)
    assert [row.reason for row in found.rows[0]] == ["answer_cut"] and found.asked.cut == 3


@needs_library
def test_no_answer_is_unparsable(folder: Path, short_names: None) -> None:
    requests = [ExtractionRequest(str(n), "a bird on water", ("bird",), n) for n in range(4)]
    rows = [row for rows in extract(load(folder, 200, 1.5), requests).rows for row in rows]
    assert not {"invalid_json", "wrong_schema", "answer_cut"} & {str(row.reason) for row in rows}


@needs_library
def test_the_library_counts_for_the_cache(folder: Path) -> None:
    assert load(folder, 20).identity["constrained"] == installed_version()
    assert "constrained" not in load(folder, 20, library="").identity


@needs_library
def test_a_schema_that_the_library_cant_use_is_told(folder: Path) -> None:
    (found,) = load(folder, 20).answer([Conversation(NEUTRAL.messages, schema={"type": "unknown"})])
    assert isinstance(found, ValueError) and "llguidance can't use the schema" in str(found)


def test_texts_and_lists_without_an_end_get_one() -> None:
    found = bounded(SCHEMA)["properties"]
    assert found["foreground"]["maxItems"] and found["foreground"]["items"]["maxLength"]
    assert found["background"]["maxLength"] and bounded({"type": "string", "maxLength": 3})["maxLength"] == 3
    assert "maxItems" not in SCHEMA["properties"]["foreground"]


def test_a_worker_without_the_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llguidance.hf", None)
    with pytest.raises(ModelFilesError, match=r"isn't installed on this worker; pip install 'fairshards\[llm"):
        Grammar(byte_tokenizer(), 260, [258])


class Counting:
    """A matcher that allows token 2 twice and then has ended."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def consume_token(self, token: int) -> bool:
        self.seen.append(token)
        return True

    def is_stopped(self) -> bool:
        return len(self.seen) >= 2

    def compute_bitmask(self) -> bytes:
        return bytes((4,))


def test_scores_of_what_cant_stand_next_are_taken_away() -> None:
    matchers: list[Any] = [Counting(), None]
    held = SchemaProcessor(matchers, 3, [9])
    scores, tokens = torch.zeros(2, 12), torch.ones(2, 3, dtype=torch.long)
    for step, allowed in enumerate(([2], [2], [9], [9])):
        given = held(tokens, scores)
        assert given[0].isfinite().nonzero().flatten().tolist() == allowed, step
        assert given[1].isfinite().all()
        tokens = torch.cat([tokens, torch.full((2, 1), 2)], dim=1)
    assert matchers[0].seen == [2, 2]
