"""Editors on tiny real pipelines: same bytes, what isn't masked stays, rejects, and errors that are none."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fairshards.generators.checkpoints.model_files import ModelFilesError
from fairshards.generators.editing.base import EditRequest, EditResult, instruction
from fairshards.generators.editing.diffusion_editor import DiffusionEditor
from fairshards.generators.editing.inpainting import Inpainting
from fairshards.generators.editing.instruct_edit import IMAGE_GUIDANCE_SCALE, STEPS, InstructEdit
from fairshards.generators.editing.masks import Pixels, dilate
from tests.tiny_editors import write_tiny_inpainting, write_tiny_instruct

NAMES = ["inpaint4", "inpaint9", "instruct"]


@pytest.fixture(scope="module")
def inpaint4(tiny_folder: Path) -> Inpainting:
    """The tiny text-to-image checkpoint: latent masking."""
    return Inpainting.load(tiny_folder, device="cpu")


@pytest.fixture(scope="module")
def inpaint9(tmp_path_factory: pytest.TempPathFactory) -> Inpainting:
    return Inpainting.load(write_tiny_inpainting(tmp_path_factory.mktemp("tiny") / "inpaint"), device="cpu")


@pytest.fixture(scope="module")
def instruct(tmp_path_factory: pytest.TempPathFactory) -> InstructEdit:
    return InstructEdit.load(write_tiny_instruct(tmp_path_factory.mktemp("tiny") / "instruct"), device="cpu")


@pytest.fixture
def editor(request: pytest.FixtureRequest) -> DiffusionEditor:
    found: DiffusionEditor = request.getfixturevalue(request.param)
    return found


def requests(count: int, size: tuple[int, int] = (32, 32), **changes: Any) -> list[EditRequest]:
    random = np.random.default_rng(0)
    mask = np.zeros(size, bool)
    mask[size[0] // 4 : size[0] // 2, size[1] // 4 : -4] = True
    settings: dict[str, Any] = {"steps": 3, "guidance_scale": 3.0, "mask": mask, **changes}
    return [
        EditRequest(
            sample_id=f"{index:032x}",
            noise_seed=100 + index,
            prompt=f"a photo of forest {index}",
            image=random.integers(0, 256, (*size, 3), dtype=np.uint8),
            **settings,
        )
        for index in range(count)
    ]


def make(editor: DiffusionEditor, asked: list[EditRequest], size: int = 2) -> list[EditResult]:
    return list(editor.edit(asked, size))


def pixels(result: EditResult) -> Pixels:
    assert result.png is not None, result
    return np.asarray(Image.open(io.BytesIO(result.png)))


@pytest.mark.parametrize("editor", NAMES, indirect=True)
def test_edits_are_pngs_in_order_and_the_same_again(editor: DiffusionEditor) -> None:
    asked = requests(3)
    results = make(editor, asked)
    assert [(result.sample_id, result.status, result.width, result.height) for result in results] == [
        (request.sample_id, "ok", 32, 32) for request in asked
    ]
    assert len({result.image_sha256 for result in results}) == 3
    assert make(editor, asked) == results


@pytest.mark.parametrize("editor", NAMES, indirect=True)
def test_an_edit_does_not_depend_on_the_rest_of_its_batch(editor: DiffusionEditor) -> None:
    asked = requests(3)
    whole = make(editor, asked)
    assert [make(editor, [request])[0] for request in asked] == whole


@pytest.mark.parametrize("editor", NAMES, indirect=True)
@pytest.mark.parametrize("size", [(32, 32), (48, 90)])
def test_what_is_not_masked_is_the_sources_own(editor: DiffusionEditor, size: tuple[int, int]) -> None:
    for request, result in zip(asked := requests(2, size), make(editor, asked), strict=True):
        made, mask = pixels(result), request.mask
        assert mask is not None and made.shape == request.image.shape
        assert np.array_equal(made[~mask], request.image[~mask])
        assert (made[mask] != request.image[mask]).mean() > 0.5


def test_feathering_blends_a_rim_and_no_more(inpaint4: Inpainting) -> None:
    soft = Inpainting(inpaint4.pipeline, feather=16)
    (request,) = requests(1, (64, 64))
    assert request.mask is not None and soft.radius(request) == 2
    made, outside = pixels(make(soft, [request])[0]), ~dilate(request.mask, 2)
    assert np.array_equal(made[outside], request.image[outside])
    assert (made[~request.mask & ~outside] != request.image[~request.mask & ~outside]).any()


def test_an_instruction_without_a_mask_edits_all(instruct: InstructEdit) -> None:
    (request,) = requests(1, (40, 50), mask=None)
    made = pixels(make(instruct, [request])[0])
    assert made.shape == (40, 50, 3) and (made != request.image).mean() > 0.9


@pytest.mark.parametrize("editor", NAMES, indirect=True)
def test_what_is_asked_reaches_the_model(editor: DiffusionEditor) -> None:
    (request,) = requests(1)
    variants = [
        request,
        replace(request, noise_seed=7),
        replace(request, prompt="a lake"),
        replace(request, steps=4),
        replace(request, negative_prompt="a bird"),
        replace(request, guidance_scale=6.0),
        replace(request, image=255 - request.image),
    ]
    assert len({make(editor, [variant], 1)[0].image_sha256 for variant in variants}) == len(variants)


def test_strength_and_image_guidance_reach_the_model(inpaint4: Inpainting, instruct: InstructEdit) -> None:
    asked = requests(1)
    assert make(Inpainting(inpaint4.pipeline, strength=0.5), asked) != make(inpaint4, asked)
    assert make(InstructEdit(instruct.pipeline, image_guidance_scale=2.0), asked) != make(instruct, asked)


def test_pixels_are_those_of_diffusers_own_inpainting(inpaint9: Inpainting) -> None:
    (request,) = requests(1)
    assert request.mask is not None
    theirs = inpaint9.pipeline(
        request.prompt,
        image=Image.fromarray(request.image),
        mask_image=Image.fromarray(request.mask).convert("L"),
        height=32,
        width=32,
        num_inference_steps=3,
        guidance_scale=3.0,
        output_type="pil",
        generator=[torch.Generator("cpu").manual_seed(request.noise_seed)],
    ).images[0]
    made = pixels(make(inpaint9, [request], 1)[0])
    assert np.array_equal(made[request.mask], np.asarray(theirs)[request.mask])


def test_the_published_settings_are_the_defaults(instruct: InstructEdit) -> None:
    assert (STEPS, EditRequest("", 0, np.zeros((1, 1, 3), np.uint8), None, "").guidance_scale) == (100, 7.5)
    assert instruct.image_guidance_scale == IMAGE_GUIDANCE_SCALE == 1.5
    assert type(instruct.pipeline.scheduler).__name__ == "EulerAncestralDiscreteScheduler"
    assert instruction("background", "a lake", "a desert") == "turn the background of a lake into a desert."
    assert instruction("foreground", "a reed", None) == "remove a reed."
    assert instruction("foreground", "a reed", "a post") == "turn a reed into a post."
    with pytest.raises(ValueError, match="no replacement"):
        instruction("background", "a lake", "")


def decoding(editor: DiffusionEditor, change: Callable[[torch.Tensor], None]) -> Callable[..., Any]:
    decode = editor.pipeline.vae.decode

    def changed(latents: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        made = decode(latents, *args, **kwargs)
        change(made[0])
        return made

    return changed


@pytest.mark.parametrize("editor", NAMES, indirect=True)
def test_a_nan_picture_is_a_reject_and_the_others_stand(
    editor: DiffusionEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = requests(2)
    clean = make(editor, asked)

    def poison(made: torch.Tensor) -> None:
        made[1] = float("inf")

    monkeypatch.setattr(editor.pipeline.vae, "decode", decoding(editor, poison))
    results = make(editor, asked)
    assert results[0] == clean[0]
    assert (results[1].status, results[1].reason, results[1].png) == ("reject", "nan_image", None)


def test_a_prompt_that_fails_is_a_reject_and_a_machine_that_fails_an_error(
    inpaint4: Inpainting, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = requests(3)
    clean = make(inpaint4, asked)
    encode = inpaint4.pipeline.encode_prompt

    def picky(prompts: list[str], *args: Any, **kwargs: Any) -> Any:
        if any("forest 1" in prompt for prompt in prompts):
            raise ValueError("can't tokenize")
        return encode(prompts, *args, **kwargs)

    monkeypatch.setattr(inpaint4.pipeline, "encode_prompt", picky)
    results = make(inpaint4, asked, 3)
    assert [result.reason for result in results] == [None, "edit_failed", None]
    assert "can't tokenize" in (results[1].detail or "")
    monkeypatch.setattr(inpaint4.pipeline, "encode_prompt", encode)
    assert make(inpaint4, asked) == clean

    def exhausted(*args: Any, **kwargs: Any) -> None:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(inpaint4.pipeline.unet, "forward", exhausted)
    with pytest.raises(torch.OutOfMemoryError):
        make(inpaint4, asked)


def test_a_fill_of_one_colour_in_a_picture_of_that_colour_is_blank(
    inpaint4: Inpainting, monkeypatch: pytest.MonkeyPatch
) -> None:
    black = replace(requests(1)[0], image=np.zeros((32, 32, 3), np.uint8))
    monkeypatch.setattr(inpaint4.pipeline.vae, "decode", decoding(inpaint4, lambda made: made.fill_(-1)))
    assert make(inpaint4, [black])[0].reason == "blank_image"
    assert make(inpaint4, requests(1))[0].status == "ok"


def test_requests_and_settings_that_could_not_work_are_refused(inpaint4: Inpainting, instruct: InstructEdit) -> None:
    (request,) = requests(1)
    with pytest.raises(ValueError, match="has no mask"):
        make(inpaint4, [replace(request, mask=None)])
    with pytest.raises(ValueError, match=r"mask of \(3, 3\) for a picture of \(32, 32\)"):
        make(instruct, [replace(request, mask=np.ones((3, 3), bool))])
    with pytest.raises(ValueError, match="batch_size is 0"):
        make(inpaint4, [request], 0)
    with pytest.raises(ValueError, match="strength is 0"):
        Inpainting(inpaint4.pipeline, strength=0)
    with pytest.raises(ValueError, match=r"image_guidance_scale is 0\.5"):
        InstructEdit(instruct.pipeline, image_guidance_scale=0.5)
    with pytest.raises(ValueError, match="eta"):
        make(instruct, [replace(request, eta=0.5)])


def test_another_kind_of_model_is_refused(tiny_folder: Path, pixel_folder: Path) -> None:
    with pytest.raises(ModelFilesError):
        Inpainting.load(pixel_folder / "unet", device="cpu")
    with pytest.raises(ValueError, match="did you mean"):
        Inpainting.load(tiny_folder, device="cpu", scheduler="DDIMSchedular")


def test_bfloat16_runs_under_autocast(tiny_folder: Path) -> None:
    editor = Inpainting.load(tiny_folder, device="cpu", dtype="bfloat16")
    results = make(editor, requests(2, eta=0.5))
    assert [result.status for result in results] == ["ok", "ok"] and make(editor, requests(2, eta=0.5)) == results
