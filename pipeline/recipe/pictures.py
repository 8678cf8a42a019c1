"""The recipe: one YAML file that names everything a run needs, checked before anything starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, Field, field_validator, model_validator

from fairshards.catalogs.manifests.identity import UNKNOWN, UNKNOWN_BIAS
from fairshards.filters.pictures.preview import PreviewLimits
from fairshards.filters.pictures.silhouette import Silhouette
from fairshards.filters.pictures.trajectory_variance import TrajectoryVarianceLimit
from fairshards.filters.registry import PICTURE_FILTERS
from fairshards.nearest import nearest
from fairshards.pipeline.recipe.base import HomePath, RecipeBase, filter_problems
from fairshards.pipeline.recipe.discovery import Discovery, Segmenting
from fairshards.pipeline.recipe.options import OptionsByName
from fairshards.pipeline.recipe.source import SOURCES, Source
from fairshards.pipeline.recipe.spurious_free import SpuriousFree
from fairshards.pipeline.recipe.strict import Strict, check_templates
from fairshards.pipeline.recipe.training import (
    Training,
    asking_for_bias,
    curation_misfits,
    reference_settings,
    setting_problems,
    train_settings,
)
from fairshards.trainers.classifiers.settings import TrainSettings


def _check_name(name: str) -> str:
    """Return a name that groups, reports and terminals can show as it is."""
    if not name.strip() or not name.isprintable() or set("|/") & set(name):
        raise ValueError(
            "a name is of printable characters, not all spaces, without | and /; give what the dataset writes in labels"
        )
    return name


Name = Annotated[str, AfterValidator(_check_name)]
Word = Annotated[str, Field(pattern=r"\S")]


class LabelValue(Strict):
    """One class, or one value of the bias attribute."""

    name: Name = Field(description="Its name in the catalog, in groups and in reports.")
    words: tuple[Word, ...] = Field(
        (), description="How prompts may word it; one is drawn per sample. Default: the name."
    )
    labels: tuple[str, ...] = Field((), description="What the dataset writes for it. Default: the name or its number.")
    judge: tuple[str, ...] = Field(
        (), description="Prompts with which the CLIP judge knows it. Default: from the scorer."
    )

    @property
    def wordings(self) -> tuple[str, ...]:
        """The words, or the name when there are none."""
        return self.words or (self.name,)


class Bias(Strict):
    """The bias attribute b."""

    name: str = "background"
    values: tuple[LabelValue, ...] = Field(min_length=1)

    @property
    def known(self) -> bool:
        """Whether the dataset says the bias value of its images."""
        return self.name != UNKNOWN

    @model_validator(mode="after")
    def _some_to_tell_apart(self) -> Bias:
        if self.known and len(self.values) < 2:
            raise ValueError(
                f"bias.values has {self.values[0].name!r} alone; an attribute has two values or more. "
                "Leave bias out where no label is known"
            )
        if not self.known and [value.name for value in self.values] != [UNKNOWN]:
            raise ValueError(
                f"bias.name {UNKNOWN!r} means that no bias label is known; give another name, or leave bias out"
            )
        return self


UNKNOWN_BIAS_ATTRIBUTE = Bias(name=UNKNOWN, values=(LabelValue.model_validate({"name": UNKNOWN}),))
"""The bias attribute of samples without a bias value: their groups are (y, -1)."""


class ClassPrompt(Strict):
    """What is said of one class beside the templates."""

    negative: str | None = Field(None, description="In place of prompts.negative.")
    negatives: tuple[tuple[str, float], ...] = Field((), description="Perp-Neg's prompts and weights below 0.")
    spurious: tuple[str, ...] = Field((), description="Phrases that must not be visible: filter spurious_absence.")


class Prompts(Strict):
    """How a group becomes a prompt."""

    templates: tuple[str, ...] = Field(("a photo of a {class} on {bias}",), min_length=1)
    negative: str = ""
    by_class: Mapping[str, ClassPrompt] = Field(default_factory=dict, description="By class name.")

    def of_class(self, name: str) -> ClassPrompt:
        """Return what is said of a class."""
        return self.by_class.get(name, ClassPrompt.model_validate({}))

    @model_validator(mode="after")
    def _known_fields(self) -> Prompts:
        check_templates(self.templates, ("class", "bias"))
        return self


class Prune(Strict):
    """Pruning in flight: at a step, previews that miss their group or prompt aren't finished."""

    step: int = Field(ge=1, description="Model calls before previews are judged.")
    min_class: float | None = Field(None, description="Least probability of the intended class.")
    min_bias: float | None = Field(None, description="Least probability of the intended bias value.")
    min_alignment: float | None = Field(None, description="Least cosine of the preview with its prompt.")
    pays_from: float = Field(
        0.0, ge=0, lt=1, description="The share of a task's first batch that must be pruned for the rest to be judged."
    )

    @property
    def limits(self) -> PreviewLimits:
        """The limits as filters have them."""
        return PreviewLimits(self.min_class, self.min_bias, self.min_alignment)

    @model_validator(mode="after")
    def _some_limit(self) -> Prune:
        _ = self.limits
        return self


class Generator(Strict):
    """The text-to-image model and its sampler."""

    model: str = Field(description="A folder, a hub id, or pocket:<name>.")
    revision: str | None = None
    device: Literal["cpu", "cuda", "mps"] = Field("cpu", description="The *worker's* device.")
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    scheduler: str | None = Field(None, description="A diffusers scheduler class; default: the model's own.")
    steps: int = Field(50, ge=1)
    guidance_scale: float = Field(7.5, ge=0)
    eta: float = Field(0.0, ge=0, le=1)
    height: int = Field(512, ge=8, multiple_of=8)
    width: int = Field(512, ge=8, multiple_of=8)
    batch_size: int = Field(8, ge=1)
    window: int = Field(
        10, ge=0, description="k: the trajectory variance is taken over the last k steps, 2 or more; 0: it isn't taken."
    )
    allow_pickle: bool = False
    accelerator: str | None = Field(
        None, description="Beam's accelerator hint, e.g. type:nvidia-tesla-t4;count:1;install-nvidia-driver."
    )
    min_ram: str | None = Field(None, description="Beam's min_ram hint, e.g. 16GB.")
    prune: Prune | None = Field(
        None, description="Judge samples half-way and finish those alone that are worth it; see calibrate-pruning."
    )

    @model_validator(mode="after")
    def _window_fits(self) -> Generator:
        if self.window == 1:
            raise ValueError("window is 1, and one step has no variance: give 2 or more, or 0 to follow none")
        if self.window > self.steps:
            raise ValueError(f"window is {self.window}, but there are only {self.steps} steps; window: 0 follows none")
        if self.prune and self.prune.step > self.steps - self.window:
            raise ValueError(
                f"prune.step is {self.prune.step}, but the trajectory variance is followed over the last "
                f"{self.window} of {self.steps} steps: prune at {self.steps - self.window} or before"
            )
        if self.prune and self.prune.step == self.steps:
            raise ValueError(f"prune.step is {self.prune.step}, the last step; prune at {self.steps - 1} or before")
        return self


class Quota(Strict):
    """How many samples to keep per (class, bias) group."""

    per_group: int | None = Field(None, ge=1, description="Default: FFR's m = floor(sum(M - n) / K).")
    usb_extra: bool = Field(False, description="Also keep what the USB baseline needs: M - n a group.")
    validation: int = Field(
        0, ge=0, description="Also keep this many a group to validate on: selection synthetic-validation."
    )
    surplus: float = Field(0.15, ge=0, le=100, description="Share made beyond the quota in the first round.")
    max_rounds: int = Field(4, ge=1)
    shard_size: int = Field(64, ge=1, description="S: a raw shard holds replicates [kS, (k+1)S) of one group.")
    curated_shard_size: int = Field(500, ge=1)


class Calibration(Strict):
    """How filters with ``retain`` get their limits."""

    images: int = Field(400, ge=10, description="Real training pictures a group that are scored, at most.")
    run: HomePath | None = Field(
        None, description="A run folder whose limits are used in place of measuring: same models, same retain."
    )
    curation: str | None = Field(None, description="Of that run. Default: the last one with calibrations.")


class Scorer(Strict):
    """The CLIP model that scores and judges."""

    model: str = Field(description="A folder with an open_clip model, a hub name, or pocket:<name>.")
    device: Literal["cpu", "cuda", "mps"] = "cpu"
    batch_size: int = Field(64, ge=1)
    allow_pickle: bool = Field(False, description="Load weights that can run code (.bin, .pt), of an author you trust.")
    class_prompts: tuple[str, ...] = Field(("a photo of a {class}",), min_length=1)
    bias_prompts: tuple[str, ...] = Field(("a photo of {bias}",), min_length=1)
    segmenter: Segmenting | None = Field(
        None, description="Finds each picture's object for the filter silhouette; takes model, sam and object_words."
    )

    @model_validator(mode="after")
    def _known_fields(self) -> Scorer:
        check_templates(self.class_prompts, ("class",))
        check_templates(self.bias_prompts, ("bias",))
        return self


class Recipe(RecipeBase):
    """Everything a run of pictures needs."""

    KIND: ClassVar[str] = "pictures"
    TAGGED: ClassVar[Mapping[str, type[BaseModel]]] = SOURCES

    source: Source
    classes: tuple[LabelValue, ...] = Field(min_length=2)
    bias: Bias = Field(UNKNOWN_BIAS_ATTRIBUTE, description="Default, or null: no label of it is known.")
    pairs: tuple[tuple[str, str], ...] = Field(
        (), alias="groups", description="The (class, bias) pairs that exist. Default: all of them."
    )
    prompts: Prompts = Field(default_factory=lambda: Prompts.model_validate({}))
    generator: Generator
    quota: Quota = Field(default_factory=lambda: Quota.model_validate({}))
    scorer: Scorer
    filters: Annotated[Mapping[str, Mapping[str, Any]], OptionsByName(PICTURE_FILTERS)] = Field(default_factory=dict)
    calibration: Calibration = Field(default_factory=lambda: Calibration.model_validate({}))
    training: Training = Field(default_factory=lambda: Training.model_validate({}))
    discovery: Discovery | None = Field(None, description="How spurious phrases are found (ASPIRE).")
    spurious_free: SpuriousFree | None = Field(
        None, description="Make pictures free of what discovery reports, in place of balanced (class, bias) groups."
    )

    @field_validator("bias", mode="before")
    @classmethod
    def _nothing_is_unknown(cls, given: Any) -> Any:
        return UNKNOWN_BIAS_ATTRIBUTE if given is None else given

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if problems := list(self._problems()):
            raise ValueError("\n".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        """Yield what doesn't go together, every problem on a line of its own."""
        yield from _alike("classes", self.classes)
        yield from _alike("bias.values", self.bias.values)
        yield from filter_problems(self.filters, PICTURE_FILTERS)
        if TrajectoryVarianceLimit.name in self.filters and not self.generator.window:
            yield (
                "filters has variance, but generator.window is 0, so no trajectory variance is taken: set the "
                "window to 2 or more steps, or leave the filter out"
            )
        if Silhouette.name in self.filters and not self.scorer.segmenter:
            yield (
                "filters has silhouette, which compares the outlines of objects: name what finds them, "
                "e.g. scorer.segmenter: {model: CIDAS/clipseg-rd64-refined, object_words: [a bird]}"
            )
        wrong = setting_problems(self.training)
        yield from wrong
        trainings = [] if wrong else train_settings(self.training)
        if any(one.selection == "synthetic-validation" for one in trainings) and not self.quota.validation:
            yield (
                "training has selection synthetic-validation, but quota.validation is 0: set how many "
                "generated pictures of each class to validate on, e.g. quota.validation: 50"
            )
        if self.discovery and not wrong:
            try:
                reference_settings(self.training, self.discovery.reference)
            except ValueError as error:
                yield from (
                    line if line.startswith("discovery.") else f"discovery.reference: {line}"
                    for line in str(error).splitlines()
                )
        if self.spurious_free and not self.discovery:
            yield "spurious_free needs to know what is spurious: add a section discovery"
        splits = self.discovery.splits if self.discovery else None
        yield from curation_misfits(self.training, trainings, bool(self.spurious_free), splits)
        if not self.bias.known:
            yield from self._misfits_without_bias(trainings)
        yield from self._group_problems()

    def _group_problems(self) -> Iterator[str]:
        """Yield what is wrong with the pairs, and with lists that go by them."""
        if len(set(self.pairs)) < len(self.pairs):
            yield f"groups has a pair twice: {[list(pair) for pair in self.pairs]}"
        known = {value.name for value in self.classes}
        for name in self.prompts.by_class:
            if name not in known:
                yield f"prompts.by_class has {name!r}{nearest(name, sorted(known), 'classes: ')}"
        try:
            groups = len(self.groups)
        except ValueError as error:
            yield str(error)
            return
        for ratio, counts in self.source.published_counts.items():
            if len(counts) != groups:
                yield f"source.published_counts[{ratio}] has {len(counts)} counts for {groups} groups"

    def _misfits_without_bias(self, trainings: Sequence[TrainSettings]) -> Iterator[str]:
        """Yield what asks for bias labels where none is known."""
        needs = {
            "groups lists pairs": bool(self.pairs),
            "source.aligned names groups": bool(self.source.aligned),
            "source.bias_ratio sub-samples groups": self.source.reader != "pocket" and bool(self.source.bias_ratio),
        }
        wrong = [*asking_for_bias(self.training, trainings), *(what for what, does in needs.items() if does)]
        if wrong:
            yield f"{'; '.join(wrong)}, but no bias label is known: name the attribute in bias, or leave that out"
        elif not self.discovery:
            yield (
                "without bias nothing says what is spurious: add discovery, which finds it, or name the "
                "attribute in bias"
            )

    @property
    def groups(self) -> list[tuple[int, int]]:
        """The (y, b) pairs, class-major.

        Raises:
            ValueError: ``groups`` names a class or a bias value that the recipe lacks.
        """
        if not self.bias.known:
            return [(y, UNKNOWN_BIAS) for y in range(len(self.classes))]
        classes = [value.name for value in self.classes]
        values = [value.name for value in self.bias.values]
        pairs = self.pairs or tuple((c, b) for c in classes for b in values)
        for class_name, bias_name in pairs:
            if class_name not in classes or bias_name not in values:
                raise ValueError(f"groups has [{class_name}, {bias_name}]; classes are {classes}, values {values}")
        return sorted((classes.index(c), values.index(b)) for c, b in pairs)

    def group_name(self, y: int, b: int) -> str:
        """Return "<class>|<bias>"."""
        return f"{self.classes[y].name}|{self.bias.values[b].name}"


def _alike(what: str, values: Sequence[LabelValue]) -> Iterator[str]:
    """Yield where two values have one name, or where the dataset's label of one could be another's."""
    names = [value.name for value in values]
    if len(set(names)) < len(names):
        yield f"{what} has a name twice: {names}"
        return
    owner = {name: name for name in names}
    for value in values:
        for label in value.labels:
            if owner.setdefault(label, value.name) != value.name:
                yield (
                    f"{what}: {label!r} in the labels of {value.name!r} is also what {owner[label]!r} goes by, so "
                    "that a picture with it could be either; give each its own"
                )
