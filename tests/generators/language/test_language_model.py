"""Local language models on tiny real checkpoints: templates, padded batches, seeds, rows that fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from fairshards.generators.checkpoints.model_files import ModelFilesError
from fairshards.generators.language.answer_cache import AnswerCache
from fairshards.generators.language.conversation import Conversation, Message, ask
from fairshards.generators.language.language_model import LanguageModel, apply_template
from fairshards.generators.language.sampling import Decoding
from fairshards.generators.phrases.extraction import Asked, ExtractionRequest, extract
from fairshards.generators.phrases.prompt import conversation
from tests.tiny_text_models import CHAT, NO_SYSTEM_TURN, byte_tokenizer, write_tiny_instruct, write_tiny_t5

ASKED = [conversation(caption, ["bird"]) for caption in ("a bird on water", "水边的鸟", "a")]


@pytest.fixture(scope="module")
def instruct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_instruct(tmp_path_factory.mktemp("text") / "instruct")


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_t5(tmp_path_factory.mktemp("text") / "t5")


def load(folder: Path, temperature: float = 0.0, **settings: Any) -> LanguageModel:
    settings = {"batch_size": 2, "fingerprint": "f", **settings}
    return LanguageModel.load(folder, Decoding(10, temperature), device="cpu", **settings)


@pytest.mark.parametrize("kind", ["instruct", "t5"])
def test_answers_are_equal_every_time_and_in_order(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)
    model = load(folder)
    answers = ask(model, ASKED)
    assert len(answers) == 3 and all(isinstance(answer, str) for answer in answers)
    assert ask(load(folder), ASKED) == answers
    assert ask(model, ASKED[2:]) == answers[2:]  # a batch of its own, padded to the same shape


def test_the_shape_is_always_the_batch_size(instruct: Path) -> None:
    model, shapes = load(instruct), []
    model.model.get_input_embeddings().register_forward_hook(lambda m, inputs, out: shapes.append(inputs[0].shape[0]))
    ask(model, ASKED)
    assert set(shapes) == {2}


def test_greedy_ignores_seeds_and_sampling_follows_them_whatever_stands_beside(instruct: Path) -> None:
    def seeded(*seeds: int) -> list[Conversation]:
        return [Conversation((Message("user", "hello"),), "hello", seed) for seed in seeds]

    assert len(set(map(str, ask(load(instruct), seeded(1, 2))))) == 1
    model = load(instruct, 1.5)
    one, two, three = (str(answer) for answer in ask(model, seeded(1, 2, 3)))
    assert len({one, two, three}) == 3
    assert ask(model, seeded(3, 1)) == [three, one]
    state = torch.random.get_rng_state()
    ask(model, seeded(5))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_top_p_leaves_only_the_likeliest(instruct: Path) -> None:
    narrow = LanguageModel.load(instruct, Decoding(10, 1.0, 1e-6), batch_size=2, device="cpu")
    assert ask(narrow, ASKED[:1]) == ask(load(instruct), ASKED[:1])


def test_seq2seq_reads_the_caption_and_nothing_else(t5: Path) -> None:
    model = load(t5)
    assert not model.chats
    assert ask(model, [Conversation((Message("user", "other"),), ASKED[0].plain)]) == ask(model, ASKED[:1])


def test_a_seq2seq_extractor_is_asked_once(t5: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its weights say nothing, so what it says is put in its mouth; all around it is real."""
    model, answers = load(t5), ["foreground: reed | background: lake | alternative: desert", "?"]
    monkeypatch.setattr(model.tokenizer, "batch_decode", lambda tokens, **_: answers)
    requests = [ExtractionRequest(str(index), "a bird with a reed on a lake", ("bird",)) for index in range(2)]
    monkeypatch.setattr(model, "marked", lambda texts, *_: texts)
    found = extract(model, requests)
    good, bad = found.rows
    assert (found.asked.captions, found.asked.further) == (2, 0)
    assert [(row.kind, row.phrase) for row in good] == [
        ("background", "lake"),
        ("foreground", "reed"),
        ("alternative", "desert"),
    ]
    assert [(row.reason, row.raw) for row in bad] == [("invalid_json", "?")]


def test_an_untrained_chat_model_is_a_reject_after_all_attempts(instruct: Path) -> None:
    model, batches = load(instruct), []
    answer = model.answer
    model.answer = lambda asked: batches.append(len(asked)) or answer(asked)  # type: ignore[method-assign, func-returns-value]
    rows = extract(model, [ExtractionRequest(str(n), "a bird on water", ("bird",)) for n in range(3)], attempts=2)
    assert [row.reason for found in rows.rows for row in found] == ["answer_cut"] * 3
    assert all("max_new_tokens" in str(row.detail) for found in rows.rows for row in found)
    assert batches == [2, 1, 2] and rows.asked == Asked(3, 6, 9)  # equal batches are asked once


def test_the_template_is_used(instruct: Path) -> None:
    tokenizer = byte_tokenizer(CHAT)
    text = apply_template(tokenizer, ASKED[0].messages)
    assert text.startswith("<s>system\n") and text.endswith("</s>\n<s>assistant\n")
    assert json.dumps({"label": "bird", "caption": "a bird on water"}) in text


def test_a_template_without_a_system_turn_gets_it_in_the_first_question() -> None:
    text = apply_template(byte_tokenizer(NO_SYSTEM_TURN), ASKED[0].messages)
    assert text.startswith("<s>user\nYou are given the label") and "<s>system" not in text
    from jinja2 import TemplateError

    with pytest.raises(TemplateError):
        apply_template(byte_tokenizer("{{ raise_exception('never') }}"), ASKED[0].messages)


def test_a_missing_template_is_told(tmp_path: Path) -> None:
    folder = write_tiny_instruct(tmp_path / "plain", template=None)
    with pytest.raises(ModelFilesError, match=r"has no chat template.*put its chat_template\.jinja into the folder"):
        load(folder)
    (folder / "chat_template.jinja").write_text(CHAT)
    assert load(folder).chats


@pytest.mark.parametrize("write", [write_tiny_instruct, write_tiny_t5])
def test_a_folder_that_lacks_a_weight_is_refused(write: Callable[[Path], Path], tmp_path: Path) -> None:
    """transformers would give it random values."""
    file = write(tmp_path / "model") / "model.safetensors"
    weights = load_file(file)
    name = min(weights)
    save_file({other: weight for other, weight in weights.items() if other != name}, file, {"format": "pt"})
    with pytest.raises(ModelFilesError, match=f"lacks 1 weights of AutoModelFor.*, the first is {name}"):
        load(file.parent)


def test_pickled_weights_and_wrong_folders_are_refused(tmp_path: Path, t5: Path) -> None:
    folder = write_tiny_instruct(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelFilesError, match="only pickled weights"):
        load(folder)
    (folder / "pytorch_model.bin").rename(folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    with pytest.raises(ModelFilesError, match="can't be loaded by transformers' Auto"):
        load(folder)
    with pytest.raises(ValueError, match="batch_size is 0"):
        load(t5, batch_size=0)


def test_a_row_that_the_model_cant_take_is_an_exception_and_the_others_stand(
    instruct: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(instruct)
    clean = ask(model, ASKED[:2])
    inputs = model._inputs

    def strict(rows: Any) -> Any:
        if any(row.plain == "水边的鸟" for row in rows):
            raise ValueError("no such letters")
        return inputs(rows)

    monkeypatch.setattr(model, "_inputs", strict)
    found = ask(model, ASKED[:2])
    assert isinstance(found[1], ValueError) and isinstance(found[0], str) and isinstance(clean[0], str)


def test_out_of_memory_raises(instruct: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(instruct)

    def exhausted(**_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model.model, "generate", exhausted)
    with pytest.raises(torch.OutOfMemoryError):
        ask(model, ASKED)


def test_a_batch_is_cached_as_a_whole(instruct: Path, tmp_path: Path) -> None:
    cache = AnswerCache(str(tmp_path))
    model = load(instruct)
    answers = ask(model, ASKED, cache)
    model.model.generate = None
    assert ask(model, ASKED, cache) == answers
    with pytest.raises(TypeError):
        ask(model, ASKED[1:], cache)  # other neighbours, another batch
    assert len(list(tmp_path.rglob("*.json"))) == 2


def test_models_of_other_weights_never_share_answers(instruct: Path, tmp_path: Path) -> None:
    other = write_tiny_instruct(tmp_path / "other", seed=1)
    names = [load(folder, fingerprint="").identity["model"] for folder in (instruct, instruct, other)]
    assert names[0] == names[1] != names[2] and len(names[0]) == 64


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"temperature": -1}, "temperature is -1"),
        ({"top_p": 0}, "top_p is 0"),
        ({"top_p": 1.1}, "top_p is 1.1"),
    ],
)
def test_decoding_out_of_range(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Decoding(**settings)
