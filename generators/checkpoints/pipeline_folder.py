"""What a diffusers folder says of its pipeline before anything is loaded: class, arguments, scheduler, sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairshards.generators.checkpoints.signatures import TEXT_TO_IMAGE, Signature, pipeline_class, pipeline_takes
from fairshards.generators.checkpoints.weights import ModelFilesError, components, read_json
from fairshards.generators.diffusion.schedulers import fitted

DENOISERS, DECODERS = ("transformer", "unet", "decoder"), ("vae", "movq", "vqgan")
Configs = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class PipelineFolder:
    """A pipeline that lies in a folder.

    Attributes:
        name: The class that diffusers loads it with.
        takes: The arguments of its call.
        scheduler: The class of its own scheduler, None where it isn't said; ``settings`` is that one's config.
        configs: The configs of its models, by component.
    """

    name: str
    takes: Signature
    scheduler: str | None
    settings: Mapping[str, Any]
    configs: Configs

    def options(self, scheduler: str | None) -> dict[str, Any]:
        """Return the settings that another scheduler needs to fit the model.

        Raises:
            ValueError: it can't fit.
        """
        return fitted(scheduler, self.scheduler, self.settings) if scheduler and self.scheduler else {}

    @property
    def step(self) -> int:
        """What a picture's height and width must be multiples of, as far as the configs tell."""
        return 1 if "use_resolution_binning" in self.takes else size_step(self.configs)

    @property
    def takes_perp_neg(self) -> bool:
        """Whether it can be of Stable Diffusion's family, whose U-Net is called with and without the prompt."""
        distilled = self.configs.get("unet", {}).get("time_cond_proj_dim")
        plain = "unet" in self.configs and "text_encoder_2" not in self.configs
        return plain and "negative_prompt" in self.takes and not distilled


def read_pipeline_folder(folder: Path, loader: str = TEXT_TO_IMAGE) -> PipelineFolder:
    """Return what the folder says; ``loader`` is the diffusers class that will load it.

    Raises:
        ModelFilesError: it holds no pipeline, or one that ``loader`` doesn't know.
    """
    index = folder / "model_index.json"
    if not index.is_file():
        raise ModelFilesError(
            f"model folder {folder} has no model_index.json, so it is no diffusers pipeline; give "
            "the folder that DiffusionPipeline.save_pretrained wrote, or a hub id of one"
        )
    saved = str(read_json(index).get("_class_name"))
    name = pipeline_class(saved, loader)
    if name is None:
        raise ModelFilesError(
            f"model folder {folder} holds a {saved}, which diffusers' {loader} doesn't know; choose "
            "a model that it lists"
        )
    parts = components(folder)
    scheduler = _config(folder / "scheduler" / "scheduler_config.json")
    configs = {part: _config(folder / part / "config.json") for part in parts}
    return PipelineFolder(
        name,
        pipeline_takes(name),
        parts.get("scheduler") or scheduler.get("_class_name"),
        scheduler,
        {part: config for part, config in configs.items() if config},
    )


def size_step(configs: Configs) -> int:
    """Return what height and width must be multiples of: the decoder's factor times the denoiser's patches.

    Kandinsky rounds up to the square of its decoder's factor. Where a denoiser has four times the decoder's channels,
    2x2 latents are packed into one (FLUX, Qwen-Image).
    """
    name = next((part for part in DECODERS if part in configs), None)
    if name is None:
        return 1
    decoder = configs[name]
    factor = _factor(decoder)
    if name == "movq":
        return factor**2
    denoiser = next((configs[part] for part in DENOISERS if part in configs), {})
    patch, channels = denoiser.get("patch_size", 1), decoder.get("latent_channels", decoder.get("z_dim"))
    packed = 2 if channels and denoiser.get("in_channels") == 4 * channels else 1
    return factor * max(patch if isinstance(patch, int) else 1, packed)


def _factor(decoder: Mapping[str, Any]) -> int:
    """Return how many pixels a side a latent stands for."""
    for key, fewer in (("encoder_block_out_channels", 1), ("temperal_downsample", 0), ("block_out_channels", 1)):
        if isinstance(decoder.get(key), list | tuple):
            return int(2 ** (len(decoder[key]) - fewer))
    return 1


def _config(file: Path) -> Mapping[str, Any]:
    return read_json(file) if file.is_file() else {}
