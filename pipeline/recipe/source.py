"""The recipe's ``source``: the dataset, and how it is read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from fairshards.families import SOURCE_READERS
from fairshards.pipeline.recipe.options import options_beside
from fairshards.pipeline.recipe.strict import Strict, check_fields
from fairshards.plugins import PluginError

Folder = Annotated[
    str, AfterValidator(os.path.expanduser), Field(description="The dataset's folder; ~ is the home folder.")
]
Ratio = Annotated[str, Field(pattern=r"^0?\.[0-9]+$")]
SplitWords = Mapping[str, Literal["train", "val", "test"]]


class DatasetSource(Strict):
    """What every source has: the bias ratio, its majorities and its groups."""

    bias_ratio: float | None = Field(
        None,
        ge=0.5,
        lt=1.0,
        description="r. Pocket world: how biased it is drawn. Other sources: train and val minority groups are "
        "sub-sampled to n_maj (1-r)/r (FFR's rule).",
    )
    aligned: Mapping[str, str] = Field(
        default_factory=dict,
        description="For each class, the bias value that its majority has at bias_ratio. Default: as in "
        "published_counts, else the one with the most training images.",
    )
    val_min_group: int = Field(10, ge=1, description="No val group is sub-sampled below this.")
    published_counts: Mapping[Ratio, tuple[int, ...]] = Field(
        default_factory=dict,
        description="Training counts per group (class-major order) by bias ratio, for `plan` without the dataset.",
    )
    empty_groups: tuple[str, ...] = Field(
        (),
        description='Groups, e.g. "waterbird|land", that have no training image on purpose; any other such group is '
        "refused.",
    )


class PocketSource(DatasetSource):
    """Pocket Waterbirds, rendered into the run folder."""

    reader: Literal["pocket"]
    n_train: int = Field(1000, ge=8)
    val_min_group: int = Field(100, ge=1)
    test_per_group: int = Field(250, ge=1)
    seed: int | None = Field(None, description="The world's seed. Default: the recipe's.")
    objects: Mapping[str, Mapping[str, float]] = Field(
        default_factory=dict,
        description="Planted cues: for each class, how often a reed, branch, buoy or rock stands beside the bird.",
    )

    @model_validator(mode="after")
    def _rates_can_be_drawn(self) -> PocketSource:
        if self.objects:
            from fairshards.pocket.scenes.scene import check_rates

            check_rates(self.objects)
        return self


class WebDatasetSource(DatasetSource):
    """WebDataset tars in a folder."""

    reader: Literal["webdataset"]
    path: Folder
    splits: Mapping[str, str | tuple[str, ...]] = Field(
        default_factory=lambda: {"train": "train-*.tar", "val": "val-*.tar", "test": "test-*.tar"},
        description="The tars of each split: a glob pattern, WebDataset's braces ({00000..00009}.tar), or a list of "
        "them. Each must match; no tar may be in two splits.",
    )
    class_field: str | None = Field(
        None,
        description="The json field with the class. One that is named here goes before .cls; by default the class is "
        "in .cls, else in the field class.",
    )
    bias_field: str = "background"


class MetadataCsvSource(DatasetSource):
    """A folder with metadata.csv, as the official Waterbirds release."""

    reader: Literal["metadata_csv"]
    path: Folder
    file_field: str = "img_filename"
    class_field: str = "y"
    split_field: str = "split"
    bias_field: str = "place"
    splits: SplitWords = Field(
        default_factory=dict,
        description="What values of the split column mean, beside 0, 1, 2 (train, val, test) and the usual words.",
    )


class ImageFolderSource(DatasetSource):
    """A tree <split>/<class>/<bias>/*.jpg, or <split>/<class>/*.jpg where no bias label is known."""

    reader: Literal["image_folder"]
    path: Folder
    layout: str | None = Field(
        None, description="The levels in their order. Default: split/class/bias; split/class without bias."
    )
    splits: SplitWords = Field(
        default_factory=dict, description="What folders of the level split mean, beside the usual words."
    )

    @model_validator(mode="after")
    def _has_a_class(self) -> ImageFolderSource:
        levels = (self.layout or "class").split("/")
        if levels.count("class") != 1 or levels.count("split") > 1 or levels.count("bias") > 1:
            raise ValueError(
                f"layout is {self.layout!r}; it names the levels of folders, among them class once, and "
                "split and bias at most once, e.g. split/class/bias"
            )
        return self


class OtherSource(DatasetSource):
    """A dataset that somebody's own reader reads; further keys are the reader's fields."""

    model_config = ConfigDict(extra="allow", json_schema_extra=options_beside(SOURCE_READERS, "reader"))

    reader: str = Field(description="A reader of an installed package by name, or any by its dotted path.")

    @property
    def options(self) -> dict[str, Any]:
        """The reader's fields."""
        options = dict(self.model_extra or {})
        return {**options, "path": os.path.expanduser(str(options["path"]))} if "path" in options else options

    @model_validator(mode="after")
    def _reader_can_be_made(self) -> OtherSource:
        try:
            kind = SOURCE_READERS[self.reader]
        except PluginError as error:
            raise ValueError(f"reader is {error}") from None
        check_fields(kind, self.options, "source", complete=True)
        return self


def _reader_of(said: Any) -> str:
    """Return which model a ``source`` is of: one of ours by its reader, or else somebody's own."""
    reader = said.get("reader", "") if isinstance(said, Mapping) else getattr(said, "reader", "")
    return str(reader) if reader in OURS else OTHER


OTHER = "a reader of its own"
OURS = ("pocket", "webdataset", "metadata_csv", "image_folder")
Source = Annotated[
    Annotated[PocketSource, Tag("pocket")]
    | Annotated[WebDatasetSource, Tag("webdataset")]
    | Annotated[MetadataCsvSource, Tag("metadata_csv")]
    | Annotated[ImageFolderSource, Tag("image_folder")]
    | Annotated[OtherSource, Tag(OTHER)],
    Discriminator(_reader_of),
]
SOURCES: Mapping[str, Any] = {
    **dict(zip(OURS, (PocketSource, WebDatasetSource, MetadataCsvSource, ImageFolderSource), strict=True)),
    OTHER: OtherSource,
}
