"""Which dtype "auto" means."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fairshards.generators.checkpoints.precision import resolve_dtype, stored_as_bfloat16


@pytest.mark.parametrize(
    ("dtype", "device", "expected"),
    [
        ("auto", "cpu", "float32"),
        ("auto", "cuda", "float16"),
        ("auto", "cuda:1", "float16"),
        ("bf16", "cpu", "bfloat16"),
        ("fp16", "cuda", "float16"),
        ("float32", "cuda", "float32"),
    ],
)
def test_resolution(tiny_folder: Path, dtype: str, device: str, expected: str) -> None:
    assert resolve_dtype(dtype, device, tiny_folder) == expected


def test_weights_stored_as_bfloat16_stay_so_on_a_gpu(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    weights = {"large": torch.zeros(64, 64, dtype=torch.bfloat16), "norm": torch.zeros(8)}
    save_file(weights, tmp_path / "unet" / "model.safetensors")
    save_file({"small": torch.zeros(4)}, tmp_path / "other.safetensors")
    assert resolve_dtype("auto", "cuda", tmp_path) == "bfloat16"
    assert resolve_dtype("auto", "cpu", tmp_path) == "float32"


def test_a_folder_without_weights_says_nothing(tmp_path: Path) -> None:
    assert not stored_as_bfloat16(tmp_path)


@pytest.mark.parametrize(("dtype", "message"), [("int8", "unknown"), ("float16", "for GPUs")])
def test_errors(tiny_folder: Path, dtype: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_dtype(dtype, "cpu", tiny_folder)
