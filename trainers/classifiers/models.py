"""Classifiers: a small convolutional net for the pocket world, and any timm backbone by name."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fairshards.trainers.classifiers.settings import POCKET, TIMM, check_model_name
from fairshards.trainers.classifiers.timm_config import check_architecture, normalisation, weights_config
from fairshards.trainers.core.errors import TrainerError

WIDTHS = (16, 32, 64, 96)


class Classifier(nn.Module):
    """A network with its normalisation: uint8 [B, 3, S, S] images to float logits [B, classes].

    Mean and deviation are saved with the weights, so that a loaded model can't meet other ones. Channels
    last is the faster order for convolutions, on CPUs (by a third, for pocket-convnet) as on GPUs.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        normal = (images.float() / 255 - self.mean) / self.std
        logits: Tensor = self.network(normal.contiguous(memory_format=torch.channels_last))
        return logits


def build_model(name: str, classes: int, weights: str | None = None, pretrained: bool = False) -> Classifier:
    """Return the model ``name`` with a new head for ``classes``; torch's seed decides its fresh weights.

    ``name`` is "pocket-convnet" or "timm:<backbone>". ``weights`` is a folder with a timm
    ``model.safetensors`` whose head may have another size; ``pretrained`` downloads timm's own.

    Raises:
        TrainerError: no such model, or the folder's weights aren't those of this backbone.
    """
    check_model_name(name, bool(weights or pretrained))
    if name == POCKET:
        return Classifier(pocket_convnet(classes), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    return timm_classifier(name, classes, weights, pretrained)


def timm_classifier(name: str, classes: int, weights: str | None, pretrained: bool) -> Classifier:
    """Return a timm backbone with a new head, and the mean and deviation that its weights were trained with."""
    import timm  # takes seconds, which the pocket world needn't spend

    _check_known(name)
    network = timm.create_model(name.removeprefix(TIMM), pretrained=pretrained, num_classes=classes)
    mean, std = tuple(network.default_cfg["mean"]), tuple(network.default_cfg["std"])
    if weights:
        folder = Path(weights).expanduser()
        check_architecture(folder, name.removeprefix(TIMM))
        load_backbone(network, folder)
        mean, std = normalisation(folder, mean, std)
    return Classifier(network, mean, std)


def other_normalisation(name: str, weights: str) -> dict[str, Any]:
    """Return the mean and deviation of a folder's weights where they aren't those that timm has for the backbone."""
    folder = Path(weights).expanduser()
    if not weights_config(folder).keys() & {"mean", "std"}:
        return {}
    import timm

    _check_known(name)
    usual = timm.get_pretrained_cfg(name.removeprefix(TIMM))
    mean, std = normalisation(folder, tuple(usual.mean), tuple(usual.std))
    return {} if (mean, std) == (tuple(usual.mean), tuple(usual.std)) else {"mean": list(mean), "std": list(std)}


def check_backbone(name: str, classes: int, image_size: int, weights: str | None) -> None:
    """Check that a timm backbone exists, takes pictures of this size, and that the weights are its own.

    Nothing is computed: the network has shapes alone.

    Raises:
        TrainerError: one of these isn't so.
    """
    with torch.device("meta"):
        model = timm_classifier(name, classes, weights, pretrained=False)
        try:
            model.network.eval()(torch.zeros(1, 3, image_size, image_size))
        except NotImplementedError:  # an operation that has no shapes alone; training will tell
            return
        except Exception as error:  # timm's models assert, or fail in a layer
            own: Any = model.network.default_cfg
            raise TrainerError(
                f"{name} takes no pictures of image_size {image_size}: {error}; its own size is {own['input_size'][-1]}"
            ) from error


def _check_known(name: str) -> None:
    import timm

    own = name.removeprefix(TIMM)
    if not timm.is_model(own):
        near = get_close_matches(own.partition(".")[0], timm.list_models(), 3)
        hint = f"; did you mean {' or '.join(TIMM + one for one in near)}?" if near else ""
        raise TrainerError(f"no model {name!r}; expected {POCKET!r} or a timm name such as 'timm:resnet50'{hint}")


def pocket_convnet(classes: int) -> nn.Sequential:
    """Return four strided convolutions with batch normalisation, mean pooling and a linear head."""
    blocks: list[nn.Module] = []
    for wide_in, wide_out in zip((3, *WIDTHS), WIDTHS, strict=False):
        convolution = nn.Conv2d(wide_in, wide_out, 3, stride=2, padding=1, bias=False)
        blocks += [convolution, nn.BatchNorm2d(wide_out), nn.ReLU()]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], classes))


def last_linear(model: Classifier) -> nn.Linear:
    """Return the linear layer that gives the logits.

    Raises:
        TrainerError: the model ends otherwise, so that a linear head can't stand in its place.
    """
    network = model.network
    layer = network[-1] if isinstance(network, nn.Sequential) else network.get_classifier()  # type: ignore[operator]
    if not isinstance(layer, nn.Linear) or layer.bias is None:
        raise TrainerError(
            f"the model ends in {type(layer).__name__}, but its last layer must be linear with a bias to be refit; "
            f"choose another timm backbone (such as resnet50), or {POCKET}"
        )
    return layer


def weights_file(folder: Path) -> Path:
    """Return ``model.safetensors`` in ``folder``. Pickled checkpoints run code when they load: never read.

    Raises:
        TrainerError: it isn't there.
    """
    file = folder / "model.safetensors"
    if not file.is_file():
        have = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else "no such folder"
        raise TrainerError(f"no weights at {file} (found: {have}); pickled ones (.pt, .bin) are not read")
    return file


def load_backbone(network: nn.Module, folder: Path) -> None:
    """Load the folder's weights into ``network``, its head excepted when the sizes differ.

    Raises:
        TrainerError: a tensor beside the head is missing, unknown or of another shape.
    """
    own, given = network.state_dict(), load_file(weights_file(folder))
    head = _head_prefix(network)
    fitting = {n: tensor for n, tensor in given.items() if n in own and own[n].shape == tensor.shape}
    missing = [name for name in own if name not in fitting and not name.startswith(head)]
    unknown = [name for name in given if name not in fitting and not name.startswith(head)]
    if missing or unknown:
        raise TrainerError(
            f"weights in {folder} aren't this backbone's: {len(missing)} tensors missing or of another shape "
            f"(first {missing[:1]}), {len(unknown)} unknown (first {unknown[:1]})"
        )
    if not any(tensor.is_meta for tensor in own.values()):  # a network of shapes alone holds none
        network.load_state_dict(fitting, strict=False)


def _head_prefix(network: nn.Module) -> str:
    names = network.default_cfg["classifier"]  # type: ignore[index]
    return str(names if isinstance(names, str) else names[0]) + "."
