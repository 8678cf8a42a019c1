"""The reference classifier of ASPIRE's edit test: a finished training that says how probable each class is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from fairshards.generators.editing.masks import Mask, resized_mask
from fairshards.trainers.classifiers import record
from fairshards.trainers.classifiers.integrated_gradients import integrated_gradients
from fairshards.trainers.classifiers.models import Classifier
from fairshards.trainers.classifiers.run import load_model
from fairshards.trainers.classifiers.settings import settings_from
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.core.loaders import to_tensor

Probabilities = npt.NDArray[np.float64]


class ReferenceClassifier:
    """A trained classifier over pictures, in padded batches and float32, softmax included.

    Attributes:
        classes: The names of the classes, by number.
        image_size: Pixels a side that it was trained with; other pictures are resized as its trainer did.
    """

    def __init__(
        self, model: Classifier, classes: Sequence[str], image_size: int, device: str = "cpu", batch_size: int = 64
    ) -> None:
        if batch_size < 1:
            raise TrainerError(f"batch_size is {batch_size}; it must be at least 1")
        self.model = model.to(device).eval()
        self.classes = tuple(classes)
        self.image_size = image_size
        self.device = device
        self.batch_size = batch_size

    @classmethod
    def load(cls, training_dir: Path, *, device: str = "cpu", batch_size: int = 64) -> Self:
        """Load a finished training's selected weights.

        Raises:
            TrainerError: the folder holds no finished training, or ``batch_size`` is below 1.
        """
        model = load_model(training_dir)
        said = json.loads((training_dir / record.SETTINGS).read_text())
        size = settings_from(said["settings"]).image_size
        return cls(model, said["classes"], size, device, batch_size)

    def probabilities(self, images: Sequence[Image.Image]) -> Probabilities:
        """Return (len(images), classes) float64 of RGB pictures; each row sums to 1, or is NaN where logits are."""
        found = [np.zeros((0, len(self.classes)))]
        for start in range(0, len(images), self.batch_size):
            part = [to_tensor(image, self.image_size) for image in images[start : start + self.batch_size]]
            rows = torch.stack(part + [part[-1]] * (self.batch_size - len(part)))
            with torch.inference_mode():
                shares = self.model(rows.to(self.device)).float().softmax(1)
            found.append(shares[: len(part)].double().cpu().numpy())
        return np.concatenate(found)

    def mask_attribution(self, before: Image.Image, after: Image.Image, mask: Mask | None, y: int) -> float:
        """Return by how much the change inside the mask lowers the probability of class ``y``, in [-1, 1] or nearly.

        DDB's rho = sum_k M_k IG_k(x') with f = 1 - p_y, the probability of all other classes
        (docs/methods.md#attribution-inside-the-mask). An edit that changes nothing outside
        its mask has rho = p_y(before) - p_y(after); one without a mask always has.

        Args:
            before, after: RGB pictures of one size.
            mask: (H, W) bool, what the edit was to change; it is resized as the classifier's pictures are, and a pixel
                counts where any of what it stands for is masked. None: everything.
        """
        size = self.image_size
        start, end = (to_tensor(image, size).to(self.device).float() for image in (before, after))
        changed = integrated_gradients(lambda points: self._others(points, y), start, end)
        if mask is not None:
            changed = changed * torch.from_numpy(resized_mask(mask, size, size).copy()).to(self.device)
        return float(changed.double().sum())

    def _others(self, images: Tensor, y: int) -> Tensor:
        """Return (B,) probabilities of all classes but ``y``."""
        shares: Tensor = self.model(images).float().softmax(1)
        return 1 - shares[:, y]
