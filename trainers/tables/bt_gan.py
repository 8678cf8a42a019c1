"""Bt-GAN (JAIR 79, 2024): fair synthetic health records. A reconstruction (docs/methods.md#bt-gan): no code is public.

Stage 1 pre-trains a Triple-GAN (generator, discriminator, classifier) and records every real row's log density ratio.
The information constraint joins the generator's loss there and stays. Stage 2 goes on with rows drawn by score, so that
what the generator misses comes up more often, while a second discriminator sees rows drawn uniformly. Stage 3 is
rejection sampling by that second discriminator: ``generators/tables/bt_gan.py`` does it when rows are drawn.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fairshards.catalogs.cohorts.schema import Schema
from fairshards.catalogs.cohorts.unquoted import unquoted
from fairshards.catalogs.manifests.identity import digest
from fairshards.catalogs.manifests.manifest import OWNER_ONLY
from fairshards.generators.tables.bt_gan import BtGan, networks_of
from fairshards.generators.tables.encoding import EDGE, Encoded, TableEncoding
from fairshards.generators.tables.networks import Discriminator, Generator, PooledDropout, Shape, one_hot, shape_of
from fairshards.generators.tables.rejection import Rejection
from fairshards.trainers.core.checkpoint import load_parts, save_parts
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.core.seeding import part_seed, seeded
from fairshards.trainers.tables.density_ratio import RatioRecord, balance_groups, sampling_scores
from fairshards.trainers.tables.joint_shares import constrained_joint, joint_shares
from fairshards.trainers.tables.mutual_information import conditional_mutual_information, mutual_information
from fairshards.trainers.tables.proxies import proxies, seen
from fairshards.trainers.tables.settings import BtGanSettings

VERSION = "bt-gan/7"
CHUNK = 500
"""Steps between checkpoints; each chunk has a seed of its own, so a resumed training draws what a whole one would."""
FEWEST_ROWS = 100
SOFTNESS = 0.25
"""Logits over which the constraint's decision turns from no to yes."""
REJECTION_ROWS = 50 * 256
SETTLING = 200
"""Batches over which the averaged generator's batch statistics are measured."""
Network = TypeVar("Network", bound=nn.Module)


@dataclass
class Losses:
    """Means over a chunk of steps, for the log: one row a chunk."""

    stage: int
    step: int
    discriminator: float
    generator: float
    information: float
    classifier: float


@dataclass
class Fitted:
    """A trained model and its log.

    ``weights`` are stage 2's sampling scores of training rows, float32[n], or None; ``proxies`` the columns that the
    classifier didn't see, with the share of S's entropy that each tells.
    """

    model: BtGan
    log: list[Losses] = field(default_factory=list)
    weights: Tensor | None = None
    proxies: dict[str, float] = field(default_factory=dict)


@unquoted("training")
def fit(
    schema: Schema,
    rows: pd.DataFrame,
    settings: BtGanSettings,
    checkpoint: Path | None = None,
    progress: Callable[[int], None] = lambda step: None,
    people: NDArray[np.int64] | None = None,
) -> Fitted:
    """Train a Bt-GAN on a cohort's training rows.

    Args:
        schema: The cohort's.
        rows: Its columns; nulls are missing.
        settings: What to train.
        checkpoint: A file that the training goes on from, and writes to every 500 steps.
        progress: Called with the number of finished steps.
        people: int64[n], the number of the person whose row each is, where one has several.

    Raises:
        CohortError: the rows can't be encoded.
        TrainerError: too few rows, or a loss is NaN.
    """
    if len(rows) < FEWEST_ROWS:
        raise TrainerError(
            f"{len(rows)} training rows; a Bt-GAN needs hundreds, and at least {FEWEST_ROWS}. Check the "
            "cohort's split and rejects"
        )
    encoding = TableEncoding.fit(schema, settings.attribute, rows, people)
    encoded = encoding.encode(rows)
    training = _Training(encoding, encoded, settings)
    task = digest([VERSION, settings.identity, encoding.to_json(), _rows_digest(encoded)])
    training.resume(checkpoint, task)
    with seeded(settings.seed, training.device):
        while not training.finished:
            training.chunk()
            if checkpoint:
                training.save(checkpoint, task)
            progress(training.step)
        torch.manual_seed(part_seed(settings.seed, "settle"))
        return Fitted(training.model(), training.log, training.weights, training.proxies)


def _rows_digest(encoded: Encoded) -> str:
    parts = (encoded.low, encoded.high, encoded.states, encoded.y, encoded.s)
    return digest([hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest() for part in parts])


class _Rows:
    """The encoded training rows on the device; a batch gets new scores, drawn inside the rows' intervals."""

    def __init__(self, encoded: Encoded, shape: Shape, device: torch.device) -> None:
        def to(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(array).to(device)

        self.y, self.s = to(encoded.y), to(encoded.s)
        blocks = [functional.one_hot(to(encoded.states[:, number]), size) for number, size in enumerate(shape.blocks)]
        numbers = [to(encoded.low), to(encoded.high - encoded.low), to(encoded.present).float()]
        parts = [*numbers, *(block.float() for block in blocks), one_hot(self.y, self.s, shape)]
        self.sizes = [shape.numerics] * 3 + [sum(shape.blocks), shape.condition]
        self.packed = torch.cat(parts, 1)  # one gather a batch

    def __len__(self) -> int:
        return len(self.y)

    def take(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """Return float32[n, width] rows, and their conditions as ``one_hot``."""
        low, width, present, blocks, condition = torch.split(self.packed.index_select(0, which), self.sizes, 1)
        quantile = (low + width * torch.rand_like(low)).clamp(EDGE, 1 - EDGE)
        return torch.cat([torch.special.ndtri(quantile) * present, blocks], 1), condition


class _Training:
    """Where a training stands, and how it takes a chunk of steps."""

    def __init__(self, encoding: TableEncoding, encoded: Encoded, settings: BtGanSettings) -> None:
        self.settings, self.encoding = settings, encoding
        self.device = torch.device(settings.device)
        self.shape = shape_of(encoding, settings.noise, settings.hidden, settings.depth, settings.dropout)
        self.rows = _Rows(encoded, self.shape, self.device)
        real = joint_shares(encoded.y, encoded.s, self.shape.classes, self.shape.groups)
        self.joint = constrained_joint(real, settings.lam)
        self.asked = torch.from_numpy(self.joint.ravel()).float().to(self.device)
        self.step, self.log = 0, list[Losses]()
        self.record = RatioRecord()
        self.weights: Tensor | None = None
        with seeded(part_seed(settings.seed, "init"), self.device):
            self.generator, self.classifier, self.discriminator = networks_of(self.shape)
            for network in (self.generator, self.classifier, self.discriminator):
                network.to(self.device)
        self.proxies = proxies(encoding, encoded, settings.proxy) if settings.constraint != "none" else {}
        self.classifier.seen.copy_(torch.from_numpy(seen(encoding, self.proxies)))
        self.average = copy.deepcopy(self.generator)
        self.second = copy.deepcopy(self.discriminator)
        self.generator_optimiser = self._adam(self.generator)
        self.discriminator_optimiser = self._adam(self.discriminator)
        self.second_optimiser = self._adam(self.second)
        self.classifier_optimiser = torch.optim.AdamW(
            self.classifier.parameters(), settings.learning_rate, weight_decay=settings.classifier_decay, fused=True
        )

    def _adam(self, network: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(network.parameters(), self.settings.learning_rate, betas=(0.5, 0.9), fused=True)

    @property
    def total(self) -> int:
        """All steps of both stages."""
        return self.settings.steps + self.settings.stage2_steps

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.step >= self.total

    def chunk(self) -> None:
        """Take the steps up to the next checkpoint."""
        settings = self.settings
        torch.manual_seed(part_seed(settings.seed, "chunk", self.step))
        for part in (*self.discriminator.modules(), *self.second.modules()):
            if isinstance(part, PooledDropout):
                part.renew()
        if not self.step:
            self._pretrain_classifier()
        if self.step == settings.steps:
            self._begin_stage2()
        stage = 1 if self.step < settings.steps else 2
        end = min(self.step + CHUNK, settings.steps if stage == 1 else self.total)
        sums, count, first = torch.zeros(4, device=self.device), 0, self.step
        while self.step < end:
            sums += self._one_step(stage)
            count += 1
            self.step += 1
            if stage == 1 and self.step > settings.steps - settings.window and self.step % settings.snapshot == 0:
                self.record.add(self._ratios())
        means = (sums / max(1, count)).tolist()
        if not all(math.isfinite(mean) for mean in means):
            raise TrainerError(
                f"Bt-GAN's loss is not finite between steps {first} and {end}: {means}. Lower "
                f"learning_rate (it is {settings.learning_rate}), or look for "
                "a column of a single extreme value"
            )
        self.log.append(Losses(stage, self.step, *means))

    def _one_step(self, stage: int) -> Tensor:
        """Train each network once; return the four losses."""
        settings = self.settings
        rate = 0.5 * settings.learning_rate * (1 + math.cos(math.pi * self.step / self.total))
        for optimiser in (self.generator_optimiser, self.discriminator_optimiser, self.second_optimiser):
            optimiser.param_groups[0]["lr"] = rate
        which = self._draw(weighted=stage == 2)
        real, condition = self.rows.take(which)
        with torch.no_grad():
            made = self._generate(self.generator, condition)
        wrong = self._pseudo(which, real)
        critic = self._discriminate(self.discriminator, self.discriminator_optimiser, real, made, condition, wrong)
        if stage == 2 and self.step % 2 == 0:  # it begins where the first one is, and has less to learn
            others, given = self.rows.take(self._draw(weighted=False))
            with torch.no_grad():
                fakes = self._generate(self.generator, given)
            self._discriminate(self.second, self.second_optimiser, others, fakes, given, None)
        classifier = torch.zeros((), device=self.device)
        if stage == 1 and settings.classifier_every and self.step % settings.classifier_every == 0:
            classifier = settings.classifier_every * self._train_classifier(real, made, which)
        made_loss, information = self._train_generator()
        self._follow()
        return torch.stack([critic, made_loss, information, classifier])

    def _draw(self, weighted: bool) -> Tensor:
        if weighted and self.weights is not None:
            return torch.multinomial(self.weights, self.settings.batch, replacement=True)
        return torch.randint(len(self.rows), (self.settings.batch,), device=self.device)

    def _generate(self, network: Generator, condition: Tensor) -> Tensor:
        count = len(condition)
        z = torch.randn(count, self.shape.noise, device=self.device)
        states, blocks = network.uniforms
        uniform = torch.rand(states, count, blocks, device=self.device).clamp_(1e-7, 1 - 1e-7)
        x: Tensor = network(z, condition, uniform, self.settings.tau)
        return x

    def _pseudo(self, which: Tensor, real: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return real rows with labels drawn from the classifier, which the discriminator is to tell (Triple-GAN)."""
        count = round(self.settings.pseudo * len(which))
        if not count:
            return None
        x = real[:count]
        with torch.no_grad():
            probability = self.classifier(x).sigmoid()
            y = (torch.rand_like(probability) < probability).long()  # bernoulli would raise where a loss is NaN
        return x, one_hot(y, self.rows.s[which[:count]], self.shape)

    def _discriminate(
        self,
        network: Discriminator,
        optimiser: torch.optim.Optimizer,
        real: Tensor,
        made: Tensor,
        condition: Tensor,
        wrong: tuple[Tensor, Tensor] | None,
    ) -> Tensor:
        """Train a discriminator once; return its loss."""
        parts = [real, made, *([wrong[0]] if wrong else [])]
        x = torch.cat(parts)
        given = torch.cat([condition, condition, *([wrong[1]] if wrong else [])])
        with torch.no_grad():
            told = self.classifier(x)
        logits = torch.split(network(x, given, told), [len(part) for part in parts])
        loss = discriminator_loss(*logits, alpha=self.settings.alpha)
        _descend(loss, optimiser)
        return loss.detach()

    def _train_generator(self) -> tuple[Tensor, Tensor]:
        """L_G = BCE(D(G(z, y, s), y, s), 1) + lambda I, with (y, s) as the constraint asks for them."""
        settings = self.settings
        pair = torch.multinomial(self.asked, settings.batch, replacement=True)
        y, s = pair // self.shape.groups, pair % self.shape.groups
        condition = one_hot(y, s, self.shape)
        frozen = [*self.discriminator.parameters(), *self.classifier.parameters()]
        for parameter in frozen:
            parameter.requires_grad_(False)
        x = self._generate(self.generator, condition)
        told = self.classifier(x)
        loss = functional.softplus(-self.discriminator(x, condition, told)).mean()
        information = torch.zeros((), device=self.device)
        if settings.constraint != "none":
            information = self._information(told, y, s)
        _descend(loss + settings.lam * information, self.generator_optimiser)
        for parameter in frozen:
            parameter.requires_grad_(True)
        return loss.detach(), information.detach()

    def _information(self, told: Tensor, y: Tensor, s: Tensor) -> Tensor:
        """Return what the decision tells of S: Yhat calls as many rows positive as are, softly so around its threshold.

        The probability itself would do too, but it is seldom near 0 or 1: its means by group hardly differ where
        decisions do, and a gradient through it has little to say.
        """
        threshold = torch.quantile(told.detach(), 1 - y.float().mean())
        probability = ((told - threshold) / SOFTNESS).sigmoid()
        if self.settings.constraint == "parity":
            return mutual_information(probability, s, self.shape.groups)
        return conditional_mutual_information(probability, s, y, self.shape.groups, self.shape.classes)

    def _train_classifier(self, real: Tensor, made: Tensor, which: Tensor) -> Tensor:
        """L_C = CE(real) + a_adv E_{y ~ C}[BCE(D(x, y), 1)] + a_g CE(C(G(z, y)), y), every few steps of stage 1.

        Stage 2 draws rows by score, which a classifier mustn't learn from.
        """
        settings = self.settings
        self.classifier.train()
        y = self.rows.y[which]
        told = self.classifier(real)
        loss = functional.binary_cross_entropy_with_logits(told, y.float())
        if settings.adversarial:
            s, probability = self.rows.s[which], told.sigmoid()
            pairs = [one_hot(torch.full_like(y, value), s, self.shape) for value in (0, 1)]
            with torch.no_grad():
                answers = [functional.softplus(-self.discriminator(real, pair, told)) for pair in pairs]
            loss = loss + settings.adversarial * ((1 - probability) * answers[0] + probability * answers[1]).mean()
        if settings.generated and self.step >= settings.steps // 2:
            loss = loss + settings.generated * functional.binary_cross_entropy_with_logits(
                self.classifier(made), y.float()
            )
        self.classifier_optimiser.param_groups[0]["lr"] = 0.1 * settings.learning_rate
        _descend(loss, self.classifier_optimiser)
        self.classifier.eval()
        return loss.detach()

    def _pretrain_classifier(self) -> None:
        settings = self.settings
        self.classifier.train()
        for step in range(settings.classifier_steps):
            which = self._draw(weighted=False)
            rate = 3 * settings.learning_rate * 0.5 * (1 + math.cos(math.pi * step / settings.classifier_steps))
            self.classifier_optimiser.param_groups[0]["lr"] = rate
            loss = functional.binary_cross_entropy_with_logits(
                self.classifier(self.rows.take(which)[0]), self.rows.y[which].float()
            )
            _descend(loss, self.classifier_optimiser)
        self.classifier.eval()

    @torch.no_grad()
    def _follow(self) -> None:
        """Let the averaged generator follow; its batch statistics are taken over."""
        mine: list[Tensor] = list(self.average.parameters())
        followed: list[Tensor] = list(self.generator.parameters())
        torch._foreach_lerp_(mine, followed, 1 - self.settings.average)
        for one, other in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            one.copy_(other)

    @torch.no_grad()
    def _ratios(self) -> Tensor:
        """Return the log density ratio of every training row, float32[n]."""
        self.discriminator.eval()
        found = []
        for which in torch.split(torch.arange(len(self.rows), device=self.device), 4096):
            x, condition = self.rows.take(which)
            found.append(self.discriminator(x, condition, self.classifier(x)))
        self.discriminator.train()
        return torch.cat(found)

    def _begin_stage2(self) -> None:
        """Turn the record into sampling weights, and let the second discriminator begin where the first one is."""
        group = self.rows.y * self.shape.groups + self.rows.s
        scores = sampling_scores(self.record, self.settings.k)
        self.weights = balance_groups(scores, group, self.settings.group_share)
        self.second.load_state_dict(self.discriminator.state_dict())

    @torch.no_grad()
    def _settle(self) -> None:
        """Measure the averaged generator's own batch statistics: those that it followed belong to other weights."""
        norms = [part for part in self.average.modules() if isinstance(part, nn.BatchNorm1d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over the batches
        self.average.train()
        for _ in range(SETTLING):
            pair = torch.multinomial(self.asked, self.settings.batch, replacement=True)
            self._generate(self.average, one_hot(pair // self.shape.groups, pair % self.shape.groups, self.shape))
        self.average.eval()

    def model(self) -> BtGan:
        """Return the trained model, with rejection sampling fitted where the settings have it."""
        self._settle()
        second = self.second if self.settings.stage2_steps else self.discriminator
        networks = _frozen(self.average), _frozen(self.classifier), _frozen(second)
        model = BtGan(self.encoding, self.shape, *networks, None, self.joint, self.settings.identity)
        if self.settings.rejection:
            generator = np.random.default_rng(part_seed(self.settings.seed, "rejection"))
            pair = generator.choice(self.joint.size, REJECTION_ROWS, p=self.joint.ravel())
            seeds = generator.integers(0, 2**64, REJECTION_ROWS, np.uint64)
            drawn = model.draw(pair // self.shape.groups, pair % self.shape.groups, seeds)
            model.rejection = Rejection.fit(drawn.ratios)
        return model

    @property
    def _parts(self) -> dict[str, tuple[nn.Module, torch.optim.Optimizer | None]]:
        return {
            "generator": (self.generator, self.generator_optimiser),
            "average": (self.average, None),
            "discriminator": (self.discriminator, self.discriminator_optimiser),
            "second": (self.second, self.second_optimiser),
            "classifier": (self.classifier, self.classifier_optimiser),
        }

    def save(self, path: Path, task: str) -> None:
        """Write where the training stands."""
        more = {"mean": self.record.mean, "square": self.record.square}
        if self.weights is not None:
            more["weights"] = self.weights
        history = [self.step, self.record.count, list(map(astuple, self.log))]
        save_parts(path, task, history, self._parts, more, OWNER_ONLY)

    def resume(self, path: Path | None, task: str) -> None:
        """Go on from a checkpoint of the same task, if there is one."""
        found = load_parts(path, task, self._parts) if path else None
        if found is None:
            return
        (self.step, count, history), more = found
        self.record = RatioRecord(count, more["mean"].to(self.device), more["square"].to(self.device))
        self.weights = more["weights"].to(self.device) if "weights" in more else None
        self.log = [Losses(*row) for row in history]
        self.classifier.eval()


def discriminator_loss(real: Tensor, made: Tensor, wrong: Tensor | None = None, *, alpha: float = 0.5) -> Tensor:
    """L_D = BCE(D(x, y), 1) + (1 - a) BCE(D(G, y), 0) + a BCE(D(x, C(x)), 0) of logits; without the last, a = 0."""
    loss = functional.softplus(-real).mean()
    if wrong is None:
        return loss + functional.softplus(made).mean()
    return loss + (1 - alpha) * functional.softplus(made).mean() + alpha * functional.softplus(wrong).mean()


def _frozen(network: Network) -> Network:
    """Return a copy in evaluation mode that nothing trains."""
    copied = copy.deepcopy(network)
    copied.eval().requires_grad_(False)
    return copied


def _descend(loss: Tensor, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
