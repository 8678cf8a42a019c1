"""CLIPSeg, and Grounding DINO with SAM, on tiny real checkpoints: sizes, padded batches, thresholds, unions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fairshards.generators.checkpoints.model_files import ModelFilesError
from fairshards.generators.editing.clipseg import ClipSeg
from fairshards.generators.editing.grounded_sam import BOXES, GroundedSam
from fairshards.generators.editing.masks import Pixels
from fairshards.generators.editing.segmentation import MaskRequest, load_segmenter, masks
from tests.tiny_editors import write_tiny_clipseg, write_tiny_grounding_dino, write_tiny_sam

Folders = dict[str, Path]
PHRASES = ("a bird", "water", "a very long phrase about the reeds beside the lake, " * 5, "", "鳥")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    root = tmp_path_factory.mktemp("segmenters")
    return {
        "clipseg": write_tiny_clipseg(root / "clipseg"),
        "dino": write_tiny_grounding_dino(root / "dino"),
        "sam": write_tiny_sam(root / "sam"),
    }


@pytest.fixture(scope="module")
def clipseg(folders: Folders) -> ClipSeg:
    return ClipSeg.load(folders["clipseg"], device="cpu")


@pytest.fixture(scope="module")
def grounded(folders: Folders) -> GroundedSam:
    """Untrained, so that every query has a score near a half: all of them are boxes."""
    return GroundedSam.load(folders["dino"], folders["sam"], device="cpu", threshold=1e-4, text_threshold=1e-4)


def pictures() -> list[Pixels]:
    random = np.random.default_rng(0)
    sizes = [(48, 80), (32, 32), (64, 64), (90, 20), (48, 80)]
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


@pytest.mark.parametrize("name", ["clipseg", "grounded"])
def test_masks_have_their_pictures_sizes_and_are_the_same_again(name: str, request: pytest.FixtureRequest) -> None:
    segmenter, images = request.getfixturevalue(name), pictures()
    found = list(segmenter.segment(images, PHRASES, 2))
    assert [mask.shape for mask in found] == [image.shape[:2] for image in images]
    assert all(mask.dtype == bool for mask in found)
    for mask, again in zip(found, segmenter.segment(images, PHRASES, 2), strict=True):
        assert np.array_equal(mask, again)


@pytest.mark.parametrize("name", ["clipseg", "grounded"])
def test_a_mask_does_not_depend_on_the_rest_of_its_batch(name: str, request: pytest.FixtureRequest) -> None:
    segmenter, images = request.getfixturevalue(name), pictures()
    together = list(segmenter.segment(images, PHRASES, 3))
    for row, (image, phrase) in enumerate(zip(images, PHRASES, strict=True)):
        (alone,) = segmenter.segment([image], [phrase], 3)
        assert np.array_equal(alone, together[row])


def test_every_call_of_clipseg_has_the_same_shapes(clipseg: ClipSeg, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes, forward = set(), clipseg.model.forward

    def watch(*args: object, **inputs: torch.Tensor) -> object:
        shapes.add(
            tuple(
                sorted((name, tuple(value.shape)) for name, value in inputs.items() if isinstance(value, torch.Tensor))
            )
        )
        return forward(*args, **inputs)

    monkeypatch.setattr(clipseg.model, "forward", watch)
    assert len(list(clipseg.segment(pictures(), PHRASES, 2))) == 5
    assert len(shapes) == 1
    assert dict(next(iter(shapes)))["pixel_values"] == (2, 3, 64, 64)


def test_a_higher_threshold_masks_less(clipseg: ClipSeg) -> None:
    found = [
        next(ClipSeg(clipseg.model, clipseg.processor, "cpu", threshold).segment(pictures(), PHRASES, 2))
        for threshold in (0.2, 0.5, 0.8)
    ]
    assert found[0].sum() > found[1].sum() > found[2].sum()
    assert not (found[2] & ~found[0]).any()


def test_boxes_are_inside_their_pictures_and_the_mask_is_their_union(grounded: GroundedSam) -> None:
    image = pictures()[0]
    (boxes,) = grounded.boxes([(image, "a bird")])
    assert len(boxes) == 6
    assert all(0 <= x0 <= x1 <= 80 and 0 <= y0 <= y1 <= 48 for x0, y0, x1, y1 in boxes)
    inputs = grounded.sam_processor(images=[image], return_tensors="pt")
    sizes = (inputs["original_sizes"][0].tolist(), inputs["reshaped_input_sizes"][0].tolist())
    with torch.inference_mode():
        embedded = grounded.sam.get_image_embeddings(inputs["pixel_values"])
    single = [grounded._union(embedded, [own], *sizes) for own in boxes]
    (union,) = grounded.segment([image], ["a bird"], 1)
    assert np.array_equal(union, np.logical_or.reduce(single))
    many = grounded._union(embedded, boxes * (BOXES // 2), *sizes)
    assert np.array_equal(many, union)


def test_sams_boxes_are_scaled_as_its_own_processor_does(grounded: GroundedSam) -> None:
    image, own = pictures()[0], [10.0, 5.0, 60.0, 40.0]
    inputs = grounded.sam_processor(images=[image], input_boxes=[[own]], return_tensors="pt")
    with torch.inference_mode():
        made = grounded.sam(
            pixel_values=inputs["pixel_values"], input_boxes=inputs["input_boxes"].float(), multimask_output=False
        ).pred_masks
        embedded = grounded.sam.get_image_embeddings(inputs["pixel_values"])
    theirs = grounded.sam_processor.post_process_masks(made, inputs["original_sizes"], inputs["reshaped_input_sizes"])[
        0
    ][0, 0]
    ours = grounded._union(
        embedded, [own], inputs["original_sizes"][0].tolist(), inputs["reshaped_input_sizes"][0].tolist()
    )
    assert np.array_equal(ours, theirs.numpy())


def test_where_nothing_is_found_the_mask_is_empty_and_sam_is_not_asked(
    grounded: GroundedSam, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = GroundedSam(
        (grounded.detector, grounded.detector_processor), (grounded.sam, grounded.sam_processor), "cpu", threshold=1.0
    )
    monkeypatch.setattr(grounded.sam, "get_image_embeddings", None)
    image = pictures()[0]
    (result,) = masks(blind, [MaskRequest(image, "a bird")], 2)
    assert (result.mask, result.share, result.reason) == (None, 0.0, "mask_empty")
    (behind,) = masks(blind, [MaskRequest(image, "a bird", "background")], 2)
    assert (behind.mask, behind.share, behind.reason) == (None, 1.0, "mask_full")


def test_the_published_thresholds_are_the_defaults(folders: Folders) -> None:
    segmenter = load_segmenter(folders["dino"], folders["sam"], device="cpu")
    assert isinstance(segmenter, GroundedSam)
    assert (segmenter.threshold, segmenter.text_threshold) == (0.30, 0.25)


def test_loading_says_what_is_wrong(folders: Folders, tmp_path: Path) -> None:
    assert isinstance(load_segmenter(folders["clipseg"], device="cpu", threshold=0.6), ClipSeg)
    with pytest.raises(ModelFilesError, match="isn't there"):
        load_segmenter(tmp_path / "nowhere")
    with pytest.raises(ModelFilesError, match="CLIPSegForImageSegmentation"):
        load_segmenter(folders["dino"], device="cpu")
    with pytest.raises(ModelFilesError, match="SamModel"):
        load_segmenter(folders["dino"], folders["clipseg"], device="cpu")
    with pytest.raises(ValueError, match=r"threshold is 1\.5"):
        load_segmenter(folders["clipseg"], threshold=1.5)
    with pytest.raises(ValueError, match="no text_threshold"):
        load_segmenter(folders["clipseg"], text_threshold=0.2)


@pytest.mark.parametrize("name", ["clipseg", "grounded"])
def test_no_requests_and_no_batch(name: str, request: pytest.FixtureRequest) -> None:
    segmenter = request.getfixturevalue(name)
    assert list(segmenter.segment([], [], 2)) == []
    with pytest.raises(ValueError, match="batch_size is 0"):
        list(segmenter.segment(pictures(), PHRASES, 0))
