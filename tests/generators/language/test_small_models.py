"""Extraction with a scripted stand-in for a small language model: what asking again for what is missing is worth.

The shares below are those of a script (tests/small_model.py), not of a language model.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

from fairshards.generators.language.endpoint import Endpoint, EndpointSettings
from fairshards.generators.language.sampling import Decoding
from fairshards.generators.phrases.extraction import Asked, Extracted, ExtractionRequest, extract
from fairshards.pocket.scenes.phrases import Phrases
from fairshards.pocket.training.train_extractor import pocket_heldout
from tests.chat_server import chat_server
from tests.small_model import small_model

CAPTIONS = 460
LABELS = ("waterbird", "landbird", "bird")


@cache
def drawn() -> tuple[tuple[str, Phrases], ...]:
    return tuple(pocket_heldout(index) for index in range(CAPTIONS))


@cache
def extracted(attempts: int) -> Extracted:
    requests = [
        ExtractionRequest(str(index), text, (text.split("bird")[0].split()[-1] + "bird", *LABELS))
        for index, (text, _) in enumerate(drawn())
    ]
    with chat_server(small_model) as server:
        endpoint = Endpoint(EndpointSettings(server.url, "scripted", concurrency=8), Decoding(100))
        found = extract(endpoint, requests, attempts=attempts)
        asked = {str(body["messages"]) for body in server.bodies}
        count = found.asked.captions + found.asked.further
        assert len(asked) == len(server.bodies) <= count  # equal ones are sent once
    return found


def shares(found: Extracted) -> dict[str, float]:
    """Return the share of captions with a usable phrase of each kind."""
    kinds = Counter(kind for rows in found.rows for kind in {row.kind for row in rows if row.status == "ok"})
    return {str(kind): count / CAPTIONS for kind, count in kinds.items()}


def test_one_long_question_finds_hardly_a_background() -> None:
    found = shares(extracted(1))
    assert found["foreground"] > 0.7 and found.get("background", 0) < 0.05 and found.get("alternative", 0) < 0.05


def test_narrower_questions_find_background_and_alternative() -> None:
    found = shares(extracted(3))
    assert found["background"] > 0.8 and found["alternative"] > 0.8


def test_what_is_found_is_right_and_the_place_is_no_object_any_more() -> None:
    usable = right = 0
    for rows, (_, wanted) in zip(extracted(3).rows, drawn(), strict=True):
        said = {
            kind: [row.phrase for row in rows if row.kind == kind and row.status == "ok"]
            for kind in ("foreground", "background")
        }
        for place in said["background"]:
            usable += 1
            right += wanted.background.endswith(str(place))
            assert place not in said["foreground"]
    assert right / usable > 0.95


def test_only_what_is_missing_is_asked_for() -> None:
    found = extracted(3)
    assert extracted(1).asked == Asked(CAPTIONS, 0, extracted(1).asked.cut) and found.asked.cut > 0
    assert CAPTIONS < found.asked.further < 4 * CAPTIONS
    complete = [rows for rows in extracted(1).rows if {"background", "alternative"} <= {row.kind for row in rows}]
    assert all(rows in found.rows for rows in complete if all(row.status == "ok" for row in rows))
