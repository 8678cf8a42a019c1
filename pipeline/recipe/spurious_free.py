"""The recipe's ``spurious_free``: how pictures without the discovered phrases are made.

See docs/methods.md#spurious-free-samples.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from fairshards.pipeline.recipe.strict import Strict, check_fields, check_templates
from fairshards.trainers.personal.settings import TEXTUAL_INVERSION, PersonaliseSettings, personalise_settings_from


class SpuriousFree(Strict):
    """Pictures of every class, free of the phrases that discovery reports for it."""

    make: Literal["generate", "edit", "both"] = Field(
        "generate",
        description="generate: by the generator. edit: discovery's successful edits of the reported phrases are the "
        "pictures. both: those first, and as many generated ones as are missing.",
    )
    per_class: int = Field(100, ge=1, description="Kept pictures a class. ASPIRE makes 100 a class and seed.")
    templates: tuple[str, ...] = Field(("a photo of a {class}",), min_length=1)
    guidance: Literal["perp-neg", "negative-prompt", "none"] = Field(
        "perp-neg", description="How a prompt is led away from the phrases."
    )
    weight: float = Field(-1.0, lt=0, description="Of each phrase in Perp-Neg.")
    negative: str = Field("{phrase}", description="How a negative names a phrase; fields {phrase}, {class}.")
    top: int = Field(3, ge=1, description="At most so many reported phrases a class are kept away.")
    personalise: dict[str, Any] | None = Field(
        default_factory=dict,
        description="Fields of trainers.PersonaliseSettings that differ from their defaults; null: don't personalise.",
    )
    seeds: tuple[int, ...] = Field((0,), min_length=1, description="One personalisation a class each. ASPIRE: 8.")
    first_pictures: int = Field(15, ge=1, description="Pictures that teach a class, from its first phrase.")
    next_pictures: int = Field(10, ge=0, description="And from each following one.")
    most_pictures: int = Field(35, ge=1, description="At most so many in all.")
    background_present: tuple[str, ...] = Field(
        ("a photo of {phrase}",), min_length=1, description="What CLIP reads of pictures with a background phrase ..."
    )
    background_absent: tuple[str, ...] = Field(
        ("a photo of {alternative}",), min_length=1, description="... and without; {alternative} replaced it."
    )
    object_present: tuple[str, ...] = Field(("a photo of a {class} with {phrase}",), min_length=1)
    object_absent: tuple[str, ...] = Field(("a photo of a {class}",), min_length=1)

    audit: bool = Field(
        True, description="Describe the kept samples too, and tell what phrases say of the class with them (bits)."
    )

    @model_validator(mode="after")
    def _known(self) -> SpuriousFree:
        both = (*self.background_present, *self.background_absent, *self.object_present, *self.object_absent)
        check_templates(self.templates, ("class",))
        check_templates((self.negative,), ("phrase", "class"))
        check_templates(both, ("class", "phrase", "alternative"))
        if self.personalise is not None:
            check_fields(PersonaliseSettings, self.personalise, "personalise", ("seed",))
            method = personalise_settings_from(self.personalise).method
            if method != TEXTUAL_INVERSION:
                raise ValueError(
                    f"personalise.method is {method!r}: a pipeline takes one LoRA, and a recipe has "
                    f"several classes; use {TEXTUAL_INVERSION}"
                )
        return self
