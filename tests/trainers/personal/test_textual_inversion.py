"""Textual inversion: one row is taught and nothing else, and diffusers reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.core.index import Sample
from fairshards.trainers.personal.denoising import Latents
from fairshards.trainers.personal.learner import Lesson, teach
from fairshards.trainers.personal.personalise import frozen_pipeline
from fairshards.trainers.personal.textual_inversion import TaughtEmbedding, first_row, new_token
from tests.trainers.concepts import CROSS, load, quick, teach_cross

CPU = torch.device("cpu")


def weights(pipeline: Any) -> dict[str, torch.Tensor]:
    """Return a copy of all the pipeline's weights, by the names they had before a token was added."""
    parts = {"unet": pipeline.unet, "vae": pipeline.vae, "text_encoder": pipeline.text_encoder}
    return {
        f"{part}.{name.replace('.table.', '.')}": tensor.clone()
        for part, model in parts.items()
        for name, tensor in model.state_dict().items()
    }


def test_only_the_new_row_changes(tiny_folder: Path, tmp_path: Path) -> None:
    settings = quick(steps=3, save_every=100)
    pipeline = frozen_pipeline(tiny_folder, settings, CPU)
    before = weights(pipeline)
    learner = new_token(pipeline, CROSS, settings)
    (row,) = learner.trained
    start = row.detach().clone()
    latents = Latents(torch.zeros(2, 1, 4, 16, 16), torch.ones(2, 1, 4, 16, 16))
    losses = teach(learner, Lesson(pipeline, latents, settings, CPU, "float32", tmp_path / "none", "task"))
    after = weights(pipeline)
    (extra,) = after.keys() - before.keys()
    assert extra.endswith("token_embedding.row") and len(losses) == 3
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert (row - start).abs().mean() > 1e-3  # Adam moves an entry by about the rate a step
    assert [
        parameter
        for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder)
        for parameter in part.parameters()
        if parameter.requires_grad
    ] == [row]


def test_the_row_stands_in_for_the_token_wherever_it_is() -> None:
    table, row = torch.nn.Embedding(5, 3), torch.nn.Parameter(torch.ones(1, 3))
    ids = torch.tensor([[0, 5, 2], [5, 5, 4]])
    found = TaughtEmbedding(table, row, 5)(ids)
    assert torch.equal(found[ids == 5], torch.ones(3, 3))
    assert torch.equal(found[ids != 5], table(ids[ids != 5]))
    found.sum().backward()
    assert torch.equal(row.grad, torch.full((1, 3), 3.0))


def test_it_starts_as_the_mean_of_its_words(tiny_folder: Path) -> None:
    pipeline = load(tiny_folder)
    table = pipeline.text_encoder.get_input_embeddings()
    ids = pipeline.tokenizer("ab c", add_special_tokens=False).input_ids
    assert len(ids) == 3  # the tiny tokenizer knows letters only
    row = first_row(pipeline.tokenizer, table, "ab c")
    assert row.shape == (1, 32) and torch.allclose(row[0], table.weight[ids].mean(0))
    named = new_token(pipeline, replace(CROSS, class_word="ab c"), quick(init_words=None))
    assert torch.allclose(named.trained[0], row)


def test_what_cannot_be_taught_says_why(tiny_folder: Path) -> None:
    long = quick(templates=("a {}", "x" * 80 + " {}"))
    with pytest.raises(TrainerError, match="loses its new token: it is cut to 77 tokens"):
        new_token(load(tiny_folder), CROSS, long)
    pipeline = load(tiny_folder)
    pipeline.tokenizer.add_tokens("<cross>")
    with pytest.raises(TrainerError, match="'<cross>' is in the tokenizer already"):
        new_token(pipeline, CROSS, quick())


def test_diffusers_loads_what_was_taught(tiny_folder: Path, tmp_path: Path, crosses: tuple[Sample, ...]) -> None:
    made = teach_cross(tmp_path, tiny_folder, crosses, quick())
    state = load_file(made.folder / "learned_embeds.safetensors")
    assert list(state) == ["<cross>"] and state["<cross>"].dtype == torch.float32
    pipeline = load(tiny_folder)
    pipeline.load_textual_inversion(str(made.folder), token="<cross>")  # as diffusers' own documentation does
    token = pipeline.tokenizer.convert_tokens_to_ids("<cross>")
    assert torch.equal(pipeline.text_encoder.get_input_embeddings().weight[token], state["<cross>"][0])


def test_the_loaded_token_means_what_was_trained(tiny_folder: Path, tmp_path: Path) -> None:
    """The same prompt gives the same embedding through the training's table and through diffusers' loading."""
    settings = quick(init_words="cross")
    trained = frozen_pipeline(tiny_folder, settings, CPU)
    learner = new_token(trained, CROSS, settings)
    with torch.no_grad():
        learner.trained[0].add_(1.0)
        learner.write(tmp_path, {})
        loaded = load(tiny_folder)
        loaded.load_textual_inversion(str(tmp_path))
        said = [pipeline.encode_prompt("the <cross>", CPU, 1, False)[0] for pipeline in (trained, loaded)]
        plain = loaded.encode_prompt("the cross", CPU, 1, False)[0]
    assert torch.equal(said[0], said[1]) and not torch.allclose(said[0], plain)
