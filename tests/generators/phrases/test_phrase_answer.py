"""Answers of language models: JSON, what can safely be made JSON, and what can't."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fairshards.generators.language.replies import CutAnswer
from fairshards.generators.phrases.answer import BadAnswer, PhraseAnswer, parse_answer, parse_field

GOOD = '{"foreground": ["red mug", "reed"], "background": "a desk", "alternative": "a beach"}'
MEANT = PhraseAnswer(("red mug", "reed"), "a desk", "a beach")


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"  {GOOD}\n",
        f"```json\n{GOOD}\n```",
        f"Sure! Here it is:\n{GOOD}\nI hope this helps {{and more}}.",
        f'<think>maybe {{"foreground": []}}?</think>{GOOD}',
        f"{GOOD}\n{GOOD}",
        GOOD.replace('"]', '",]').replace('h"}', 'h",\n}'),
        GOOD.replace('"', "'"),
        GOOD.replace('"red', "\u201cred").replace('mug"', "mug\u201d"),
        GOOD.replace('"', "\u201c", 1).replace('"', "\u201d", 1),
        GOOD.replace("}", ', "label": "dog", "score": 3}'),
        GOOD.replace("foreground", "Foreground")
        .replace("background", "BACKGROUND ")
        .replace("alternative", "Alternative"),
        GOOD.replace('"a desk"', '["a desk"]').replace('["red mug", "reed"]', '"red mug, reed"'),
        GOOD.replace('"red mug"', '" red mug ", "", " "'),
        "foreground: red mug; reed | background: a desk | alternative: a beach",
        "Foreground: red mug; reed;\nBackground: a desk\nAlternative: a beach",
    ],
)
def test_what_has_one_reading_is_read(text: str) -> None:
    assert parse_answer(text) == MEANT


def test_braces_and_quotes_inside_strings() -> None:
    text = 'So: {"foreground": ["a \\"} mug", "it\'s {odd}"], "background": "", "alternative": ""} Done.'
    assert parse_answer(text) == PhraseAnswer(('a "} mug', "it's {odd}"), "", "")


def test_line_breaks_inside_a_string() -> None:
    assert parse_answer('{"foreground": ["red\nmug"], "background": ""}').foreground == ("red\nmug",)


def test_what_is_left_out_or_null_is_empty() -> None:
    assert parse_answer('{"foreground": null, "background": null}') == PhraseAnswer((), "", "")
    one = parse_answer('{"foreground": "mug", "background": "", "alternative": null}')
    assert one == PhraseAnswer(("mug",), "", "")
    assert parse_answer("foreground: | background: water") == PhraseAnswer((), "water", "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        "I can't do that.",
        "[]",
        '"foreground"',
        "null",
        "3",
        GOOD[:-1],
        GOOD[:30],
        GOOD[1:],
        GOOD + GOOD.replace("reed", "unicorn"),
        '{"foreground": ["a"], "background": "b", "background": "c"}',
        '{"foreground": [], "background": "b", "Background": ""}',
        "{'foreground': __import__('os').system('true'), 'background': ''}",
        "foreground: mug",
        "[" * 15_000,
        "{" * 15_000,
        '{"a":' * 3000,
        "(" * 15_000,
        "x" * 20_001,
    ],
)
def test_what_has_none_or_several_is_invalid(text: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        parse_answer(text)
    assert caught.value.reason == "invalid_json" and len(caught.value.detail) < 400


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"objects": []}', "lacks foreground and background; it has .'objects'."),
        ('{"foreground": {"a": 1}, "background": ["b", "c"]}', "a list of strings, .*; background must be a string"),
    ],
)
def test_another_form_is_told(text: str, said: str) -> None:
    with pytest.raises(BadAnswer, match=said) as caught:
        parse_answer(text)
    assert caught.value.reason == "wrong_schema"


@pytest.mark.parametrize(
    ("text", "field", "said", "rest"),
    [
        ('{"foreground": ["a"]}', "background", "lacks background", PhraseAnswer(("a",))),
        ('{"background": "b"}', "foreground", "lacks foreground", PhraseAnswer((), "b")),
        ('{"foreground": {"a": 1}, "background": "b"}', "foreground", "list of strings, got", PhraseAnswer((), "b")),
        ('{"foreground": ["a", 3], "background": "b"}', "foreground", "list of strings, got", PhraseAnswer((), "b")),
        ('{"foreground": ["a"], "background": ["b", "c"]}', "background", "must be a string", PhraseAnswer(("a",))),
        (
            '{"foreground": ["a"], "background": "b", "alternative": {}}',
            "alternative",
            "must",
            PhraseAnswer(("a",), "b"),
        ),
    ],
)
def test_a_field_of_another_form_costs_no_other(text: str, field: str, said: str, rest: PhraseAnswer) -> None:
    answer = parse_answer(text)
    assert [*answer.unread] == [field] and said in answer.unread[field]  # type: ignore[index]
    assert replace(answer, unread={}) == rest


@pytest.mark.parametrize(
    "text",
    [
        '{"background": "a desk"}',
        '{"Background": ["a desk"]}',
        GOOD,
        '```json\n{"background": "a desk"}\n```',
        "Sure! {'background': 'a desk',} Bye.",
        '"a desk"',
        "a desk",
        "A desk.",
        "**a desk**",
        "The background is a desk.",
        'It is "a desk".',
        "Background: a desk",
        "<think>where?</think>a desk",
        "it's a desk",
    ],
)
def test_one_field_may_be_answered_as_small_models_do(text: str) -> None:
    (said,) = parse_field(text, "background")
    assert said.casefold() == "a desk"


@pytest.mark.parametrize("text", ['["red mug", "reed"]', "red mug, reed", '{"foreground": "red mug; reed"}', GOOD])
def test_a_list_may_be_bare_too(text: str) -> None:
    assert parse_field(text, "foreground") == ("red mug", "reed")


@pytest.mark.parametrize(
    "text", ['{"background": ""}', '{"background": null}', "None.", "nowhere", '""', '{"background": "N/A"}']
)
def test_none_is_an_answer(text: str) -> None:
    assert parse_field(text, "background") == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "invalid_json"),
        ("it is here\nor there", "invalid_json"),
        ("a b c d e f g h i j k l m", "invalid_json"),
        ('"a desk" or "a bed"', "invalid_json"),
        ('{"background": "a', "invalid_json"),
        ("a desk]", "invalid_json"),
        ("?!", "invalid_json"),
        ('{"background": ["a", "b"]}', "wrong_schema"),
        ('["a", "b"]', "wrong_schema"),
        ('{"place": "a desk"}', "wrong_schema"),
    ],
)
def test_what_is_no_answer_to_one_question(text: str, reason: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        parse_field(text, "background")
    assert caught.value.reason == reason


@pytest.mark.parametrize("text", ["a beach", "Sorry, no.", "what?"])
def test_nothing_vouches_for_an_alternative_in_prose(text: str) -> None:
    with pytest.raises(BadAnswer, match="no JSON object"):
        parse_field(text, "alternative")
    assert parse_field(f'"{text}"', "alternative") == parse_field(f'It is "{text}".', "alternative") == (text,)


def test_a_cut_answer_is_never_read_however_whole_it_looks() -> None:
    for read in (parse_answer, lambda text: parse_field(text, "background")):
        with pytest.raises(BadAnswer, match="max_new_tokens") as caught:
            read(CutAnswer(GOOD))
        assert caught.value.reason == "answer_cut"


def test_a_lone_surrogate_is_replaced() -> None:
    answer = parse_answer('{"foreground": ["\\ud800 mug"], "background": "b\\udc00"}')
    assert answer == PhraseAnswer(("? mug",), "b?", "")
