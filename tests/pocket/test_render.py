"""The renderer: deterministic, true to its scene, disjoint between domains."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from fairshards.pocket.scenes.pictures import DOMAINS, training_scene
from fairshards.pocket.scenes.render import GROUPS, render, render_layers, render_sample, scenes
from fairshards.pocket.scenes.scene import COLOURS, OBJECTS, SIZE, draw_scene, equal_rates


def digest(image: np.ndarray) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


def test_same_seed_same_bytes() -> None:
    first = render_sample("train", 3, 17, "waterbird", "land", equal_rates(1.0))
    again = render_sample("train", 3, 17, "waterbird", "land", equal_rates(1.0))
    assert first.image.tobytes() == again.image.tobytes()
    assert (first.mask == again.mask).all()
    assert first.caption == again.caption and first.scene == again.scene


def test_shapes_and_types() -> None:
    sample = render_sample("train", 0, 0, "landbird", "water")
    assert sample.image.shape == (SIZE, SIZE, 3) and sample.image.dtype == np.uint8
    assert sample.mask.shape == (SIZE, SIZE) and sample.mask.dtype == np.bool_
    assert (sample.scene.label, sample.scene.place) == (0, 1)


def test_domains_and_seeds_are_disjoint_by_picture_hash() -> None:
    """The source's splits at several seeds, plain and with objects; the models' sets as they are trained on."""
    splits = ("train", "val", "test")
    hashes = [
        digest(s.image)
        for split in splits
        for seed in range(3)
        for rates in (None, equal_rates(0.3))
        for s in scenes(split, seed, 30, rates=rates)
        if rates is None or s.scene.object
    ]
    for domain in set(DOMAINS) - set(splits):
        hashes += [digest(render(training_scene(domain, index))[0]) for index in range(60)]
    assert len(hashes) > 3 * 3 * 30 + 5 * 60 and len(set(hashes)) == len(hashes)


def test_scenes_are_balanced_over_groups() -> None:
    seen = [(s.scene.class_name, s.scene.background) for s in scenes("val", 0, 16)]
    assert all(seen.count(group) == 4 for group in GROUPS)


@pytest.mark.parametrize("group", GROUPS)
def test_bird_is_inside_and_mask_holds_its_colour(group: tuple[str, str]) -> None:
    for index in range(20):
        sample = render_sample("train", 1, index, *group)
        border = np.concatenate([sample.mask[0], sample.mask[-1], sample.mask[:, 0], sample.mask[:, -1]])
        assert 150 < sample.mask.sum() < 2000
        assert border.sum() <= 3
        inside, outside = sample.image[sample.mask].mean(0), sample.image[~sample.mask].mean(0)
        assert np.abs(inside - outside).max() > 30, sample.scene.colour


def test_mask_is_where_the_picture_changes_with_the_class() -> None:
    water, land = (render_sample("train", 2, 5, name, "water") for name in ("waterbird", "landbird"))
    changed = np.abs(water.image.astype(int) - land.image.astype(int)).max(2) > 40
    assert not changed[~(water.mask | land.mask)].sum() > 40
    assert (water.mask ^ land.mask).sum() > 100


def test_backgrounds_differ() -> None:
    wet, dry = (render_sample("train", 2, 9, "landbird", place) for place in ("water", "land"))
    assert wet.image[..., 2].mean() > dry.image[..., 2].mean() + 40


def test_object_rates_per_class() -> None:
    rates = {"waterbird": {"reed": 0.5}, "landbird": {}}
    kinds = [draw_scene("train", 0, i, "waterbird", "land", rates).object for i in range(300)]
    assert 110 < kinds.count("reed") < 190 and set(kinds) == {"reed", None}
    assert all(draw_scene("train", 0, i, "landbird", "land", rates).object is None for i in range(50))


def test_objects_are_drawn_beside_the_bird() -> None:
    for kind in OBJECTS:
        rates = {"waterbird": {kind: 1.0}}
        with_it = render_sample("train", 0, 4, "waterbird", "water", rates)
        without = render_sample("train", 0, 4, "waterbird", "water")
        assert with_it.scene.object == kind
        assert (np.abs(with_it.image.astype(int) - without.image.astype(int)).max(2) > 30)[~with_it.mask].sum() > 20


@pytest.mark.parametrize("kind", OBJECTS)
def test_object_mask_is_where_the_object_changes_the_picture_minus_the_bird(kind: str) -> None:
    for index in range(12):
        scene = replace(draw_scene("train", 4, index, *GROUPS[index % 4]), object=kind)
        seen, without = render_layers(scene), render_layers(replace(scene, object=None))
        changed = np.abs(seen.image.astype(int) - without.image.astype(int)).max(2)
        assert not (seen.object & seen.bird).any() and not without.object.any()
        assert (seen.bird == without.bird).all()
        assert (changed[seen.object] > 0).all()
        outside = ~seen.object & ~seen.bird
        assert not (changed > 135)[outside].any(), "a pixel that is mostly object"
        near = np.max([np.roll(seen.object | seen.bird, (x, y), (0, 1)) for x in (-1, 0, 1) for y in (-1, 0, 1)], 0)
        assert not ((changed > 0) & ~near).any(), "a change that is no edge of the object"
        assert 25 < seen.object.sum() < 260


def test_the_bird_hides_the_object_behind_it() -> None:
    scene = replace(
        draw_scene("train", 5, 0, "waterbird", "water"), object="reed", scale=1.18, x=33.0, y=50.0, facing=-1
    )
    near, away = render_layers(scene), render_layers(replace(scene, scale=0.01))
    assert (near.object == (away.object & ~near.bird)).all() and near.object.sum() < away.object.sum() - 5


def test_samples_carry_their_object_mask() -> None:
    sample = render_sample("train", 0, 4, "waterbird", "water", {"waterbird": {"buoy": 1.0}})
    assert sample.object_mask.dtype == np.bool_ and (sample.object_mask == render_layers(sample.scene).object).all()


def test_pictures_and_captions_are_those_of_the_published_worlds() -> None:
    """Bytes of 80 pictures, their bird masks and captions, as they were before objects had masks."""
    total = hashlib.sha256()
    for rates in (None, equal_rates(0.5)):
        for sample in scenes("train", 0, 40, rates=rates):
            total.update(sample.image.tobytes() + sample.mask.tobytes() + sample.caption.encode())
    assert total.hexdigest() == "e80b5c02d94f16b4f338dbce1739a808a56d6f9867b01743b4d929a3b717f3af"


def test_all_colours_appear() -> None:
    assert {draw_scene("train", 0, i, "waterbird", "water").colour for i in range(80)} == set(COLOURS)


def test_render_is_a_function_of_the_scene() -> None:
    scene = draw_scene("test", 8, 1, "landbird", "land")
    assert render(scene)[0].tobytes() == render(scene)[0].tobytes()


@pytest.mark.parametrize(
    ("name", "place", "rates"),
    [
        ("gull", "water", None),
        ("waterbird", "air", None),
        ("waterbird", "water", {"waterbird": {"hat": 0.1}}),
        ("waterbird", "water", {"waterbird": {"reed": 0.8, "rock": 0.4}}),
    ],
)
def test_bad_scenes_are_refused(name: str, place: str, rates: dict[str, dict[str, float]] | None) -> None:
    with pytest.raises(ValueError, match="want"):
        draw_scene("train", 0, 0, name, place, rates)
