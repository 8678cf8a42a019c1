"""A recipe's YAML is read as it was meant: numbers as numbers, names as written, and no key twice."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml

from fairshards.pipeline.recipe.yaml_file import RecipeSyntaxError, Scalar, read_recipe_text, write_recipe_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 1e5),
        (".5e3", 500.0),
        ("-1e+3", -1000.0),
        ("1.5", 1.5),
        ("2.", 2.0),
        ("7e0", 7.0),
        (".inf", math.inf),
        ("12", 12),
        ("-3", -3),
        ("0", 0),
        ("0x1F", 31),
        ("1_000", 1000),
        ("012", "012"),
        ("0o12", "0o12"),
        ("12:30", "12:30"),
        ("190:20:30.5", "190:20:30.5"),
        ("2020-01-01", "2020-01-01"),
        ("=", "="),
        ("1e", "1e"),
        ("e3", "e3"),
        ("nan", "nan"),
        ("'1e-3'", "1e-3"),
        ("no", False),
        ("on", True),
        ("'no'", "no"),
        ("~", None),
        ("[1, [a]]", (1, ("a",))),
    ],
)
def test_a_value_is_what_was_written(text: str, value: Any) -> None:
    read = read_recipe_text(f"a: {text}").data["a"]
    assert (read, type(read)) == (value, type(value))


def test_a_key_that_stands_twice_is_refused_with_both_lines() -> None:
    text = "name: a\nquota:\n  per_group: 3\n  surplus: 0\n  per_group: 4\nclasses: [{name: x, name: y}]\n'name': b\n"
    with pytest.raises(RecipeSyntaxError) as caught:
        read_recipe_text(text)
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == [
        "quota.per_group: on line 3 and on line 5",
        "classes.0.name: on line 6 and on line 6",
        "name: on line 1 and on line 7",
    ]


def test_anchors_and_merged_keys_still_work() -> None:
    text = "a: &common {lr: 1e-3, epochs: 3}\nb:\n  <<: *common\n  epochs: 5\nc: *common\n"
    given = read_recipe_text(text)
    assert given.data["b"] == {"lr": 0.001, "epochs": 5}
    given.override(("c", "epochs"), "9")  # of what is one mapping under two names only the one that was named changes
    assert (given.data["c"]["epochs"], given.data["a"]["epochs"]) == (9, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("# nothing yet\n", "is empty"),
        ("- a", "holds a list"),
        ("a", "holds only 'a'"),
        ("a: 1\n\tb: 2", "line 2, column 1: a tab; YAML is indented by spaces"),
        ("a: 1\n---\nb: 2", "line 2, column 1: a second document"),
        ("a: *b", "line 1, column 4: found undefined alias 'b', which no &anchor"),
        ("a: " + 3000 * "[" + 3000 * "]", "lie in each other hundreds deep"),
        ("a: &x [*x]", r"the anchor at a\.0 holds itself"),
        ("a: &x {b: *x}", r"the anchor at a\.b holds itself"),
        ("a: [1", "line 1"),
        ("a: !!python/name:os.system x", "line 1, column 4"),
        (b"a: \xe9", "save it as UTF-8"),
    ],
)
def test_what_is_no_recipe_is_said_in_a_sentence(text: str | bytes, message: str) -> None:
    with pytest.raises(RecipeSyntaxError, match=message):
        read_recipe_text(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_editors_write(encoding: str) -> None:
    assert read_recipe_text("name: Vögel\n".encode(encoding)).data == {"name": "Vögel"}


def test_what_was_written_is_known_by_its_path() -> None:
    given = read_recipe_text("classes:\n- name: no\n- {name: 1_000}\n")
    assert given.scalars["classes", 0, "name"] == Scalar("no", 2)
    assert given.scalars["classes", 1, "name"] == Scalar("1_000", 3)


def test_an_override_reads_numbers_as_the_file_does() -> None:
    given = read_recipe_text("training: {settings: {main: {lr: 1}}}")
    given.override(("training", "settings", "main", "lr"), "1e-3")
    given.override(("training", "settings", "main", "epochs"), "012")
    assert given.data["training"]["settings"]["main"] == {"lr": 0.001, "epochs": "012"}
    assert given.scalars["training", "settings", "main", "lr"] == Scalar("1e-3", 0)
    with pytest.raises(RecipeSyntaxError, match="twice"):
        given.override(("training", "settings"), "{a: 1, a: 2}")
    with pytest.raises(RecipeSyntaxError, match=r"training\.settings\.main\.lr is no mapping"):
        given.override(("training", "settings", "main", "lr", "x"), "1")


def test_what_is_written_reads_back_the_same_here_and_by_other_readers() -> None:
    said = {"text": ["1e-3", "no", "012", "12:30", "2020-01-01", "1e3", "=", "a: b"], "number": [1e-5, 1e300, 3, 0.5]}
    text = write_recipe_text(said)
    assert read_recipe_text(text).data == {name: tuple(values) for name, values in said.items()}
    assert yaml.safe_load(text) == said
