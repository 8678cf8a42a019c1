"""The recipe's ``discovery``: the models and limits with which spurious phrases are found (docs/methods.md#aspire)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from fairshards.pipeline.recipe.strict import Strict, check_templates

Device = Literal["cpu", "cuda", "mps"]
"""The worker's device."""


class EndpointModel(Strict):
    """A model behind an OpenAI-compatible endpoint."""

    base_url: str = Field(description="What stands before /chat/completions, e.g. http://localhost:8000/v1.")
    model: str
    key_variable: str | None = Field(None, description="The environment variable that holds the key. Never the key.")
    revision: str = ""
    timeout: float = Field(120.0, gt=0)
    concurrency: int = Field(4, ge=1)
    extra: dict[str, Any] = Field(default_factory=dict, description="Further fields of the request's body.")


class TextModel(Strict):
    """A model that writes text: by folder, hub id or pocket:<name>, or behind an endpoint; one of the two."""

    model: str | None = Field(None, description="A folder, a hub id, or pocket:<name>.")
    endpoint: EndpointModel | None = None
    revision: str | None = None
    device: Device = "cpu"
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    batch_size: int = Field(8, ge=1)
    max_new_tokens: int = Field(256, ge=1)
    temperature: float = Field(0.0, ge=0, description="0 is greedy.")
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int = 42
    allow_pickle: bool = False
    accelerator: str | None = None
    min_ram: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> TextModel:
        if (self.model is None) == (self.endpoint is None):
            raise ValueError("name a model or an endpoint, one of the two")
        return self


class CaptionModel(TextModel):
    """The image-to-text model."""

    max_new_tokens: int = Field(100, ge=1)
    instruction: str | None = Field(None, description="What it is told or goes on from. Default: that of its kind.")


class ExtractionModel(TextModel):
    """The language model that takes phrases out of captions."""

    attempts: int = Field(
        3,
        ge=1,
        description="How often a model that chats is asked for one thing at most: "
        "once for all phrases of a caption, then for each that is missing. 1: once for all.",
    )


class Segmenting(Strict):
    """What finds a phrase in a picture: CLIPSeg, or Grounding DINO with SAM."""

    model: str
    sam: str | None = Field(None, description="SAM's folder or hub id; then model is Grounding DINO.")
    threshold: float | None = Field(None, gt=0, lt=1)
    text_threshold: float | None = Field(None, gt=0, lt=1)
    dilate: float = Field(10.0, ge=0, description="Kernel for a short side of 512 pixels.")
    min_share: float = Field(0.001, ge=0, le=1)
    max_share: float = Field(0.9, ge=0, le=1)
    object_words: tuple[str, ...] = Field(
        (), description="What the segmenter looks for to find the class object, by class. Default: 'a <class>'."
    )
    batch_size: int = Field(8, ge=1)


class Editing(Strict):
    """What edits a phrase out."""

    kind: Literal["inpaint", "instruct"] = "inpaint"
    model: str
    revision: str | None = None
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    scheduler: str | None = None
    steps: int = Field(50, ge=1)
    guidance_scale: float = Field(7.5, ge=0)
    image_guidance_scale: float = Field(1.5, ge=0, description="Of kind instruct.")
    eta: float = Field(0.0, ge=0, le=1)
    strength: float = Field(1.0, gt=0, le=1, description="Of kind inpaint.")
    feather: float = Field(0.0, ge=0)
    height: int | None = Field(None, ge=8, multiple_of=8)
    width: int | None = Field(None, ge=8, multiple_of=8)
    negative: str = ""
    batch_size: int = Field(8, ge=1)
    task_size: int = Field(32, ge=1, description="Edits a shard task.")
    allow_pickle: bool = False
    background_prompt: str = Field(
        "a photo of a {class} on {replacement}", description="Of kind inpaint; fields {class}, {replacement}."
    )
    foreground_prompt: str = Field(
        "a photo of a {class}", description="What fills a removed object; fields {class}, {background}."
    )
    background_instruction: str = "turn the background of {phrase} into {replacement}."
    foreground_instruction: str = "remove {phrase}."

    @model_validator(mode="after")
    def _known_fields(self) -> Editing:
        asked = (
            self.background_prompt,
            self.foreground_prompt,
            self.background_instruction,
            self.foreground_instruction,
        )
        check_templates(asked, ("class", "phrase", "replacement", "background"))
        return self


class Merging(Strict):
    """Merging of phrases by sentence embeddings, beside that by words. Needs ``fairshards[embeddings]``."""

    model: str = Field(description="A folder or hub id of sentence-transformers, e.g. one of all-MiniLM-L6-v2.")
    revision: str | None = None
    device: Device = "cpu"
    threshold: float = Field(0.9, gt=0, le=1, description="Cosine from which two phrases are one.")


class Ranking(Strict):
    """When a phrase is reported as spurious (pipeline/discovery/ranking.py)."""

    top_k: int = Field(10, ge=1)
    min_count: int = Field(10, ge=1)
    floor: float = Field(0.1, ge=0, lt=1)
    min_lift: float = Field(1.0, gt=0)
    min_phrase_drop: float = Field(0.01, description="CLIP's cosine with the phrase must fall by this much.")
    min_replacement_rise: float = Field(0.01, description="And rise by this much with a new background.")


class Discovery(Strict):
    """How spurious phrases are found. Device, accelerator and memory are those of the edit and test stages."""

    captioner: CaptionModel
    extractor: ExtractionModel
    segmenter: Segmenting | None = None
    editor: Editing
    merge: Merging | None = Field(None, description="Default: phrases are merged by their words alone.")
    ranking: Ranking = Field(default_factory=lambda: Ranking.model_validate({}))
    reference: dict[str, Any] = Field(
        default_factory=dict, description="Fields of trainers.TrainSettings for the reference ERM classifier."
    )
    splits: tuple[Literal["train", "val"], ...] = ("train",)
    task_size: int = Field(256, ge=1, description="Captions a task.")
    edits_per_phrase: int | None = Field(None, ge=1, description="Most edits a (class, phrase). Default: all.")
    max_phrases: int = Field(40, ge=1, description="The most frequent phrases of a class that are tested.")
    device: Device = "cpu"
    accelerator: str | None = None
    min_ram: str | None = None
    cache: str | None = Field(None, description="Folder of answers, shared by runs. Default: in the user's cache.")

    @model_validator(mode="after")
    def _inpainting_needs_masks(self) -> Discovery:
        if self.editor.kind == "inpaint" and self.segmenter is None:
            raise ValueError("editor.kind is inpaint, which fills masks: name a segmenter, or use kind instruct")
        return self
