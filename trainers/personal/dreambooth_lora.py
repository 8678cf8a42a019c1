"""DreamBooth (arXiv 2208.12242) by LoRA (arXiv 2106.09685): low-rank additions to the U-Net's attention.

No word is added; the words of the concept's token get a new meaning. There is no prior preservation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fairshards.extras import check_extra
from fairshards.generators.diffusion.personal import LORA
from fairshards.trainers.core.checkpoint import save_weights
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.personal.learner import Learner
from fairshards.trainers.personal.settings import Concept, PersonaliseSettings


def new_lora(pipeline: Any, concept: Concept, settings: PersonaliseSettings) -> Learner:
    """Add LoRA layers to the pipeline's U-Net, which change nothing yet, and return what is to be trained.

    Their start is drawn from torch's generator: call it inside ``fairshards.trainers.core.seeding.seeded``.

    Raises:
        MissingExtra: peft isn't installed.
        TrainerError: the U-Net has no layer of a target's name.
    """
    check_extra("personal", "DreamBooth LoRA")
    from peft import LoraConfig

    rank = settings.lora_rank
    alpha = settings.lora_alpha or rank
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0.0,
        init_lora_weights="gaussian",
        target_modules=list(settings.lora_targets),
    )
    _check_targets(pipeline.unet, settings.lora_targets)
    pipeline.unet.add_adapter(config)
    trained = nn.ParameterList(one for one in pipeline.unet.parameters() if one.requires_grad)

    def write(folder: Path, metadata: Mapping[str, str]) -> Path:
        def save(state: dict[str, Tensor], path: str) -> None:
            save_weights(Path(path), state, metadata)

        layers = lora_layers(pipeline.unet, alpha / rank)
        pipeline.save_lora_weights(folder, unet_lora_layers=layers, weight_name=LORA, save_function=save)
        return folder / LORA

    return Learner(settings.prompts(concept), trained, write)


def lora_layers(unet: Any, scale: float) -> dict[str, Tensor]:
    """Return the U-Net's LoRA layers in diffusers' names, with ``scale`` (alpha / rank) multiplied in.

    A file without alpha is read as alpha = rank everywhere, so the file means the same to every reader.
    """
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft.utils import get_peft_model_state_dict

    state: dict[str, Tensor] = get_peft_model_state_dict(unet)
    scaled = {name: tensor * scale if "lora_B" in name else tensor for name, tensor in state.items()}
    layers: dict[str, Tensor] = convert_state_dict_to_diffusers(scaled)
    return layers


def _check_targets(unet: nn.Module, targets: tuple[str, ...]) -> None:
    names = [name for name, _ in unet.named_modules()]
    missing = [target for target in targets if not any(name == target or name.endswith(f".{target}") for name in names)]
    if missing:
        raise TrainerError(
            f"lora_targets: the U-Net has no layer {', '.join(missing)}; attention's are to_q, to_k, to_v and to_out.0"
        )
