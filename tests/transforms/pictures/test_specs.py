"""Specs: what a model was taught goes into its fingerprint, and one that was taught nothing keeps its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from fairshards.generators.diffusion.personal import EMBEDDINGS
from fairshards.transforms.pictures.generate import LazyGenerator
from fairshards.transforms.pictures.specs import GeneratorSpec, personalised_fingerprint
from tests.tiny_models import write_tiny_diffusion

BASE, FIRST, SECOND = "f" * 64, "1" * 64, "2" * 64
STAGE_FINGERPRINT = "3163680ab545b0c35009704c4209145b2f58e84f277597acba6da536da3e8362"
"""What committed runs were made with: a change makes every sample of theirs anew."""


def test_a_model_that_was_taught_nothing_keeps_its_fingerprint() -> None:
    assert personalised_fingerprint(BASE, []) == BASE
    spec = GeneratorSpec("/model", BASE, "cpu", "float32", None, 8, 5)
    assert spec.personal == ()
    assert replace(spec, personal=("/taught",)).stage_fingerprint == spec.stage_fingerprint == STAGE_FINGERPRINT


def test_what_was_taught_changes_the_fingerprint_whatever_its_order() -> None:
    both = personalised_fingerprint(BASE, [FIRST, SECOND])
    found = {
        BASE,
        personalised_fingerprint(BASE, [FIRST]),
        personalised_fingerprint(BASE, [SECOND]),
        both,
        personalised_fingerprint("0" * 64, [FIRST, SECOND]),
    }
    assert len(found) == 5 and all(len(one) == 64 for one in found)
    assert personalised_fingerprint(BASE, [SECOND, FIRST]) == both


def test_a_worker_loads_what_was_taught(tmp_path: Path) -> None:
    model = write_tiny_diffusion(tmp_path / "model")
    (tmp_path / "taught").mkdir()
    save_file({"<bird>": torch.ones(1, 32)}, tmp_path / "taught" / EMBEDDINGS)
    spec = GeneratorSpec(str(model), BASE, "cpu", "float32", None, 8, 5, personal=(str(tmp_path / "taught"),))
    tokenizer = LazyGenerator(spec).model.pipeline.tokenizer
    assert tokenizer.tokenize("a <bird>")[-1] == "<bird>"
    plain = LazyGenerator(replace(spec, personal=())).model.pipeline.tokenizer
    assert plain.tokenize("a <bird>")[-1] != "<bird>"
