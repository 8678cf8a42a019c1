"""The segmenter: what prompts mean, its start from pocket-clip, its training, its folder, its measures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoProcessor, CLIPSegForImageSegmentation

from fairshards.pocket import checkpoint_path
from fairshards.pocket.networks.segmenter import mask_logits, new_segmenter, save_segmenter, segment, start_from_clip
from fairshards.pocket.networks.tokenizer import new_tokenizer
from fairshards.pocket.scenes.pictures import to_unit, training_images, training_masks, training_scenes
from fairshards.pocket.scenes.prompts import BIRD, NOTHING, PLACE, THING, all_prompts, place_texts
from fairshards.pocket.scenes.render import render_layers
from fairshards.pocket.scenes.scene import CLASSES, COLOURS, OBJECTS, draw_scene
from fairshards.pocket.training.train_oracle import augment, mirror, recolour
from fairshards.pocket.training.train_segmenter import (
    PromptTable,
    mask_loss,
    overlap,
    parts_of,
    segmenter_overlaps,
    train_segmenter,
)
from tests.pocket.conftest import TinyTraining

TRAINED = checkpoint_path("pocket-segmenter")
SIZES = {"steps": 4, "batch": 2, "pictures": 8, "heldout": 4}


def layers(count: int, domain: str = "tests") -> tuple[torch.Tensor, torch.Tensor]:
    made = [render_layers(scene) for scene in training_scenes(domain, count)]
    images = torch.from_numpy(np.stack([each.image for each in made])).permute(0, 3, 1, 2)
    return images, torch.from_numpy(np.stack([np.stack([each.bird, each.object]) for each in made]))


def test_prompts_show_what_is_there_and_nothing_else() -> None:
    scene = replace(draw_scene("tests", 0, 0, "landbird", "water"), colour="red", object="reed")
    shown = {prompt.text: prompt.shows(scene) for prompt in all_prompts()}
    for text in ("bird", "landbird", "a landbird", "red bird", "a red bird", "a red landbird"):
        assert shown[text] == BIRD
    assert shown["reed"] == shown["a reed"] == THING
    for text in ("the background", "water", "the water", "sea", "the sea", "a lake"):
        assert shown[text] == PLACE
    for text in (
        "a waterbird",
        "a pink bird",
        "a red waterbird",
        "a pink landbird",
        "a rock",
        "land",
        "the woods",
        "trees",
    ):
        assert shown[text] == NOTHING
    assert shown["forest"] == NOTHING and THING not in {p.shows(replace(scene, object=None)) for p in all_prompts()}


def test_prompts_cover_classes_colours_objects_and_every_captioned_place() -> None:
    texts = [prompt.text for prompt in all_prompts()]
    assert len(texts) == len(set(texts))
    assert {*CLASSES, *OBJECTS, *(f"{colour} bird" for colour in COLOURS)} <= {*texts}
    assert {"water", "the water", "a lake", "the sea"} <= {*place_texts("water")}
    assert {"land", "the land", "a forest", "the woods"} <= {*place_texts("land")}


def test_cached_masks_are_those_of_the_cached_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairshards.pocket.scenes.pictures.CHUNK", 4)
    images, masks = layers(6, "segmenter")
    for _ in range(2):
        assert torch.equal(training_images("segmenter", 6, tmp_path), images)
        assert torch.equal(training_masks("segmenter", 6, tmp_path), masks)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "segmenter-000.npy",
        "segmenter-001.npy",
        "segmenter-masks-000.npy",
        "segmenter-masks-001.npy",
    ]


def test_parts_are_nothing_bird_object_and_all_but_the_bird() -> None:
    _, masks = layers(3)
    parts = parts_of(masks)
    assert not parts[:, NOTHING].any() and torch.equal(parts[:, BIRD], masks[:, 0])
    assert torch.equal(parts[:, THING], masks[:, 1]) and torch.equal(parts[:, PLACE], ~masks[:, 0])


def test_every_part_is_drawn_equally_often() -> None:
    scenes, prompts = training_scenes("segmenter", 40), all_prompts()
    table, generator = PromptTable(scenes, prompts), torch.Generator().manual_seed(0)
    rows = torch.arange(40).repeat(50)
    chosen, shown = table.draw(rows, generator)
    assert all(prompts[chosen[n, 0]].shows(scenes[rows[n]]) == shown[n, 0] for n in range(40))
    for there, parts in ((True, 4), (False, 3)):
        having = torch.tensor([(scenes[row].object is not None) == there for row in rows])
        counts = torch.bincount(shown[having].flatten(), minlength=4)
        assert (counts > 0).sum() == parts
        assert (counts[counts > 0] / counts.sum() - 1 / parts).abs().max() < 0.05


def test_pictures_and_masks_are_mirrored_together() -> None:
    images, masks = layers(8)
    draws = torch.rand(8, 5, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    flipped = draws[:, 0].flatten() < 0.5
    assert 0 < flipped.sum() < 8
    for each in (images, masks):
        assert torch.equal(mirror(each, draws)[flipped], each[flipped].flip(-1))
        assert torch.equal(mirror(each, draws)[~flipped], each[~flipped])
    generator = torch.Generator().manual_seed(0)
    draws = torch.rand(8, 5, 1, 1, 1, generator=generator)
    apart = recolour(mirror(to_unit(images), draws), draws, generator)
    assert torch.equal(apart, augment(to_unit(images), torch.Generator().manual_seed(0)))


def test_loss_falls_with_the_mask_and_does_not_reward_a_present_object_left_out() -> None:
    _, masks = layers(8, "segmenter")
    wanted = masks[:, 1:].float()
    right, empty = mask_loss(wanted * 20 - 10, wanted), mask_loss(torch.full_like(wanted, -10), wanted)
    assert right < 0.01 < 0.4 < empty
    assert mask_loss(torch.full_like(wanted, -10), torch.zeros_like(wanted)) < 0.01


def test_overlap() -> None:
    first, second = torch.zeros(3, 64, 64, dtype=torch.bool), torch.zeros(3, 64, 64, dtype=torch.bool)
    first[0, :2], second[0, 1:3], first[1, 0] = True, True, True
    assert overlap(first, second).tolist() == pytest.approx([1 / 3, 0, 1])


def test_the_text_tower_starts_as_that_of_pocket_clip() -> None:
    folder = f"local-dir:{checkpoint_path('pocket-clip')}"
    clip = open_clip.create_model_and_transforms(folder)[0].eval()
    texts = ["a reed", "the background", "an orange landbird"]
    model, tokenizer = new_segmenter(new_tokenizer()).eval(), new_tokenizer()
    start_from_clip(model)
    ids = tokenizer(texts, padding=True, return_tensors="pt").input_ids
    with torch.inference_mode():
        found = model.get_conditional_embeddings(batch_size=3, input_ids=ids)
        assert torch.allclose(found, clip.encode_text(open_clip.get_tokenizer(folder)(texts)), atol=1e-4)


def test_shared_image_tower_gives_what_the_models_forward_gives() -> None:
    torch.manual_seed(0)
    model, tokenizer, (images, _) = new_segmenter(new_tokenizer()).eval(), new_tokenizer(), layers(2)
    tokens = tokenizer(["bird", "a reed", "the background"], padding=True, return_tensors="pt").input_ids
    chosen = torch.tensor([[2, 0], [1, 2]])
    with torch.inference_mode():
        shared = mask_logits(model, to_unit(images), tokens, chosen)
        for place in (0, 1):
            alone = model(input_ids=tokens[chosen[:, place]], pixel_values=to_unit(images)).logits
            assert torch.allclose(shared[:, place], alone, atol=1e-4)


def test_training_is_reproducible_and_resumes_exactly(train_tiny: TinyTraining, tmp_path: Path) -> None:
    whole = train_tiny("pocket-segmenter", train_segmenter, "whole", **SIZES)
    train_tiny("pocket-segmenter", train_segmenter, "parts", stop=2, **SIZES)
    parts = train_tiny("pocket-segmenter", train_segmenter, "parts", **SIZES)
    assert (whole / "model.safetensors").read_bytes() == (parts / "model.safetensors").read_bytes()
    logged = (tmp_path / "logs" / "segmenter-quality.csv").read_text().splitlines()
    assert logged[0] == "step,count,bird,background,object,absent_empty" and len(logged) == 3


def test_the_folder_loads_and_segments(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model, (images, _) = new_segmenter(new_tokenizer()).eval(), layers(2)
    save_segmenter(model, tmp_path)
    assert {value.dtype for value in load_file(tmp_path / "model.safetensors").values()} == {torch.float16}
    assert str(Path.home()) not in (tmp_path / "config.json").read_text()
    loaded = CLIPSegForImageSegmentation.from_pretrained(tmp_path, dtype=torch.float32).eval()
    texts = ["a reed", "the background"]
    inputs = AutoProcessor.from_pretrained(tmp_path)(text=texts, images=list(images), padding=True, return_tensors="pt")
    assert torch.allclose(inputs.pixel_values, to_unit(images), atol=1e-5)
    with torch.inference_mode():
        pair = [each(**inputs).logits for each in (model, loaded)]
    assert (pair[0] - pair[1]).abs().max() < 0.01 * pair[0].abs().max()
    assert torch.equal(segment(tmp_path, images, texts), pair[1] > 0)
    assert segment(tmp_path, images[:1], texts[:1]).shape == (1, 64, 64)


@pytest.mark.skipif(not TRAINED.exists(), reason="not trained yet: python -m fairshards.pocket.train segmenter")
def test_trained_masks_of_unseen_pictures() -> None:
    found = segmenter_overlaps(TRAINED, *layers(40), training_scenes("tests", 40))
    assert found["bird"] >= 0.8 and found["background"] >= 0.88 and found["object"] >= 0.5
