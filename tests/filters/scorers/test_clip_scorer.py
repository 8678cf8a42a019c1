"""The CLIP scorer on a tiny real open_clip model."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from fairshards.filters.scorers.clip_model import ClipModel, Scale, resolve_clip, stored_scale
from fairshards.filters.scorers.clip_scorer import Answers, ClipScorer, ScoreRequest, ScoreRow
from fairshards.filters.scorers.golden import write_golden
from fairshards.generators.checkpoints.model_files import ModelFilesError
from fairshards.generators.images import encode_png

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 40, 48, 3), np.uint8)
PNGS = [encode_png(pixels) for pixels in PIXELS]
ROWS = [ScoreRequest(f"{index:032x}", f"bird number {index % 3}", index % 2, index % 3) for index in range(7)]


@pytest.fixture
def own_clip(clip_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny CLIP folder that a test may change."""
    return Path(shutil.copytree(clip_folder, tmp_path / "clip"))


def values(rows: list[list[ScoreRow]]) -> list[list[float | None]]:
    return [[row.value for row in sample] for sample in rows]


def test_rows_in_order_with_their_scores(scorer: ClipScorer) -> None:
    made = scorer.score(PNGS, ROWS)
    assert [[row.sample_id for row in sample] for sample in made] == [[row.sample_id] * 4 for row in ROWS]
    names = ["clip_alignment", "judge_class", "judge_bias", "grey_scale"]
    assert [[row.score for row in sample] for sample in made] == [names] * 7
    for alignment, of_class, of_bias, grey in made:
        assert alignment.value is not None and -1 <= alignment.value <= 1 and alignment.label is None
        assert of_class.value is not None and 0 <= of_class.value <= 1
        assert of_class.label in ("landbird", "waterbird") and of_bias.label in ("land", "water", "air")
        assert grey.value is not None and grey.value >= 0
        assert {row.status for row in (alignment, of_class, of_bias, grey)} == {"ok"}


def test_values_are_those_of_open_clip(scorer: ClipScorer, clip_folder: Path) -> None:
    """Cosines and zero-shot probabilities, computed with open_clip's own calls."""
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{clip_folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{clip_folder}")
    model.eval()
    with torch.inference_mode():
        image = model.encode_image(preprocess(Image.fromarray(PIXELS[1]))[None], normalize=True)[0]
        prompt = model.encode_text(tokenizer([ROWS[1].prompt]), normalize=True)[0]
        land = model.encode_text(tokenizer(["a landbird", "a photo of a landbird"]), normalize=True).mean(dim=0)
        water = model.encode_text(tokenizer(["a waterbird"]), normalize=True)[0]
    classes = torch.stack([land / land.norm(), water])
    probabilities = (float(model.logit_scale.detach().exp()) * classes @ image).softmax(dim=0)
    alignment, of_class, *_ = scorer.score(PNGS, ROWS)[1]
    assert alignment.value == pytest.approx(float(prompt @ image), abs=1e-5)
    assert of_class.value == pytest.approx(float(probabilities[ROWS[1].y]), abs=1e-4)
    assert of_class.label == ("landbird", "waterbird")[int(probabilities.argmax())]


def test_a_model_trained_with_a_sigmoid_is_asked_with_its_own(own_clip: Path) -> None:
    """SigLIP: every answer has a probability of its own, by the model's own scale and bias."""
    config = json.loads((own_clip / "open_clip_config.json").read_text())
    config["model_cfg"].update(init_logit_scale=2.0, init_logit_bias=-3.0)
    (own_clip / "open_clip_config.json").write_text(json.dumps(config))
    weights = own_clip / "open_clip_model.safetensors"
    save_file({**load_file(weights), "logit_scale": torch.tensor(2.0), "logit_bias": torch.tensor(-3.0)}, weights)
    clip = ClipModel.load(own_clip, device="cpu")
    assert clip.scale == stored_scale(own_clip) == Scale(pytest.approx(math.exp(2)), -3.0)
    scorer = ClipScorer.load(
        own_clip,
        class_names=("a", "b"),
        class_prompts=(("a bird",), ("a boat",)),
        bias_names=("c", "d"),
        bias_prompts=(("land",), ("water",)),
        device="cpu",
    )
    _, of_class, *_ = scorer.score(PNGS[:1], ROWS[:1])[0]
    cosine = float(clip.embed_text("a bird") @ clip.embed_images([Image.fromarray(PIXELS[0])])[0])
    assert of_class.value == pytest.approx(1 / (1 + math.exp(3 - math.exp(2) * cosine)), abs=1e-5)
    save_file({name: tensor.bfloat16() for name, tensor in load_file(weights).items()}, weights)
    assert stored_scale(own_clip) == clip.scale  # numpy has no bfloat16


@pytest.mark.parametrize(("logarithm", "factor"), [(math.log(100), 100.0), (4.60517, 100.0), (2.97, math.exp(2.97))])
def test_a_scale_of_100_is_exactly_that(logarithm: float, factor: float) -> None:
    """CLIP's own models keep their scores, and with them their fingerprint."""
    assert Scale.of(logarithm, None) == Scale(factor)


@pytest.mark.parametrize("scale", [Scale(), Scale(20.0), Scale(20.0, -10.0), Scale(100.0, 1e6)])
def test_answers_keep_their_order_whatever_the_scale(scale: Scale) -> None:
    answers = Answers(("one", "other"), np.eye(2, dtype=np.float32), scale)
    image = np.array([0.6, 0.8], np.float32)
    (small, _), (large, label) = answers.judge(image, 0), answers.judge(image, 1)
    assert label == "other" and 0 <= small <= large <= 1
    assert answers.prefers(image, 0) + answers.prefers(image, 1) == pytest.approx(1)


def test_a_score_does_not_depend_on_the_other_pictures(scorer: ClipScorer) -> None:
    whole = scorer.score(PNGS, ROWS)
    others = scorer.score([PNGS[0], *reversed(PNGS[1:4])], [ROWS[0], *reversed(ROWS[1:4])])
    assert others[0] == whole[0]
    alone = scorer.score(PNGS[:1], ROWS[:1])
    assert alone[0] == whole[0]


def test_the_same_list_gives_the_same_numbers_whatever_was_scored_before(clip_folder: Path, scorer: ClipScorer) -> None:
    whole = scorer.score(PNGS, ROWS)
    fresh = ClipModel.load(clip_folder, device="cpu", batch_size=4)
    again = ClipScorer(fresh, scorer.classes, scorer.biases)
    again.score(PNGS[5:], [replace(row, prompt="another prompt") for row in ROWS[5:]])
    assert again.score(PNGS, ROWS) == whole


def test_bytes_arrays_and_pictures_are_the_same(scorer: ClipScorer) -> None:
    expected = scorer.score(PNGS[:3], ROWS[:3])
    assert scorer.score(list(PIXELS[:3]), ROWS[:3]) == expected
    assert scorer.score([Image.fromarray(pixels) for pixels in PIXELS[:3]], ROWS[:3]) == expected


def test_an_unreadable_picture_is_a_reject_and_the_others_are_scored(scorer: ClipScorer) -> None:
    made = scorer.score([PNGS[0], PNGS[1][:200], b"", PNGS[3]], ROWS[:4])
    assert [row.status for row in made[1]] == ["reject"] * 4
    assert {row.reason for sample in made[1:3] for row in sample} == {"unreadable_image"}
    assert {row.value for row in made[1]} == {None}
    assert made[1][0].detail and "truncated" in made[1][0].detail and "0 bytes" in (made[2][0].detail or "")
    assert [made[0], made[3]] == [scorer.score(PNGS[:4], ROWS[:4])[index] for index in (0, 3)]


def test_only_unreadable_pictures_and_none_at_all(scorer: ClipScorer) -> None:
    assert [row.reason for row in scorer.score([b"x"], ROWS[:1])[0]] == ["unreadable_image"] * 4
    assert scorer.score([], []) == []


def test_texts_are_embedded_once(clip_folder: Path, scorer: ClipScorer) -> None:
    fresh = ClipScorer(ClipModel.load(clip_folder, device="cpu", batch_size=4), scorer.classes, scorer.biases)
    fresh.score(PNGS, ROWS)
    assert fresh.clip.embed_text.cache_info().misses == 3


def test_a_value_that_no_manifest_can_hold_is_a_reject(scorer: ClipScorer) -> None:
    broken = ClipScorer(scorer.clip, Answers(("a", "b"), np.full((2, 16), np.nan, np.float32)), scorer.biases)
    alignment, of_class, *_ = broken.score(PNGS[:1], ROWS[:1])[0]
    assert alignment.status == "ok"
    assert (of_class.status, of_class.reason, of_class.value) == ("reject", "not_finite", None)


def test_lists_that_do_not_match_are_errors(scorer: ClipScorer, clip_folder: Path) -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        scorer.score(PNGS[:2], ROWS[:1])
    with pytest.raises(ValueError, match="at least one prompt"):
        ClipScorer.load(
            clip_folder,
            device="cpu",
            class_names=("a", "b"),
            class_prompts=(("a",),),
            bias_names=("c",),
            bias_prompts=(("c",),),
        )
    with pytest.raises(ValueError, match="batch_size is 0"):
        ClipModel.load(clip_folder, device="cpu", batch_size=0)


def test_the_golden_embedding_is_checked(own_clip: Path) -> None:
    model = ClipModel.load(own_clip, device="cpu")
    write_golden(own_clip, PNGS[0], model.embed_images([Image.fromarray(PIXELS[0])])[0])
    ClipModel.load(own_clip, device="cpu")
    config = own_clip / "open_clip_config.json"
    config.write_text(config.read_text().replace("0.25", "0.5"))
    with pytest.raises(ModelFilesError, match="doesn't give its golden embedding: off by"):
        ClipModel.load(own_clip, device="cpu")


@pytest.mark.parametrize("text", ["{", "{}", '{"embedding": [1, 2], "png": "AAAA"}', '{"embedding": [1, 2], "png": 3}'])
def test_a_golden_file_that_cannot_be_read(own_clip: Path, text: str) -> None:
    (own_clip / "golden.json").write_text(text)
    with pytest.raises(ModelFilesError, match="can't be read"):
        ClipModel.load(own_clip, device="cpu")


def test_a_golden_file_without_a_picture_is_told(own_clip: Path, caplog: pytest.LogCaptureFixture) -> None:
    (own_clip / "golden.json").write_text(json.dumps({"embedding": [0.0]}))
    ClipModel.load(own_clip, device="cpu")
    assert "preprocessing is not checked" in caplog.text


def test_bare_weights_and_a_config_without_preprocessing_are_refused(own_clip: Path) -> None:
    config = own_clip / "open_clip_config.json"
    content = json.loads(config.read_text())
    config.write_text(json.dumps(content["model_cfg"]))
    with pytest.raises(ModelFilesError, match="expected model_cfg and preprocess_cfg"):
        resolve_clip(own_clip)
    config.unlink()
    with pytest.raises(ModelFilesError, match=r"no open_clip_config.json, so its preprocessing is unknown"):
        resolve_clip(f"local-dir:{own_clip}")


def test_pickled_missing_and_damaged_weights(own_clip: Path) -> None:
    weights = own_clip / "open_clip_model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:1000])
    with pytest.raises(ModelFilesError, match=r"open_clip_model.safetensors can't be loaded: it was cut short"):
        ClipModel.load(own_clip, device="cpu")
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ModelFilesError, match="only pickled weights"):
        resolve_clip(own_clip)


def test_names_of_open_clips_table_are_hub_ids(monkeypatch: pytest.MonkeyPatch, clip_folder: Path) -> None:
    asked: list[str] = []

    def resolve(name: str, **settings: object) -> Path:
        asked.append(name)
        return clip_folder

    monkeypatch.setattr("fairshards.filters.scorers.clip_model.resolve_model", resolve)
    assert resolve_clip("ViT-B-32::laion2b_s34b_b79k") == clip_folder
    assert asked == ["laion/CLIP-ViT-B-32-laion2B-s34B-b79K"]
    with pytest.raises(ModelFilesError, match=r"no weights 'nothing' for 'ViT-B-32'.*laion2b_s34b_b79k"):
        resolve_clip("ViT-B-32::nothing")
