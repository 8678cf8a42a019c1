"""What a script would write in place of each stage: loops of library calls over picture files.

The models are the stage's own, as transformers, diffusers, open_clip and torch know them; batches have the same rows.
A loop does what its outputs need and no more: no shards, manifests, checks or retries.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image, ImageFilter

from fairshards.generators.images import COMPRESS_LEVEL

T = TypeVar("T")
Row = Mapping[str, Any]
STEPS = 32
"""Points on the way from one picture to the other, for integrated gradients."""


def chunks(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield ``rows`` in batches of at most ``size``."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def opened(file: Path) -> Image.Image:
    """Return a picture file as RGB."""
    return Image.open(file).convert("RGB")


def png(picture: Image.Image) -> bytes:
    """Return a picture as PNG, at the level that the stages use."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=COMPRESS_LEVEL)
    return buffer.getvalue()


def written(model: Any, inputs: Mapping[str, Any], longest: int) -> Any:
    """Return the tokens that a text model writes, decoding greedily."""
    with torch.inference_mode():
        return model.generate(**inputs, max_new_tokens=longest, max_length=None, do_sample=False, num_beams=1)


def caption(model: Any, processor: Any, files: Sequence[Path], batch: int, longest: int) -> list[str]:
    """Return a caption of each picture."""
    said: list[str] = []
    for part in chunks(files, batch):
        inputs = processor(images=[opened(file) for file in part], return_tensors="pt")
        said += processor.batch_decode(written(model, inputs, longest), skip_special_tokens=True)
    return [text.strip() for text in said]


def extract(model: Any, tokenizer: Any, captions: Sequence[str], batch: int, longest: int) -> list[Any]:
    """Return what a sequence-to-sequence model takes out of each caption, read as JSON."""
    answers: list[str] = []
    for part in chunks(captions, batch):
        inputs = tokenizer(list(part), padding=True, return_tensors="pt", return_token_type_ids=False)
        answers += tokenizer.batch_decode(written(model, inputs, longest), skip_special_tokens=True)
    return [json.loads(answer) for answer in answers]


def score(
    clip: Any, texts: Mapping[str, Any], classes: Any, biases: Any, files: Sequence[Path], rows: Sequence[Row]
) -> list[list[float]]:
    """Return CLIP's cosine with the prompt, the judge's two probabilities, and the distance from grey, of each."""
    found = []
    for part in chunks(list(zip(files, rows, strict=True)), clip.batch_size):
        pictures = [opened(file) for file, _ in part]
        for picture, seen, (_, row) in zip(pictures, embedded(clip, pictures), part, strict=True):
            levels = np.asarray(picture).reshape(-1, 3).mean(0)
            found.append(
                [
                    float(texts[row["prompt"]] @ seen),
                    softmax(100 * (classes @ seen))[row["y"]],
                    softmax(100 * (biases @ seen))[row["b"]],
                    float(abs(levels.mean() - levels[0])),
                ]
            )
    return found


def embedded(clip: Any, pictures: Sequence[Image.Image]) -> Any:
    """Return one batch of pictures' embeddings (n, d)."""
    pixels = torch.stack([clip.preprocess(picture) for picture in pictures])
    with torch.inference_mode():
        return clip.model.encode_image(pixels, normalize=True).float().numpy()


def softmax(logits: Any) -> list[float]:
    """Return probabilities."""
    weights = np.exp(logits - logits.max())
    return [float(weight) for weight in weights / weights.sum()]


def edit(
    segmenter: Any, editor: Any, dilate: int, files: Sequence[Path], rows: Sequence[Row], batch: int
) -> list[bytes]:
    """Segment the phrase of each row, fill the mask as its prompt says, keep the rest; return the PNGs."""
    made: list[bytes] = []
    for part in chunks(list(zip(files, rows, strict=True)), batch):
        pictures, asked = [opened(file) for file, _ in part], [row for _, row in part]
        masks = segmented(segmenter, dilate, pictures, asked)
        filled = editor.pipeline(
            prompt=[row["prompt"] for row in asked],
            image=pictures,
            mask_image=masks,
            height=editor.size[0],
            width=editor.size[1],
            strength=editor.strength,
            num_inference_steps=asked[0]["steps"],
            guidance_scale=asked[0]["guidance_scale"],
            eta=asked[0]["eta"],
            generator=[torch.Generator("cpu").manual_seed(row["noise_seed"]) for row in asked],
        ).images
        made += [png(Image.composite(*three)) for three in zip(filled, pictures, masks, strict=True)]
    return made


def segmented(clipseg: Any, dilate: int, pictures: Sequence[Image.Image], rows: Sequence[Row]) -> list[Image.Image]:
    """Return the masks of pictures of one size: the phrase, grown a little, or all but the phrase."""
    inputs = clipseg.processor(
        text=[row["mask_phrase"] for row in rows],
        images=list(pictures),
        padding="max_length",
        truncation=True,
        max_length=clipseg.model.config.text_config.max_position_embeddings,
        return_tensors="pt",
    )
    with torch.inference_mode():
        shares = clipseg.model(**inputs).logits.sigmoid()[:, None]
        full = torch.nn.functional.interpolate(shares, pictures[0].size[::-1], mode="bilinear", align_corners=False)
    found = (full[:, 0] >= clipseg.threshold).numpy()
    return [
        Image.fromarray(~mask).convert("L")
        if row["kind"] == "background"
        else Image.fromarray(mask).convert("L").filter(ImageFilter.MaxFilter(2 * dilate + 1))
        for mask, row in zip(found, rows, strict=True)
    ]


def edit_test(
    reference: Any, clip: Any, texts: Mapping[str, Any], files: Sequence[tuple[Path, Path, Path]], rows: Sequence[Row]
) -> list[list[float]]:
    """Return of each edit both probabilities of its class, rho, and CLIP's cosines with phrase and replacement.

    ``files`` are the picture before, after, and the mask.
    """
    found = []
    for part in chunks(list(zip(files, rows, strict=True)), clip.batch_size):
        sides = [[opened(paths[side]) for paths, _ in part] for side in (0, 1)]
        pixels = [torch.stack([torch.from_numpy(np.array(one)).permute(2, 0, 1) for one in side]) for side in sides]
        seen = [embedded(clip, side) for side in sides]
        with torch.inference_mode():
            shares = [reference.model(side).softmax(1).tolist() for side in pixels]
        for number, (paths, row) in enumerate(part):
            mask = torch.from_numpy(np.array(Image.open(paths[2]))) > 0
            rho = attributed(reference.model, pixels[0][number], pixels[1][number], mask, row["y"])
            cosines = [
                float(texts[said] @ side[number])
                for said in (row["phrase"], row["replacement"])
                if said
                for side in seen
            ]
            found.append([shares[0][number][row["y"]], shares[1][number][row["y"]], rho, *cosines])
    return found


def attributed(model: Any, before: torch.Tensor, after: torch.Tensor, mask: torch.Tensor, y: int) -> float:
    """Return integrated gradients of all other classes' probability, summed over the mask (DDB's rho)."""
    start, change = before.float(), after.float() - before.float()
    points = start + ((torch.arange(STEPS) + 0.5) / STEPS)[:, None, None, None] * change
    points.requires_grad_(True)
    (gradients,) = torch.autograd.grad((1 - model(points).softmax(1)[:, y]).sum(), points)
    return float((change * gradients.mean(0) * mask).sum())
