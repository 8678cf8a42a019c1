"""Cutting rows into the pieces that tasks are made of."""

from __future__ import annotations

import pytest

from fairshards.transforms.shards.cut import cut


def places(values: str, size: int | None = None) -> list[tuple[str, int, int, int]]:
    pieces = list(cut([{"shard": value, "id": number} for number, value in enumerate(values)], "shard", size))
    for piece in pieces:
        assert piece.column("id") == list(range(piece.start, piece.stop)), "a piece's rows are those of its range"
    return [(piece.value, piece.part, piece.start, piece.stop) for piece in pieces]


def test_rows_are_cut_where_the_column_changes() -> None:
    assert places("aaabb") == [("a", 0, 0, 3), ("b", 0, 3, 5)]
    assert places("aba") == [("a", 0, 0, 1), ("b", 0, 1, 2), ("a", 0, 2, 3)]
    assert places("") == []


def test_a_value_with_many_rows_is_cut_into_parts_of_at_most_size() -> None:
    assert places("aaaab", 2) == [("a", 0, 0, 2), ("a", 1, 2, 4), ("b", 0, 4, 5)]
    assert places("aaabb", 2) == [("a", 0, 0, 2), ("a", 1, 2, 3), ("b", 0, 3, 5)]


def test_a_piece_has_at_least_one_row() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        places("a", 0)
