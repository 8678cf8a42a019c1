"""Settings of Bt-GAN. Defaults are what ``recipes/btgan_support2.yaml`` was tuned to (docs/methods.md#bt-gan)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fairshards.trainers.core.errors import TrainerError

Constraint = Literal["none", "parity", "odds"]


@dataclass(frozen=True)
class BtGanSettings:
    """What a Bt-GAN is trained with.

    Attributes:
        attribute: The protected attribute S.
        constraint: What the information constraint limits: parity, I(Yhat; S); odds, I(Yhat; S | Y).
        lam: Its weight lambda in the generator's loss; with 0 nothing is constrained.
        proxy: Under a constraint the classifier doesn't see columns that tell this share of S's entropy or more.
        steps: Of stage 1. stage2_steps: of stage 2; 0 leaves score-based weighted sampling out.
        window, snapshot: Ratios are recorded every ``snapshot`` steps over the last ``window`` steps of stage 1.
        k: Standard deviations that are added to a row's mean ratio.
        group_share: How far weighted sampling goes towards equal (y, s) groups, in [0, 1].
        rejection: Whether sampling ends with discriminator rejection (stage 3).
        pseudo: The share of a batch that the discriminator sees with the classifier's label (Triple-GAN); 0: none.
        alpha: The weight of these in its loss; generated rows have 1 - alpha.
        classifier_every: The classifier learns on every so many steps of stage 1; 0: it stays as pre-trained.
        adversarial, generated: Weights of its loss from the discriminator and on generated rows, the latter from half
            of stage 1 on.
        batch, learning_rate, noise, hidden, depth, dropout, tau, average: Of the networks and of their training.
        seed, device: "cpu", "cuda".
    """

    attribute: str
    constraint: Constraint = "none"
    lam: float = 0.0
    proxy: float = 0.1
    steps: int = 5000
    stage2_steps: int = 1500
    window: int = 2000
    snapshot: int = 40
    k: float = 1.0
    group_share: float = 0.0
    rejection: bool = True
    pseudo: float = 0.25
    alpha: float = 0.25
    classifier_every: int = 5
    adversarial: float = 0.01
    generated: float = 0.1
    batch: int = 500
    learning_rate: float = 1e-3
    noise: int = 100
    hidden: int = 128
    depth: int = 3
    dropout: float = 0.25
    tau: float = 0.2
    average: float = 0.999
    classifier_steps: int = 1500
    classifier_decay: float = 0.01
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.constraint not in ("none", "parity", "odds"):
            raise TrainerError(f"constraint is {self.constraint!r}; expected none, parity or odds")
        if self.lam < 0 or (self.lam > 0) != (self.constraint != "none"):
            raise TrainerError(
                f"lam is {self.lam} with constraint {self.constraint!r}; a constraint takes a lam above "
                "0, and none takes 0"
            )
        if not math.isfinite(self.lam) or not math.isfinite(self.learning_rate) or self.learning_rate <= 0:
            raise TrainerError(
                f"lam is {self.lam} and learning_rate {self.learning_rate}; expected numbers, the rate above 0"
            )
        if self.stage2_steps < 0 or self.tau <= 0 or not 0 <= self.average < 1:
            raise TrainerError(
                f"stage2_steps is {self.stage2_steps}, tau {self.tau} and average {self.average}; "
                "expected 0 or more, above 0, and a share below 1"
            )
        if not 0 < self.window <= self.steps or not 1 <= self.snapshot <= self.window:
            raise TrainerError(
                f"window is {self.window} and snapshot {self.snapshot} for {self.steps} steps; the "
                "window is the last part of stage 1"
            )
        for name in ("proxy", "group_share", "pseudo", "alpha", "dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise TrainerError(f"{name} is {getattr(self, name)}, expected a share in [0, 1]")
        if self.batch < 2:
            raise TrainerError(f"batch is {self.batch}; batch normalisation needs two rows")

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the weights: all but the device."""
        said = asdict(self)
        del said["device"]
        return said
