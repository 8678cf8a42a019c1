"""Finding models, refusing what can't be loaded safely, and fingerprints."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fairshards.generators.checkpoints.model_files import (
    ModelFilesError,
    check_weights,
    fingerprint,
    library_versions,
    resolve_model,
)
from fairshards.generators.checkpoints.weights import variant_of
from fairshards.generators.diffusion.text_to_image import TextToImage
from tests.generators.image_requests import requests


def test_a_folder_is_itself(tiny_folder: Path) -> None:
    assert resolve_model(tiny_folder) == tiny_folder.resolve()
    assert resolve_model(f"local-dir:{tiny_folder}") == tiny_folder.resolve()


@pytest.mark.parametrize("name", ["/no/such/folder", "./models/mine", "local-dir:mine", "a/b/c"])
def test_a_missing_folder_is_named(name: str) -> None:
    with pytest.raises(ModelFilesError, match=r"isn't there \(looked in"):
        resolve_model(name)


def test_a_file_instead_of_a_folder(tiny_folder: Path) -> None:
    with pytest.raises(ModelFilesError, match="is a file; give the folder"):
        resolve_model(tiny_folder / "model_index.json")


def test_an_unreachable_hub_id_is_one_short_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelFilesError, match="can't be fetched from the hub") as caught:
        resolve_model("fairshards-nobody/no-such-model", offline=True)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
    assert len(str(caught.value)) < 500 and "\n" not in str(caught.value)


def test_of_a_hub_pipeline_only_safe_default_weights_are_fetched(
    monkeypatch: pytest.MonkeyPatch, tiny_folder: Path
) -> None:
    asked: list[dict[str, object]] = []

    def download(name: str, **settings: object) -> str:
        asked.append(settings)
        return str(tiny_folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert resolve_model("owner/name", "v2") == tiny_folder
    assert asked[0]["allow_patterns"] == ["*.json"]
    assert asked[1]["revision"] == "v2"
    patterns = asked[1]["allow_patterns"]
    assert isinstance(patterns, list) and "*/*.safetensors" in patterns
    assert not any(".bin" in pattern or pattern == "*.safetensors" for pattern in patterns)


def test_a_folder_without_weights(own_folder: Path) -> None:
    (own_folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelFilesError, match=r"vae has no weights: expected a .safetensors file, got config.json"):
        resolve_model(own_folder)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelFilesError, match="got an empty folder"):
        resolve_model(tmp_path)


def test_a_pipeline_that_lacks_a_part(own_folder: Path) -> None:
    shutil.rmtree(own_folder / "text_encoder")
    with pytest.raises(ModelFilesError, match="lacks text_encoder"):
        check_weights(own_folder)


def test_pickled_weights_are_refused_unless_allowed(own_folder: Path) -> None:
    safe = own_folder / "unet" / "diffusion_pytorch_model.safetensors"
    safe.rename(safe.with_suffix(".bin"))
    with pytest.raises(ModelFilesError, match=r"only pickled weights .diffusion_pytorch_model.bin."):
        resolve_model(own_folder)
    assert resolve_model(own_folder, allow_pickle=True) == own_folder.resolve()


def test_a_broken_index(own_folder: Path) -> None:
    (own_folder / "model_index.json").write_text("{")
    with pytest.raises(ModelFilesError, match="not valid JSON"):
        resolve_model(own_folder)


def test_the_fingerprint_changes_with_what_decides(own_folder: Path) -> None:
    extra = {"scheduler": None, "dtype": "float32", **library_versions()}
    first = fingerprint(own_folder, extra)
    assert len(first) == 64 and set(first) <= set("0123456789abcdef")
    assert fingerprint(own_folder, dict(reversed(extra.items()))) == first
    assert fingerprint(own_folder, {**extra, "scheduler": "DDPMScheduler"}) != first
    assert fingerprint(own_folder, {**extra, "dtype": "bfloat16"}) != first
    assert fingerprint(own_folder, {**extra, "torch": "0"}) != first
    config = own_folder / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("0.012", "0.013"))
    assert fingerprint(own_folder, extra) != first


def test_the_fingerprint_changes_with_one_weight(own_folder: Path) -> None:
    first = fingerprint(own_folder)
    weights = own_folder / "vae" / "diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    assert fingerprint(own_folder) != first


def test_the_fingerprint_ignores_readme_licence_logs_and_place(own_folder: Path, tiny_folder: Path) -> None:
    (own_folder / "README.md").write_text("new")
    (own_folder / "LICENSE.txt").write_text("new")
    (own_folder / "golden.json").write_text("{}")
    (own_folder / "logs").mkdir()
    (own_folder / "logs" / "loss.json").write_text("{}")
    (own_folder / ".cache").mkdir()
    (own_folder / ".cache" / "entry.json").write_text("{}")
    assert fingerprint(own_folder) == fingerprint(tiny_folder)


def test_a_folder_without_files_has_no_fingerprint(tmp_path: Path) -> None:
    with pytest.raises(ModelFilesError, match="holds no weights"):
        fingerprint(tmp_path / "missing")


def test_unchanged_files_are_hashed_once(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fingerprint(own_folder)
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert fingerprint(own_folder) == first


def test_the_module_imports_no_torch() -> None:
    """The CLI's start-up imports these."""
    names = (
        "generators.checkpoints.model_files",
        "generators.images",
        "generators.checkpoints.precision",
        "generators.diffusion.requests",
        "filters.registry",
    )
    modules = ", ".join(f"fairshards.{name}" for name in names)
    code = f"import sys, {modules}; sys.exit(any(m in sys.modules for m in ('torch', 'diffusers', 'open_clip')))"
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_weights_of_a_single_model_folder(tmp_path: Path) -> None:
    save_file({"weight": np.zeros(2, np.float32)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({}))
    check_weights(tmp_path)


def as_variant(folder: Path, *parts: str, variant: str = "fp16") -> None:
    """Rename the weights of these models as a variant's."""
    for file in [file for part in parts for file in (folder / part).glob("*.safetensors")]:
        file.rename(file.with_suffix(f".{variant}.safetensors"))


def test_a_folder_of_fp16_weights_alone_is_loaded(own_folder: Path, model: TextToImage) -> None:
    as_variant(own_folder, "unet", "vae", "text_encoder")
    check_weights(own_folder)
    assert variant_of(own_folder) == "fp16"
    loaded = TextToImage.load(own_folder, device="cpu")
    assert list(loaded.generate(requests(2), 2)) == list(model.generate(requests(2), 2))


def test_a_variant_beside_plain_weights_is_not_needed(own_folder: Path) -> None:
    unet = own_folder / "unet" / "diffusion_pytorch_model.safetensors"
    shutil.copy(unet, unet.with_suffix(".fp16.safetensors"))
    assert variant_of(own_folder) is None
    unet.unlink()  # of the others the plain files are there, which diffusers takes where a variant is lacking
    assert variant_of(own_folder) == "fp16"
    assert TextToImage.load(own_folder, device="cpu").pipeline.unet is not None


def test_variants_that_cannot_be_loaded_together(own_folder: Path) -> None:
    as_variant(own_folder, "unet")
    as_variant(own_folder, "vae", variant="bf16")
    with pytest.raises(ModelFilesError, match="unet has fp16, vae has bf16; download one variant"):
        check_weights(own_folder)


def in_two_files(folder: Path) -> tuple[Path, Path]:
    """Split a model's weights into two files with an index, as large models have them; return the files."""
    whole = folder / "diffusion_pytorch_model.safetensors"
    tensors = sorted(load_file(whole).items())
    parts = [folder / f"diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    halves = (dict(tensors[::2]), dict(tensors[1::2]))
    for part, half in zip(parts, halves, strict=True):
        save_file(half, part, metadata={"format": "pt"})
    names = {name: part.name for part, half in zip(parts, halves, strict=True) for name in half}
    index = {"metadata": {"total_size": whole.stat().st_size}, "weight_map": names}
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    whole.unlink()
    return parts[0], parts[1]


def test_weights_in_several_files(own_folder: Path) -> None:
    _, second = in_two_files(own_folder / "unet")
    check_weights(own_folder)
    assert TextToImage.load(own_folder, device="cpu").pipeline.unet is not None
    second.unlink()
    with pytest.raises(ModelFilesError, match=f"unet lacks 1 of 2 files that .* names, the first is {second.name}"):
        check_weights(own_folder)
    (own_folder / "unet" / "diffusion_pytorch_model.safetensors.index.json").unlink()
    with pytest.raises(ModelFilesError, match="a part of its weights, but no index"):
        check_weights(own_folder)


def test_a_pointer_and_a_file_that_was_cut_short(own_folder: Path) -> None:
    weights = own_folder / "unet" / "diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(ModelFilesError, match=f"its header says {len(whole)} bytes, it has {len(whole) - 100}"):
        check_weights(own_folder)
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n")
    with pytest.raises(ModelFilesError, match="is a Git LFS pointer"):
        check_weights(own_folder)


@pytest.mark.parametrize("header", [b"[]", b'{"a": 1}', b'{"a": {}}', b"\xff{}"])
def test_a_header_that_is_none(own_folder: Path, header: bytes) -> None:
    (weights,) = (own_folder / "unet").glob("*.safetensors")
    weights.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ModelFilesError, match="it is no safetensors file; download it again"):
        check_weights(own_folder)


def test_lists_that_are_settings_are_no_models(own_folder: Path) -> None:
    """Krea 2's model_index.json lists the layers of its text encoder that are read."""
    index = own_folder / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "text_encoder_select_layers": [2, 5]}))
    check_weights(own_folder)


def test_of_a_hub_pipeline_its_variant_is_fetched(monkeypatch: pytest.MonkeyPatch, own_folder: Path) -> None:
    as_variant(own_folder, "unet")
    hidden = [(file, file.with_suffix(".away")) for file in (own_folder / "unet").glob("*.safetensors")]
    for file, away in hidden:
        file.rename(away)

    def download(name: str, allow_patterns: list[str], **_: object) -> str:
        if "unet/*.fp16*.safetensors" in allow_patterns:
            for file, away in hidden:
                away.rename(file)
        return str(own_folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert resolve_model("owner/name") == own_folder
