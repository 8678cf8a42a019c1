"""Settings and concepts of a personalisation: ASPIRE's defaults, and what is refused."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.personal.settings import (
    DREAMBOOTH_LORA,
    OBJECT_TEMPLATES,
    Concept,
    PersonaliseSettings,
    check_concept,
    personalise_settings_from,
)

BIRD = Concept("waterbird", "<waterbird>", "waterbird")


def test_the_defaults_are_aspires() -> None:
    settings = PersonaliseSettings()
    assert (settings.method, settings.steps, settings.batch_size, settings.resolution, settings.flip) == (
        "textual-inversion",
        1000,
        4,
        512,
        0.5,
    )
    assert (settings.betas, settings.weight_decay, settings.eps) == ((0.9, 0.999), 1e-2, 1e-8)
    assert settings.rate == pytest.approx(2e-3) and settings.init_words == "the"
    assert len(set(OBJECT_TEMPLATES)) == 27
    assert replace(settings, scale_lr=False).rate == 5e-4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "hypernetwork"}, "method is 'hypernetwork'; it must be one of textual-inversion, dreambooth-lora"),
        ({"precision": "float16"}, "precision is 'float16'"),
        ({"steps": 0}, "steps is 0; it must be above 0"),
        ({"lr": -1e-3}, "lr is -0.001"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"lr": float("inf")}, "lr is inf"),
        ({"steps": 2.5}, "steps is 2.5; it must be a whole number"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"save_every": 0}, "save_every is 0"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"flip": 1.5}, "flip is 1.5; it is a chance"),
        ({"betas": (0.9, 1.0)}, "two numbers from 0 to below 1"),
        ({"betas": (0.9,)}, "two numbers"),
        ({"templates": ()}, "templates is empty"),
        ({"templates": "a photo of a {}"}, "templates is one text"),
        ({"lora_targets": "to_q"}, "lora_targets is one text"),
        ({"templates": ("a photo",)}, "template 'a photo' must hold {} once"),
        ({"templates": ("{} and {}",)}, "must hold {} once"),
        ({"lora_prompt": "a photo of {0}"}, "must hold {} once"),
        ({"init_words": " "}, "init_words is empty"),
        ({"lora_rank": 0}, "lora_rank is 0"),
        ({"lora_alpha": 0.0}, "lora_alpha is 0.0"),
        ({"lora_targets": ()}, "lora_targets is empty"),
    ],
)
def test_a_wrong_setting_is_told(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainerError) as caught:
        PersonaliseSettings(**changes)
    assert message in str(caught.value)


@pytest.mark.parametrize("field", ["name", "token", "class_word"])
def test_a_concept_has_three_names(field: str) -> None:
    with pytest.raises(TrainerError, match=f"a concept's {field} is empty"):
        replace(BIRD, **{field: " "})


@pytest.mark.parametrize("token", ["waterbird", "<Waterbird>", "<water bird>", "<>", "a <waterbird>", "<wäter>"])
def test_textual_inversion_takes_one_new_word(token: str) -> None:
    check_concept(BIRD, PersonaliseSettings())
    with pytest.raises(TrainerError, match="can't be a new word"):
        check_concept(replace(BIRD, token=token), PersonaliseSettings())


def test_dreambooth_takes_known_words() -> None:
    settings = PersonaliseSettings(DREAMBOOTH_LORA)
    check_concept(replace(BIRD, token="sks bird"), settings)
    with pytest.raises(TrainerError, match="dreambooth-lora adds none"):
        check_concept(BIRD, settings)


def test_prompts_say_the_token() -> None:
    settings = PersonaliseSettings(templates=("a {}", "the {}"))
    assert settings.prompts(BIRD) == ("a <waterbird>", "the <waterbird>")
    assert replace(settings, method=DREAMBOOTH_LORA).prompts(replace(BIRD, token="sks")) == ("a photo of a sks",)


def test_identity_holds_what_decides_the_result() -> None:
    settings = PersonaliseSettings()
    same = replace(settings, save_every=7, gradient_checkpointing=False, lora_rank=9)
    assert same.identity() == settings.identity()
    assert replace(settings, seed=1).identity() != settings.identity()
    lora = replace(settings, method=DREAMBOOTH_LORA)
    assert replace(lora, templates=("a {}",), init_words=None).identity() == lora.identity()
    assert replace(lora, lora_rank=9).identity() != lora.identity()


def test_settings_come_back_from_json() -> None:
    settings = PersonaliseSettings(templates=("a {}",), betas=(0.8, 0.9))
    assert personalise_settings_from(json.loads(json.dumps(asdict(settings)))) == settings
