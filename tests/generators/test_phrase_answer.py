"""Answers of language models: JSON, what can safely be made JSON, and what can't."""

from __future__ import annotations

import pytest

from generators.phrase_answer import BadAnswer, PhraseAnswer, parse_answer

GOOD = '{"foreground": ["red mug", "reed"], "background": "a desk", "alternative": "a beach"}'
MEANT = PhraseAnswer(("red mug", "reed"), "a desk", "a beach")


@pytest.mark.parametrize("text", [
    GOOD,
    f"  {GOOD}\n",
    f"```json\n{GOOD}\n```",
    f"Sure! Here it is:\n{GOOD}\nI hope this helps {{and more}}.",
    f"<think>maybe {{\"foreground\": []}}?</think>{GOOD}",
    f"{GOOD}\n{GOOD}",
    GOOD.replace('"]', '",]').replace('h"}', 'h",\n}'),
    GOOD.replace('"', "'"),
    GOOD.replace('"red', "\u201cred").replace('mug"', "mug\u201d"),
    GOOD.replace('"', "\u201c", 1).replace('"', "\u201d", 1),
    GOOD.replace("}", ', "label": "dog", "score": 3}'),
    GOOD.replace('"red mug"', '" red mug ", "", " "'),
    "foreground: red mug; reed | background: a desk | alternative: a beach",
    "Foreground: red mug; reed;\nBackground: a desk\nAlternative: a beach",
])
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


@pytest.mark.parametrize("text", [
    "", "no", "I can't do that.", "[]", '"foreground"', "null", "3", GOOD[:-1], GOOD[:30], GOOD[1:],
    GOOD + GOOD.replace("reed", "unicorn"),
    '{"foreground": ["a"], "background": "b", "background": "c"}',
    "{'foreground': __import__('os').system('true'), 'background': ''}",
    "foreground: mug", "[" * 15_000, "{" * 15_000, '{"a":' * 3000, "(" * 15_000, "x" * 20_001,
])
def test_what_has_none_or_several_is_invalid(text: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        parse_answer(text)
    assert caught.value.reason == "invalid_json" and len(caught.value.detail) < 400


@pytest.mark.parametrize(("text", "said"), [
    ('{"objects": []}', "lacks foreground and background; it has .'objects'."),
    ('{"foreground": ["a"]}', "lacks background"),
    ('{"foreground": {"a": 1}, "background": ""}', "foreground must be a list of strings"),
    ('{"foreground": ["a", 3], "background": ""}', "foreground must be a list of strings"),
    ('{"foreground": [], "background": ["b"]}', "background must be a string"),
    ('{"foreground": [], "background": "b", "alternative": {}}', "alternative must be a string"),
])
def test_another_form_is_told(text: str, said: str) -> None:
    with pytest.raises(BadAnswer, match=said) as caught:
        parse_answer(text)
    assert caught.value.reason == "wrong_schema"


def test_a_lone_surrogate_is_replaced() -> None:
    answer = parse_answer('{"foreground": ["\\ud800 mug"], "background": "b\\udc00"}')
    assert answer == PhraseAnswer(("? mug",), "b?", "")
