"""The captioner: its start from pocket-clip, its training, its folder, and what counts as named rightly."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from fairshards.pocket import checkpoint_path
from fairshards.pocket.networks.captioner import (
    captioner_tokenizer,
    describe,
    new_captioner,
    save_captioner,
    start_from_clip,
)
from fairshards.pocket.networks.clip_towers import clip_state, text_weights, vision_weights
from fairshards.pocket.scenes.pictures import to_unit, training_scenes
from fairshards.pocket.scenes.render import render, scenes
from fairshards.pocket.scenes.scene import COLOURS, Scene, draw_scene
from fairshards.pocket.training.train_captioner import (
    IGNORED,
    caption_tokens,
    captioner_accuracy,
    captions_of,
    names_object,
    names_rightly,
    train_captioner,
)
from tests.pocket.conftest import TinyTraining

TRAINED = checkpoint_path("pocket-captioner")
SIZES = {"steps": 4, "batch": 2, "pictures": 8, "heldout": 4}


def pictures(there: list[Scene]) -> torch.Tensor:
    return torch.from_numpy(np.stack([render(scene)[0] for scene in there])).permute(0, 3, 1, 2)


def test_the_image_tower_starts_as_that_of_pocket_clip() -> None:
    clip = open_clip.create_model_and_transforms(f"local-dir:{checkpoint_path('pocket-clip')}")[0].eval()
    model = new_captioner(captioner_tokenizer()).eval()
    start_from_clip(model)
    pixels = to_unit(pictures(training_scenes("tests", 3)))
    with torch.inference_mode():
        first = model.git.image_encoder(pixels).last_hidden_state[:, 0]
        assert torch.allclose(first @ clip.visual.proj, clip.encode_image(pixels), atol=1e-4)


def test_towers_hold_every_weight_of_pocket_clip_once() -> None:
    state = clip_state()
    left_out = {"visual.proj", "text_projection", "logit_scale"}
    wanted = sum(value.numel() for name, value in state.items() if name not in left_out)
    made = [*vision_weights(state).values(), *text_weights(state).values()]
    assert sum(value.numel() for value in made) == wanted


def test_training_is_reproducible_and_resumes_exactly(train_tiny: TinyTraining, tmp_path: Path) -> None:
    whole = train_tiny("pocket-captioner", train_captioner, "whole", **SIZES)
    train_tiny("pocket-captioner", train_captioner, "parts", stop=2, **SIZES)
    parts = train_tiny("pocket-captioner", train_captioner, "parts", **SIZES)
    assert (whole / "model.safetensors").read_bytes() == (parts / "model.safetensors").read_bytes()
    logged = (tmp_path / "logs" / "captioner-quality.csv").read_text().splitlines()
    assert logged[0] == "step,count,named,object" and len(logged) == 3


def test_the_folder_loads_with_the_auto_classes_and_captions(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = new_captioner(captioner_tokenizer()).eval()
    save_captioner(model, tmp_path)
    assert {value.dtype for value in load_file(tmp_path / "model.safetensors").values()} == {torch.float16}
    assert str(Path.home()) not in (tmp_path / "config.json").read_text()
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32).eval()
    images = pictures(training_scenes("tests", 2))
    inputs = AutoProcessor.from_pretrained(tmp_path)(images=list(images), return_tensors="pt")
    assert torch.allclose(inputs.pixel_values, to_unit(images), atol=1e-5)
    ids = torch.tensor([[model.config.bos_token_id, 5, 6]] * 2)
    with torch.inference_mode():
        pair = [each(input_ids=ids, pixel_values=inputs.pixel_values).logits for each in (model, loaded)]
        assert loaded.generate(**inputs).shape[1] <= 24
    assert torch.allclose(*pair, atol=1e-2)
    assert len(describe(tmp_path, images)) == 2


def test_training_captions_always_name_the_colour_and_the_object() -> None:
    there = training_scenes("captioner", 40)
    assert 10 < sum(scene.object is not None for scene in there) < 30
    for scene in there:
        for caption in captions_of(scene):
            assert names_rightly(caption, scene) and names_object(caption, scene), caption
    assert captions_of(there[0]) == captions_of(there[0])


def test_tokens_begin_and_end_and_padding_is_ignored() -> None:
    tokenizer, there = captioner_tokenizer(), training_scenes("captioner", 6)
    ids, labels = caption_tokens(there, tokenizer)
    assert ids.shape == labels.shape and (ids[..., 0] == tokenizer.bos_token_id).all()
    assert ((labels == tokenizer.eos_token_id).sum(-1) == 1).all()
    assert ((labels == IGNORED) == (ids == tokenizer.pad_token_id)).all()
    assert tokenizer.decode(ids[2, 1], skip_special_tokens=True).strip() == captions_of(there[2])[1]


@pytest.mark.parametrize(
    ("caption", "rightly"),
    [
        ("a photo of a red landbird in the woods", True),
        ("a red landbird next to a rock on land", True),
        ("a red waterbird on land", False),
        ("a red landbird on water", False),
        ("a pink landbird on land", False),
        ("a landbird on land", False),
        ("a red landbird", False),
        ("a red landbird and a waterbird on land", False),
        ("a red landbird on land on water", False),
        ("a red pink landbird on land", False),
        ("", False),
    ],
)
def test_what_is_named_rightly(caption: str, rightly: bool) -> None:
    scene = replace(draw_scene("tests", 0, 0, "landbird", "land"), colour="red", object=None)
    assert names_rightly(caption, scene) is rightly


def test_objects_are_judged_apart() -> None:
    scene = replace(draw_scene("tests", 0, 0, "landbird", "land"), colour=COLOURS[0], object="reed")
    assert names_object("a landbird with a reed", scene)
    assert not names_object("a landbird with a rock", scene) and not names_object("a landbird", scene)
    assert not names_object("a landbird with a reed", replace(scene, object=None))


@pytest.mark.skipif(not TRAINED.exists(), reason="not trained yet: python -m fairshards.pocket.train captioner")
def test_trained_captions_of_unseen_pictures() -> None:
    there = [sample.scene for sample in scenes("tests", 0, 40)]
    assert captioner_accuracy(TRAINED, pictures(there), there)[0] >= 0.9
