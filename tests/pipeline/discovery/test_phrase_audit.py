"""The audit of phrases: what they say of the class before and after augmentation."""

from __future__ import annotations

import math

from fairshards.pipeline.discovery.association import CaptionedImage, Phrase
from fairshards.pipeline.discovery.audit import audited, described


def images(y: int, holding: int, without: int, phrase: str = "water") -> list[CaptionedImage]:
    said = (Phrase(f"the {phrase}", phrase, "background"),)
    return [CaptionedImage(f"{y}-{n}", y, said if n < holding else ()) for n in range(holding + without)]


def test_bits_fall_when_the_other_half_is_added() -> None:
    real = [*images(0, 0, 10), *images(1, 10, 0)]
    (row,) = audited(real, [*images(0, 10, 0), *images(1, 0, 10)], ["water"])
    assert row == {
        "phrase": "water",
        "real": 20,
        "real_holding": 10,
        "synthetic": 20,
        "synthetic_holding": 10,
        "bits_before": 1.0,
        "bits_after": 0.0,
    }


def test_bits_after_are_of_the_whole_training_set() -> None:
    real = [*images(0, 0, 10), *images(1, 10, 0)]
    (row,) = audited(real, images(1, 0, 10), ["water"])
    share = 10 / 30  # P(water); of class 1 half holds it, of class 0 none
    expected = -share * math.log2(share) - (1 - share) * math.log2(1 - share) - 20 / 30
    assert math.isclose(row["bits_after"], expected) and row["synthetic_holding"] == 0


def test_no_sample_changes_nothing_and_an_unheard_phrase_has_no_bits() -> None:
    known, unheard = audited([*images(0, 1, 3), *images(1, 4, 0)], [], ["water", "a kite"])
    assert known["bits_before"] == known["bits_after"] > 0
    assert (unheard["real_holding"], unheard["bits_before"], unheard["bits_after"]) == (0, 0.0, 0.0)


def test_samples_have_the_groups_of_the_real_images() -> None:
    rows = [{"sample_id": name, "y": 1} for name in "abc"]
    captions = [{"source_id": name, "status": "ok"} for name in "ab"] + [{"source_id": "c", "status": "reject"}]
    phrases = [
        {"source_id": "a", "phrase": "the lakes", "kind": "background", "status": "ok"},
        {"source_id": "a", "phrase": "a kite", "kind": "foreground", "status": "ok"},
        {"source_id": "a", "phrase": "land", "kind": "alternative", "status": "ok"},
        {"source_id": "b", "phrase": "", "kind": "background", "status": "reject"},
    ]
    found = described(rows, captions, phrases, {"the lakes": "lake"})
    assert [(image.source_id, sorted(image.groups)) for image in found] == [("a", ["a kite", "lake"]), ("b", [])]
