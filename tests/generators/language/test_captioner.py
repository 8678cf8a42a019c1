"""Captioners on tiny real checkpoints (GIT, BLIP, LLaVA) and behind a real HTTP server."""

from __future__ import annotations

import base64
import io
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fairshards.generators.checkpoints.model_files import ModelFilesError
from fairshards.generators.images import encode_png
from fairshards.generators.language.answer_cache import AnswerCache
from fairshards.generators.language.captioner import AGAIN, DESCRIBE, Captioner, own_instruction
from fairshards.generators.language.captions import CaptionRequest, CaptionResult, captioned
from fairshards.generators.language.endpoint import Endpoint, EndpointError, EndpointSettings
from fairshards.generators.language.replies import CutAnswer
from fairshards.generators.language.retries import Retries
from fairshards.generators.language.sampling import Decoding
from fairshards.generators.language.vision_endpoint import VisionEndpoint
from tests.chat_server import HTML, ChatServer, chat_server, fails, says, scripted
from tests.tiny_text_models import EOS, PAD, write_tiny_blip, write_tiny_florence2, write_tiny_git, write_tiny_llava

KINDS = {"git": write_tiny_git, "blip": write_tiny_blip, "llava": write_tiny_llava}


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return KINDS[request.param](tmp_path_factory.mktemp("captioner") / request.param)


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_git(tmp_path_factory.mktemp("captioner") / "git")


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llava(tmp_path_factory.mktemp("captioner") / "llava")


def picture(number: int) -> bytes:
    return encode_png(np.random.default_rng(number).integers(0, 256, (20, 14 + number, 3), np.uint8))


def requests(*numbers: int, seed: int | None = None) -> list[CaptionRequest]:
    return [CaptionRequest(str(n), picture(n), n if seed is None else seed) for n in numbers]


def load(folder: Path, temperature: float = 0.0, **settings: Any) -> Captioner:
    return Captioner.load(folder, Decoding(10, temperature), device="cpu", **settings)


def texts(results: Any) -> list[str | None]:
    return [result.caption if result.status == "ok" else result.reason for result in results]


def test_captions_are_equal_every_time_and_in_order(folder: Path) -> None:
    captioner = load(folder)
    results = list(captioner.caption(requests(0, 1, 2, 3, 4), 2))
    assert [result.source_id for result in results] == ["0", "1", "2", "3", "4"]
    assert list(load(folder).caption(requests(0, 1, 2, 3, 4), 2)) == results
    assert list(captioner.caption(requests(4), 2)) == results[4:]


def test_a_checkpoint_that_limits_its_captions_warns_of_nothing(
    git: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    captioner = load(git)
    captioner.model.generation_config.max_length = 20
    said = logging.getLogger("transformers.generation.utils")
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    with caplog.at_level(logging.WARNING, said.name):
        captioner.model.generate(pixel_values=torch.zeros(1, 3, 16, 16), max_new_tokens=3)
        assert "max_length" in caplog.text  # what a call without our arguments would say
        caplog.clear()
        list(captioner.caption(requests(0, 1), 2))
    assert not caplog.text


def test_every_picture_reaches_the_model(folder: Path) -> None:
    captioner, given = load(folder), []
    generate = captioner.model.generate

    def watched(**inputs: Any) -> Any:
        given.extend(inputs["pixel_values"])
        return generate(**inputs)

    captioner.model.generate = watched
    list(captioner.caption(requests(0, 1, 0), 2))
    assert torch.equal(given[0], given[2]) and torch.equal(given[2], given[3])  # the last row is padding
    assert not torch.equal(given[0], given[1])


def test_the_last_batch_is_padded_and_a_row_does_not_see_the_others(folder: Path) -> None:
    captioner, shapes = load(folder, 1.0), []
    generate = captioner.model.generate

    def watched(**inputs: Any) -> Any:
        shapes.append(inputs["pixel_values"].shape[0])
        return generate(**inputs)

    captioner.model.generate = watched
    whole = texts(captioner.caption(requests(0, 1, 2, 3, 4), 4))
    assert texts(captioner.caption(requests(5, 1, 6, 7), 4))[1] == whole[1]
    assert set(shapes) == {4}


def test_a_bad_picture_is_a_reject_and_the_others_stand(folder: Path) -> None:
    captioner = load(folder, 1.0)
    clean = list(captioner.caption(requests(0, 1, 2), 3))
    asked = requests(0, 1, 2)
    asked[1] = CaptionRequest("1", b"\x89PNG broken", 1)
    found = list(captioner.caption(asked, 3))
    assert (found[0], found[2]) == (clean[0], clean[2])
    assert (found[1].status, found[1].reason) == ("reject", "unreadable_image") and found[1].detail


def test_a_batch_of_bad_pictures_never_reaches_the_model(git: Path) -> None:
    captioner = load(git)
    captioner.model.generate = None
    found = texts(captioner.caption([CaptionRequest("a", b""), CaptionRequest("b", b"<html>")], 4))
    assert found == ["unreadable_image"] * 2


def test_a_row_that_fails_in_the_model_is_a_reject(git: Path) -> None:
    captioner = load(git)
    inputs = captioner._inputs

    def picky(pictures: Any, further: str) -> Any:
        if any(picture.size == (15, 20) for picture in pictures):
            raise ValueError("this width isn't known")
        return inputs(pictures, further)

    captioner._inputs = picky  # type: ignore[method-assign]
    found = list(captioner.caption(requests(0, 1, 2), 4))
    assert [result.status for result in found] == ["ok", "reject", "ok"]
    assert (found[1].reason, found[1].detail) == ("caption_failed", "ValueError: this width isn't known")


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), OSError(28, "No space"), ValueError("every picture")]
)
def test_a_machine_or_model_that_fails_raises(git: Path, error: Exception) -> None:
    captioner = load(git)

    def broken(**_: object) -> None:
        raise error

    captioner.model.generate = broken
    with pytest.raises(type(error)):
        list(captioner.caption(requests(0, 1), 2))


def test_greedy_by_default_and_seeded_when_sampling(folder: Path) -> None:
    assert texts(load(folder).caption(requests(1, seed=1), 1)) == texts(load(folder).caption(requests(1, seed=2), 1))
    sampler = load(folder, 2.0)
    assert len({str(texts(sampler.caption(requests(1, seed=seed), 1))) for seed in range(6)}) > 1


def test_what_a_model_says_is_cleaned_cut_or_empty(git: Path) -> None:
    captioner = load(git, longest=20)
    said = ["", " \n. ", "a bird\n on  water\x00", "a bird " * 90, "水边的一只鸟"]
    captioner.processor.batch_decode = lambda tokens, **_: said
    captioner.marked = lambda said, *_: said  # type: ignore[method-assign, assignment]
    found = list(captioner.caption(requests(0, 1, 2, 3, 4), 5))
    assert texts(found) == ["empty_caption", "empty_caption", "a bird on water", "a bird a bird a bird", "水边的一只鸟"]
    assert found[3].detail == "cut from 629 characters to at most 20" and found[0].detail


def test_a_caption_is_cut_where_what_was_written_reaches_no_end(folder: Path) -> None:
    """A row that holds an end was whole, though its batch went on to the limit; an end in the prompt is none."""
    captioner = load(folder)

    def write(inputs: Any, seeds: Any) -> Any:
        prompt = inputs["input_ids"].shape[1] if "input_ids" in inputs else 1
        tokens = torch.full((2, prompt + captioner.decoding.max_new_tokens), 65)
        tokens[:, :prompt] = EOS
        tokens[1, -2:] = torch.tensor([EOS, PAD])
        return tokens

    captioner.write = write  # type: ignore[method-assign]
    first, second = captioner.caption(requests(0, 1), 2)
    assert (first.status, first.cut, first.detail) == ("ok", True, "cut off by max_new_tokens; raise that setting")
    assert (second.status, second.cut, second.detail) == ("ok", False, None)


def test_a_cut_caption_ends_with_its_last_whole_word_or_sentence() -> None:
    cut = {
        "a bird with a reed on the wat": "a bird with a reed on the",
        "waterbird": "waterbird",
        "A bird stands on a lake. Behind it is a": "A bird stands on a lake.",
        "A bird on a lake.": "A bird on a lake.",
    }
    found = [captioned("a", CutAnswer(text), 100) for text in cut]
    assert [result.caption for result in found] == [*cut.values()] and all(result.cut for result in found)
    assert all("max_new_tokens" in str(result.detail) for result in found)
    silent = captioned("a", CutAnswer(""), 100)
    assert silent.reason == "empty_caption" and "before max_new_tokens stopped it" in str(silent.detail)


def test_a_chat_model_that_says_nothing_is_asked_again_and_a_plain_one_is_not(llava: Path, git: Path) -> None:
    for which, wanted, calls in (
        (llava, ["a bird", "a lake", "empty_caption"], 2),
        (git, ["a bird", "empty_caption", "empty_caption"], 1),
    ):
        captioner, asked = load(which), []
        inputs = captioner._inputs

        def told(pictures: Any, further: str, inputs: Any = inputs, asked: list[str] = asked) -> Any:
            asked.append(further)
            return inputs(pictures, further)

        captioner._inputs = told  # type: ignore[method-assign]
        captioner.marked = lambda said, *_: said  # type: ignore[method-assign, assignment]
        answers = [["a bird", "", " "], ["ignored", "a lake", ""]]
        captioner.processor.batch_decode = lambda tokens, answers=answers, **_: answers.pop(0)
        assert texts(captioner.caption(requests(0, 1, 2), 3)) == wanted
        assert asked == ["", AGAIN][:calls]
    text = load(llava)._inputs([Image.new("RGB", (20, 20))], AGAIN)["input_ids"]
    assert f"{DESCRIBE} {AGAIN}</s>" in load(llava).tokenizer.batch_decode(text)[0]


def test_a_chat_model_gets_its_instruction_through_the_template(llava: Path) -> None:
    for given, wanted in ((None, DESCRIBE), ("Name the bird.", "Name the bird.")):
        captioner = load(llava, instruction=given)
        inputs = captioner._inputs([Image.new("RGB", (20, 20))])
        (text,) = captioner.processor.tokenizer.batch_decode(inputs["input_ids"])
        assert text == f"<s>user\n{'<image>' * 4}{wanted}</s>\n<s>assistant\n"


def test_a_plain_captioner_gets_no_text_unless_told_and_the_text_is_taken_off(folder: Path, git: Path) -> None:
    captioner = load(git)
    assert "input_ids" not in captioner._inputs([Image.new("RGB", (20, 20))])
    captioner = load(git, instruction="a photo of")
    assert captioner._inputs([Image.new("RGB", (20, 20))])["input_ids"].shape == (1, 10)
    ended = {"input_ids": torch.tensor([[65, 66, 258]]), "attention_mask": torch.ones(1, 3)}
    captioner.processor = lambda **_: dict(ended)
    assert captioner._inputs([Image.new("RGB", (20, 20))])["input_ids"].tolist() == [[65, 66]]
    assert list(load(git, instruction="a photo of").caption(requests(0), 1))


@pytest.mark.parametrize(
    ("kind", "instruction", "said", "caption"),
    [
        ("git", "a photo of", " A Photo of a bird", " a bird"),
        ("git", "a photo of", "a bird, a photo of it", "a bird, a photo of it"),
        ("git", None, "a photo of a bird", "a photo of a bird"),
        ("llava", "a photo of", "a photo of a bird", "a photo of a bird"),  # a chat model's answer holds no prompt
    ],
)
def test_what_a_plain_captioner_repeats_is_taken_off(
    request: pytest.FixtureRequest, kind: str, instruction: str | None, said: str, caption: str
) -> None:
    assert load(request.getfixturevalue(kind), instruction=instruction)._without_prompt(said) == caption


def test_an_answer_begins_after_what_the_model_was_told(git: Path, tmp_path: Path) -> None:
    """GIT's begins with the prompt; BLIP takes its prompt's end off itself; Florence-2's decoder begins with one."""
    told = {"input_ids": torch.zeros((2, 7), dtype=torch.long)}
    blip, florence = write_tiny_blip(tmp_path / "blip"), write_tiny_florence2(tmp_path / "florence")
    assert load(git)._prompt({}) == 1
    assert [load(each, instruction="<CAPTION>")._prompt(told) for each in (git, blip, florence)] == [7, 6, 1]


def test_models_that_cant_be_loaded(tmp_path: Path) -> None:
    folder = write_tiny_git(tmp_path / "git")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelFilesError, match="only pickled weights"):
        load(folder)
    (folder / "pytorch_model.bin").rename(folder / "model.safetensors")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelFilesError, match="can't be loaded by transformers' AutoProcessor"):
        load(folder)
    with pytest.raises(ModelFilesError, match="isn't there"):
        load(tmp_path / "none")


def test_batch_size_and_device_are_checked(git: Path) -> None:
    with pytest.raises(ValueError, match="batch_size is 0"):
        list(load(git).caption(requests(0), 0))
    with pytest.raises(ValueError, match="no CUDA device"):
        Captioner.load(git, Decoding(), device="cuda:7")


# ---- behind an endpoint ------------------------------------------------------------------------------


def seen(server: ChatServer, **settings: Any) -> VisionEndpoint:
    where = EndpointSettings(server.url, "eyes", retries=Retries(2, 0.01, 1), timeout=30)
    return VisionEndpoint(Endpoint(where, Decoding(50)), **settings)


def test_a_picture_travels_as_a_data_url() -> None:
    jpeg, webp = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (8, 8), (200, 10, 10)).save(jpeg, "JPEG")
    Image.new("RGB", (8, 8), (200, 10, 10)).save(webp, "WEBP", lossless=True)
    images = {"p": picture(0), "j": jpeg.getvalue(), "w": webp.getvalue()}
    asked = [CaptionRequest(name, image) for name, image in images.items()]
    with chat_server(scripted(says("a red\nsquare"))) as server:
        found = list(seen(server, instruction="Say what you see.").caption(asked, 1))
        parts = [body["messages"][0]["content"] for body in server.bodies]
    assert texts(found) == ["a red square"] * 3
    assert all(part[0] == {"type": "text", "text": "Say what you see."} for part in parts)
    kinds, data = zip(*(part[1]["image_url"]["url"].split(";base64,") for part in parts), strict=True)
    assert kinds == ("data:image/png", "data:image/jpeg", "data:image/png")
    assert [base64.b64decode(each) for each in data[:2]] == [asked[0].image, asked[1].image]
    assert Image.open(io.BytesIO(base64.b64decode(data[2]))).getpixel((0, 0)) == (200, 10, 10)


def test_bad_pictures_refusals_and_silence_are_rejects() -> None:
    replies = {picture(1): fails(400, "too large"), picture(2): says("")}

    def script(number: int, body: dict[str, Any]) -> Any:
        data = base64.b64decode(body["messages"][0]["content"][1]["image_url"]["url"].partition(",")[2])
        return replies.get(data, says("a bird"))

    asked = [*requests(0, 1, 2), CaptionRequest("bad", b"<html>")]
    with chat_server(script) as server:
        found = list(seen(server).caption(asked, 4))
        said = [body["messages"][0]["content"][0]["text"] for body in server.bodies]
    assert texts(found) == ["a bird", "caption_refused", "empty_caption", "unreadable_image"]
    assert sorted(said) == [DESCRIBE] * 3 + [f"{DESCRIBE} {AGAIN}"]  # what said nothing is asked once more


def test_a_picture_without_a_word_gets_its_caption_from_the_second_question() -> None:
    with chat_server(scripted(says("a bird"), says(""), says("a bird on a lak", finish="length"))) as server:
        one, other = seen(server, cache=None, longest=99).caption(requests(0, 1), 2)
        again = server.bodies[2]["messages"][0]["content"][0]["text"]
    assert {(one.caption, one.cut), (other.caption, other.cut)} == {("a bird", False), ("a bird on a", True)}
    assert again == f"{DESCRIBE} {AGAIN}" and len(server.bodies) == 3


def test_a_server_without_eyes_or_with_a_login_page_is_an_error() -> None:
    with chat_server(scripted(fails(400, "this model reads no pictures"))) as server:
        with pytest.raises(RuntimeError, match=r"not even 'a grey picture'.*reads no pictures"):
            list(seen(server).caption(requests(0, 1), 2))
        assert "data:image/png" in str(server.bodies[-1])
    with chat_server(scripted(HTML)) as server, pytest.raises(EndpointError, match="web page"):
        list(seen(server).caption(requests(0), 2))


def test_a_picture_is_paid_for_once(tmp_path: Path) -> None:
    cache = AnswerCache(str(tmp_path))
    with chat_server(scripted(says("a bird"))) as server:
        assert texts(seen(server, cache=cache).caption(requests(0, 1), 2)) == ["a bird"] * 2
    with chat_server(scripted(says("new"))) as server:
        assert texts(seen(server, cache=cache).caption(requests(1, 0, 2), 2)) == ["a bird", "a bird", "new"]
        assert texts(seen(server, cache=cache, instruction="other").caption(requests(0), 2)) == ["new"]
        assert len(server.bodies) == 2
    with chat_server(scripted(says("x"))) as server, pytest.raises(ValueError, match="batch_size is 0"):
        list(seen(server).caption(requests(0), 0))


def test_a_result_in_any_script() -> None:
    assert captioned("a", "птица", 100) == CaptionResult("a", "птица", "ok")


def test_florence2_is_told_its_task(tmp_path: Path) -> None:
    """Without one its processor would ask nothing of the picture, with a warning in a log."""
    folder = write_tiny_florence2(tmp_path / "florence")
    captioner = load(folder)
    asked = captioner.processor.batch_decode(captioner._inputs([Image.new("RGB", (20, 20))])["input_ids"])
    assert asked == ["<image>" * 17 + "<s>What does the image describe?</s>"]
    more = load(folder, instruction="<DETAILED_CAPTION>")
    (longer,) = more.processor.batch_decode(more._inputs([Image.new("RGB", (20, 20))])["input_ids"])
    assert longer.endswith("<s>Describe in detail what is shown in the image.</s>")
    assert len(texts(captioner.caption(requests(1, 2, 3), 2))) == 3
    assert own_instruction(folder, None) == captioner.instruction == "<CAPTION>"


def test_a_model_that_is_told_nothing_is_refused(llava: Path, git: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(llava, tmp_path / "llava"))
    (folder / "chat_template.jinja").unlink()
    for instruction in (None, ""):
        with pytest.raises(ModelFilesError, match="a llava without a chat template doesn't describe a picture"):
            own_instruction(folder, instruction)
    with pytest.raises(ModelFilesError, match="a llava without a chat template"):
        load(folder)
    assert own_instruction(folder, "a picture of") == "a picture of"
    assert [own_instruction(good, given) for good in (llava, git) for given in (None, "")] == [None, "", None, ""]
