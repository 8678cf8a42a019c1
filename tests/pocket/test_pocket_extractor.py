"""The extractor: captions and their phrases, wordings held out, the tokenizer that spells, its training, its folder."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from fairshards.pocket import checkpoint_path
from fairshards.pocket.networks.extractor import (
    JSON_TOKENS,
    extract,
    new_extractor,
    new_extractor_tokenizer,
    save_extractor,
)
from fairshards.pocket.scenes.captions import full_caption
from fairshards.pocket.scenes.phrases import (
    INVENTED,
    Phrases,
    Writer,
    alternative_to,
    heldout_caption,
    instructed_caption,
    learnt_caption,
    nonsense,
    pocket_phrases,
)
from fairshards.pocket.scenes.scene import draw_scene, equal_rates, stream
from fairshards.pocket.scenes.wordings import HELDOUT, LEARNT, all_words
from fairshards.pocket.training.train_extractor import (
    IGNORED,
    draw,
    encode,
    extractor_accuracy,
    pocket_heldout,
    right,
    right_alternative,
    train_extractor,
)
from tests.pocket.conftest import TinyTraining

TRAINED = checkpoint_path("pocket-extractor")
NOUNS = ("birds", "colours", "adjectives", "objects", "waters", "lands", "bare_lands")
FORMS = ("templates", "turned", "placeless")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed))


def test_held_out_wordings_are_disjoint_from_learnt_ones() -> None:
    for field in fields(LEARNT):
        both = {*getattr(LEARNT, field.name)} & {*getattr(HELDOUT, field.name)}
        assert both <= {". "}, field.name
    nouns = {word for kind in NOUNS for word in getattr(HELDOUT, kind)}
    assert not nouns & all_words(LEARNT)


def test_training_never_says_a_held_out_word_nor_knows_its_token() -> None:
    nouns = {word for kind in NOUNS for word in getattr(HELDOUT, kind)}
    prepositions = {word for kind in (HELDOUT.prepositions, HELDOUT.joins) for word in kind}
    source, tokens = rng(), {*new_extractor_tokenizer().get_vocab()}
    assert not tokens & {f"▁{word}" for word in nouns | all_words(HELDOUT) - all_words(LEARNT)}
    for _ in range(3000):
        text = f" {learnt_caption(source)[0]} "
        assert not nouns & {*text.replace(".", " ").split()}, text
        assert not any(f" {words} " in text for words in prepositions), text


def test_each_held_out_caption_has_a_wording_never_seen() -> None:
    plain = [
        text
        for field in fields(HELDOUT)
        if field.name not in (*FORMS, "breaks")
        for text in getattr(HELDOUT, field.name)
    ]
    forms = ["here is ", "this is ", "we see ", " taken ", "just ", ",", ":"]
    for index in range(300):
        text, _ = heldout_caption(index)
        assert any(wording in text for wording in (*plain, *forms)), text
    assert heldout_caption(7) == heldout_caption(7) != heldout_caption(8)


def test_phrases_stand_in_their_caption_and_leave_the_bird_out() -> None:
    source, counts = rng(1), [0, 0, 0]
    for index in range(600):
        text, phrases = learnt_caption(source) if index % 2 else heldout_caption(index)
        assert all(phrase in text for phrase in (*phrases.foreground, phrases.background)), text
        assert phrases.alternative != phrases.background or not phrases.background
        assert bool(phrases.alternative) == bool(phrases.background)
        counts[len(phrases.foreground)] += 1
    assert min(counts) > 30


def test_phrases_of_the_pocket_world() -> None:
    scene = draw_scene("tests", 0, 1, "landbird", "water", {"landbird": {"buoy": 1.0}})
    assert pocket_phrases(scene, "a red landbird with a buoy on water") == Phrases(("a buoy",), "water", "land")
    assert pocket_phrases(scene, "a landbird on the water").background == "the water"
    for index in range(60):
        scene = draw_scene("tests", 0, index, "waterbird", "land", equal_rates(0.5))
        caption = full_caption(scene, stream("tests", 0, index, "caption"))
        phrases = pocket_phrases(scene, caption)
        assert caption.endswith(phrases.background) and phrases.alternative == "water"
        assert len(phrases.foreground) == (scene.object is not None)


@pytest.mark.parametrize(
    ("place", "other"),
    [
        ("water", "land"),
        ("a quiet lake", "land"),
        ("two rivers", "land"),
        ("the woods", "water"),
        ("a fjord", "land"),
        ("the brolk", "water"),
        ("", ""),
    ],
)
def test_the_alternative_is_of_the_other_kind(place: str, other: str) -> None:
    assert alternative_to(place) == other


def test_an_instruction_changes_nothing_of_the_phrases() -> None:
    unchanged = 0
    for index in range(100):
        text, phrases = instructed_caption(index)
        assert "{noun}" not in text and "{phrase}" not in text and "{{" not in text
        assert all(phrase in text for phrase in (*phrases.foreground, phrases.background))
        unchanged += any(text.count(words.split("{")[0].strip()) for words in HELDOUT.instructions)
    assert unchanged > 40


def test_instructions_are_written_without_fields_left() -> None:
    writer = Writer(rng(3), LEARNT)
    made = {writer.instruction() for _ in range(400)}
    assert not [text for text in made if "{noun}" in text or "{phrase}" in text]
    assert any(text.startswith('reply {"foreground": ["') for text in made)


def test_nonsense_is_nobodys_word() -> None:
    source = rng(2)
    words = [nonsense(source) for _ in range(500)]
    assert len({*words}) > 450 and not {*words} & (all_words(LEARNT) | all_words(HELDOUT))


def test_answers_come_back_from_their_tokens() -> None:
    tokenizer, source = new_extractor_tokenizer(), rng(4)
    odd = [
        Phrases((), "", ""),
        Phrases(("a bird's-eye view",), "the 3rd x-ray", "water"),
        Phrases(("鳥", "a, b"), "Zürich".lower(), ""),
    ]
    for phrases in [
        *odd,
        *(learnt_caption(source)[1] for _ in range(300)),
        *(heldout_caption(n)[1] for n in range(300)),
    ]:
        answer = phrases.to_json()
        ids = tokenizer(answer).input_ids
        assert tokenizer.decode(ids, skip_special_tokens=True) == answer
        assert tokenizer.unk_token_id not in ids
        assert json.loads(answer)["foreground"] == [*phrases.foreground]


def test_a_word_is_spelt_alike_in_caption_and_answer() -> None:
    tokenizer = new_extractor_tokenizer()
    caption = tokenizer.tokenize("a red landbird with a crooked lighthouse amid the prairie, here")
    answer = tokenizer.tokenize(Phrases(("a crooked lighthouse",), "the prairie", "water").to_json())
    inner = [token for token in answer if token not in JSON_TOKENS]
    text = " ".join(caption)
    assert " ".join(inner[: inner.index("▁the")]) in text and " ".join(inner[inner.index("▁the") : -1]) in text
    assert {"▁landbird", "▁reed", "▁woods"} <= {*new_extractor_tokenizer().get_vocab()}


def test_no_known_word_is_a_piece_of_an_unknown_one() -> None:
    tokenizer = new_extractor_tokenizer()
    for word in ("anchor", "waterfall", "inn", "reeds", "songbird"):
        assert tokenizer.tokenize(word) == ["▁", *word]
    assert tokenizer.tokenize("a water, in") == ["▁a", "▁water", ",", "▁in"]


def test_invented_wordings_are_whole_and_only_for_training() -> None:
    inventive, plain = Writer(rng(7), LEARNT, invents=1.0), Writer(rng(7), LEARNT)
    for kind in INVENTED:
        own = getattr(LEARNT, kind)
        made = [inventive.word(kind) for _ in range(60)]
        assert not [text for text in made if "{w}" in text or "{v}" in text]
        assert len({*made} - {*own}) >= (3 if kind == "breaks" else 10)
        assert {plain.word(kind) for _ in range(60)} <= {*own}
        assert {inventive.word(kind, known=True) for _ in range(20)} <= {*own}


def test_drawn_captions_belong_to_their_step() -> None:
    first, again, other = (draw(5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first == again != other
    tokenizer = new_extractor_tokenizer()
    ids, mask, labels = encode(first, tokenizer)
    assert ids.shape == mask.shape and labels.shape[0] == 5
    assert ((labels == tokenizer.eos_token_id).sum(1) == 1).all() and not (labels == tokenizer.pad_token_id).any()
    kept = labels[0][labels[0] != IGNORED]
    assert tokenizer.decode(kept, skip_special_tokens=True) == first[0][1].to_json()


def test_which_answers_are_right() -> None:
    wanted = Phrases(("a reed",), "a lake", "land")
    assert right(wanted.to_json(), wanted) and right_alternative(wanted.to_json(), wanted)
    wrong = [
        "",
        "[]",
        "{",
        '{"foreground": ["a reed"]}',
        '{"foreground": ["reed"], "background": "a lake"}',
        '{"foreground": ["a reed"], "background": "lake"}',
        '{"foreground": "a reed", "background": "a lake"}',
    ]
    for answer in wrong:
        assert not right(answer, wanted), answer
    same = '{"foreground": ["a reed"], "background": "a lake", "alternative": "water"}'
    assert right(same, wanted) and not right_alternative(same, wanted)
    unknown = Phrases((), "the fjord", "land")
    assert right_alternative('{"foreground": [], "background": "the fjord", "alternative": "water"}', unknown)
    assert not right_alternative('{"foreground": [], "background": "the fjord", "alternative": ""}', unknown)


def test_training_is_reproducible_and_resumes_exactly(train_tiny: TinyTraining, tmp_path: Path) -> None:
    sizes = {"steps": 4, "batch": 4, "heldout": 2}
    whole = train_tiny("pocket-extractor", train_extractor, "whole", **sizes)
    train_tiny("pocket-extractor", train_extractor, "parts", stop=2, **sizes)
    parts = train_tiny("pocket-extractor", train_extractor, "parts", **sizes)
    assert (whole / "model.safetensors").read_bytes() == (parts / "model.safetensors").read_bytes()
    logged = (tmp_path / "logs" / "extractor-quality.csv").read_text().splitlines()
    assert logged[0] == "step,count,heldout,instructed,pocket" and len(logged) == 3


def test_the_folder_loads_with_the_auto_classes_and_is_small(tmp_path: Path) -> None:
    torch.manual_seed(1)
    tokenizer = new_extractor_tokenizer()
    model = new_extractor(tokenizer).eval()
    save_extractor(model, tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 8_000_000
    assert {value.dtype for value in load_file(tmp_path / "model.safetensors").values()} == {torch.float16}
    assert str(Path.home()) not in "".join(path.read_text() for path in tmp_path.glob("*.json"))
    loaded, again = (
        AutoModelForSeq2SeqLM.from_pretrained(tmp_path, dtype=torch.float32),
        AutoTokenizer.from_pretrained(tmp_path),
    )
    for text in (heldout_caption(1)[0], heldout_caption(1)[1].to_json(), "Zürich №7: 鳥!", ""):
        assert again(text).input_ids == tokenizer(text).input_ids
        assert again.decode(again(text).input_ids, skip_special_tokens=True) == text.lower()
    ids, mask, labels = encode([learnt_caption(rng(5))], tokenizer)
    with torch.inference_mode():
        pair = [each(input_ids=ids, attention_mask=mask, labels=labels).logits for each in (model, loaded.eval())]
    assert torch.allclose(*pair, atol=3e-2)
    assert len(extract(tmp_path, ["a red landbird on land", "鳥"])) == 2


@pytest.mark.skipif(not TRAINED.exists(), reason="not trained yet: python -m fairshards.pocket.train extractor")
def test_trained_phrases_of_unseen_wordings() -> None:
    assert extractor_accuracy(TRAINED, heldout_caption, 80)[0] >= 0.95
    assert extractor_accuracy(TRAINED, instructed_caption, 40)[0] >= 0.8
    assert extractor_accuracy(TRAINED, pocket_heldout, 60)[0] >= 0.98
