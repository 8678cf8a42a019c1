"""Answers on disk: found again, whole or not at all, by any number of processes."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from fairshards.generators.language.answer_cache import AnswerCache, answer_key

KEY = answer_key({"model": "m"}, [{"messages": ["a bird \ud83d\udc26"]}])


def test_answers_come_back(tmp_path: Path) -> None:
    cache = AnswerCache(str(tmp_path))
    assert cache.get(KEY, 2) is None
    cache.put(KEY, ["a \u6c34", "b\ud800"])
    assert AnswerCache(str(tmp_path)).get(KEY, 2) == ["a \u6c34", "b\ud800"]
    assert cache.get(KEY, 1) is None


def test_a_key_covers_model_settings_and_conversation() -> None:
    keys = {
        answer_key(model, asked)
        for model in ({"model": "a"}, {"model": "a", "temperature": 1})
        for asked in ([{"seed": 0}], [{"seed": 1}], [{"seed": 0}, {"seed": 1}])
    }
    assert len(keys) == 6
    assert answer_key({"a": 1, "b": 2}, []) == answer_key({"b": 2, "a": 1}, [])


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"answers": 3}', b'{"answers": [1]}', b"\xff\xfe"])
def test_a_damaged_file_counts_as_not_there(tmp_path: Path, damage: bytes) -> None:
    cache = AnswerCache(str(tmp_path))
    cache.put(KEY, ["yes"])
    (file,) = tmp_path.rglob("*.json")
    file.write_bytes(damage)
    assert cache.get(KEY, 1) is None
    cache.put(KEY, ["again"])
    assert cache.get(KEY, 1) == ["again"]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        AnswerCache(str(tmp_path)).put(KEY, ["yes"])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def _write(folder: str, name: str) -> None:
    cache = AnswerCache(folder)
    for _ in range(200):
        cache.put(KEY, [name * 1000])
        found = cache.get(KEY, 1)
        assert found is not None and len(set(found[0])) == 1 and len(found[0]) == 1000


def test_processes_that_write_the_same_file_never_see_half_of_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(str(tmp_path), name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_another_file_system_is_used_where_told() -> None:
    files: dict[str, bytes] = {}
    cache = AnswerCache("gs://bucket/answers", files.get, files.__setitem__)
    cache.put(KEY, ["yes"])
    assert list(files) == [f"gs://bucket/answers/{KEY[:2]}/{KEY}.json"]
    assert cache.get(KEY, 1) == ["yes"]
