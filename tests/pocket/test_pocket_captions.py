"""Captions name what the picture shows, and the tokenizer holds their words."""

from fairshards.pocket.networks.models import TEXT_LENGTH
from fairshards.pocket.networks.tokenizer import learn_merges, new_tokenizer
from fairshards.pocket.scenes.captions import article, full_caption, partial_caption, plain_caption
from fairshards.pocket.scenes.scene import COLOURS, draw_scene, equal_rates, stream
from fairshards.pocket.training.train_clip import matches

WET, DRY = ("water", "lake", "sea"), ("land", "forest", "woods")


def test_full_captions_name_class_background_and_object() -> None:
    coloured = 0
    for index in range(200):
        name, place = ("waterbird", "landbird")[index % 2], ("water", "land")[index // 2 % 2]
        scene = draw_scene("train", 0, index, name, place, equal_rates(0.5))
        words = full_caption(scene, stream("train", 0, index, "caption")).split()
        assert name in words
        assert any(word in words for word in (WET if place == "water" else DRY))
        assert not any(word in words for word in (DRY if place == "water" else WET))
        assert scene.object is None or scene.object in words
        coloured += scene.colour in words
    assert 90 < coloured < 170


def test_partial_captions_are_true() -> None:
    for index in range(200):
        scene = draw_scene("train", 0, index, "waterbird", "land", equal_rates(0.5))
        caption = partial_caption(scene, stream("train", 0, index, "partial"))
        assert matches(scene, caption), caption


def test_a_caption_of_another_scene_does_not_match() -> None:
    scene = draw_scene("train", 0, 0, "waterbird", "land")
    other = next(colour for colour in COLOURS if colour != scene.colour)
    for caption in ("a landbird", "a bird on water", f"a {other} bird", "a bird with a reed"):
        assert not matches(scene, caption), caption


def test_plain_caption_and_articles() -> None:
    assert plain_caption(draw_scene("train", 0, 0, "waterbird", "land")) == "a photo of a waterbird on land"
    assert (article("orange landbird"), article("waterbird")) == ("an orange landbird", "a waterbird")


def test_tokenizer_has_a_token_a_word_and_takes_any_text() -> None:
    tokenizer = new_tokenizer()
    ids = tokenizer("a photo of an orange waterbird next to a reed in the woods").input_ids
    assert len(ids) == 13 + 2 and ids[-1] == len(tokenizer) - 1
    odd = "Zürich №7: 鳥!"
    again = tokenizer.decode(tokenizer(odd).input_ids, skip_special_tokens=True)
    assert again.replace(" ", "") == odd.lower().replace(" ", "")
    assert tokenizer.model_max_length == TEXT_LENGTH


def test_merges_are_reproducible() -> None:
    assert learn_merges(["bird", "birds"]) == learn_merges(["bird", "birds"])
    assert learn_merges(["ab"]) == [("a", "b</w>")]
