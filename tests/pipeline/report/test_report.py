"""The report: it shows what the catalog holds, stands alone, and says so where there is nothing to show."""

from __future__ import annotations

import base64
import contextlib
import html
import io
import math
import random
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fairshards.catalogs.questions.query import run_query
from fairshards.pipeline.pictures.pages import PAGES
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.report.histograms import axis_of
from fairshards.pipeline.report.page import write_report
from fairshards.pipeline.report.pictures import MOST_BYTES, MOST_KEPT, MOST_REAL, MOST_REJECTED, thumbnail
from fairshards.pipeline.report.scores import Threshold, of_group, significant, thresholds, tick_text, title_of
from fairshards.pipeline.run.folder import RunFolder
from tests.pipeline.report_run import GAINS, SELECTION, build, flat, make_recipe, train

VOID = {"wbr", "meta", "img", "br", "link", "line", "path", "rect", "circle", "input", "hr"}
EVIL = '"><script>alert(1)<img src=x onerror=alert(1)>{{ 7 * 7 }}'


class Page(HTMLParser):
    """What a browser would make of a page: its elements, its text, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            glued = bool(self.tags) and self.tags[-1][0] == "wbr" and bool(self.words)
            self.words[-1:] = [self.words[-1] + data] if glued else [*self.words[-1:], data]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def report(root: Path, recipe: Recipe) -> str:
    """Return the report as it is written from the folder that the run folder lies in."""
    with contextlib.chdir(root.parent):
        return write_report(RunFolder(root), recipe, PAGES).read_text()


def quick(**changes: Any) -> Recipe:
    """Return the recipe with one epoch for every method but FFR."""
    return make_recipe(training={"settings": {"main": {"epochs": 1}}, **changes})


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return make_recipe()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> Path:
    """A whole run: 40 samples a group, four methods; only read it."""
    folder = tmp_path_factory.mktemp("report") / "birds"
    build(folder, recipe, counts={(0, 0): 20, (0, 1): 2, (1, 0): 3, (1, 1): 20}, made=40)
    return folder


@pytest.fixture(scope="module")
def source(root: Path, recipe: Recipe) -> str:
    return report(root, recipe)


@pytest.fixture(scope="module")
def page(source: str) -> Page:
    return Page(source)


def test_it_shows_the_accuracies_that_the_catalog_gives(root: Path, page: Page) -> None:
    columns, rows = run_query(root, "worst-group")
    assert len(rows) == 5  # four methods, and FFR's stage 1
    for values in rows:
        row = dict(zip(columns, values, strict=True))
        label = "FFR stage 1 alone" if row["stage"] == "stage1" else row["method"].upper()
        interval = f"{100 * row['low']:.1f}–{100 * row['high']:.1f} 95% interval of one training"
        averages = " ".join(f"{100 * row[name]:.1f}" for name in ("balanced", "average", "adjusted_average"))
        found = (
            rf"{label}.{{1,80}} {100 * row['accuracy']:.1f} {interval} "
            rf"{re.escape(row['worst_group'])} n = {row['n']} {averages}"
        )
        assert re.search(found, page.text), found


def test_it_shows_every_group_of_every_method(root: Path, page: Page) -> None:
    _, rows = run_query(root, "SELECT accuracy, low, high FROM group_metrics WHERE split = 'test'")
    section = page.text[page.text.index("Accuracy per group Group") :]
    wanted = Counter(f"{100 * a:.1f} {100 * low:.1f}–{100 * high:.1f}" for a, low, high in rows)
    assert all(section.count(text) >= count for text, count in wanted.items())
    assert section.count("worst ") >= 5


def test_the_headline_compares_ffr_with_erm(page: Page) -> None:
    assert "the model gets 7.2 % of its worst group right" in page.text.replace("%", " %")
    assert "+80.0 points, in one seed." in page.text


def test_methods_stand_in_their_order_whatever_their_settings_are(page: Page) -> None:
    results = page.text[page.text.index("A model is as good") :]
    notes = ["ERM real images only", "USB real, filled", "ASB real, and m", "FFR m synthetic", "FFR stage 1 alone"]
    places = [results.index(note) for note in notes]
    assert places == sorted(places)


def test_losses_stand_apart_and_methods_in_order_in_each(tmp_path: Path) -> None:
    recipe = make_recipe(training={"losses": ["resample", "erm"], "methods": ["ffr", "erm"]})
    build(tmp_path / "run", recipe)
    section = Page(report(tmp_path / "run", recipe)).text.partition("Accuracy per group Group ")[2]
    assert section.startswith("ERM 95% interval of one training FFR 95%")
    labels = ["ERM 95%", "FFR 95%", "FFR stage 1 alone 95%", "ERM, resample 95%", "FFR, resample 95%"]
    assert sorted(labels, key=section.index) == labels


def test_the_headline_pairs_trainings_of_the_recipe(tmp_path: Path) -> None:
    recipe = make_recipe()
    run = build(tmp_path / "run", recipe)
    train(run, quick(), {**GAINS, "erm": -0.05})
    text = Page(report(tmp_path / "run", recipe)).text
    assert "7.2 % of its worst group right" in text.replace("%", " %") and "+80.0 points, in one seed." in text
    assert "With other settings" not in text


def test_the_headline_says_when_other_settings_do_better_on_real_images(tmp_path: Path) -> None:
    run = build(tmp_path / "run", make_recipe())
    train(run, quick(), {**GAINS, "erm": -0.05})
    text = Page(report(tmp_path / "run", quick(methods=["ffr"]))).text
    assert "+85.2 points, in one seed." in text
    assert "With other settings the real images alone reach 7.2%; see the table below." in text


def test_without_trainings_of_the_recipe_the_headline_takes_the_smallest_gain(tmp_path: Path) -> None:
    run = build(tmp_path / "run", quick())
    train(run, make_recipe(), {**GAINS, "erm": 0.1})
    other = make_recipe(training={"settings": {"image_size": 32}})
    text = Page(report(tmp_path / "run", other)).text
    assert "+70.4 points, in one seed." in text
    assert "No pair in this run has the settings of its recipe as it is now" in text


def test_the_headline_needs_a_seed_that_both_have(tmp_path: Path) -> None:
    recipe = make_recipe(training={"methods": ["ffr"]})
    run = build(tmp_path / "run", recipe)
    train(run, make_recipe(training={"methods": ["erm"], "seeds": [1]}))
    text = Page(report(tmp_path / "run", recipe)).text
    assert "The highest worst-group accuracy is" in text and "points" not in text


def test_it_names_the_rule_that_selected_the_models(page: Page) -> None:
    assert f"Model selection: {SELECTION}." in page.text


def test_it_shows_the_balance_before_and_after(root: Path, page: Page) -> None:
    columns, rows = run_query(root, "balance")
    sql = "SELECT group_name || '/' || split, count(*) FROM shard_index WHERE g = 1 GROUP BY 1"
    splits = dict(run_query(root, sql)[1])
    for values in rows:
        row = dict(zip(columns, values, strict=True))
        name = row["group_name"]
        balanced, extra = splits[f"{name}/balanced"], splits.get(f"{name}/extra", 0)
        assert (balanced, extra) == (row["balanced"], row["extra"])
        assert f"{name} {row['real']} {row['generated']} {row['accepted']} {balanced} {extra}" in page.text
    assert "No group stayed short of its quota." in page.text


def test_it_shows_the_shortcut_in_bits(root: Path, page: Page) -> None:
    _, rows = run_query(root, "bias-bits")
    for _, mix, real, synthetic, _, y_b, y_bg in rows:
        assert f" {real} {synthetic} {y_b:.3f} {y_bg:.3f}" in page.text, mix


def test_it_shows_what_the_filters_accept(root: Path, page: Page) -> None:
    _, rows = run_query(root, "SELECT filter, accept_rate, accepted, seen FROM accept_rate WHERE filter <> 'quota'")
    for _, rate, accepted, seen in rows:
        assert f"{100 * rate:.1f}% {accepted} of {seen}" in page.text
    assert re.search(r"generated clip_alignment group_judge variance all filters", page.text)


def test_it_shows_every_reject_with_its_reason(root: Path, page: Page) -> None:
    _, rows = run_query(root, "rejects")
    reasons = page.text[page.text.index("Everything that was rejected") :]
    for _, by, reason, n, example, detail in rows:
        assert re.search(rf"{by} (stage|filter) {reason} {n} {example[:8]} {re.escape(detail or '')}", reasons)


def test_contact_sheets_show_kept_samples_with_their_scores(root: Path, page: Page) -> None:
    sql = "SELECT value FROM scores WHERE sample_id = $1 AND score = 'clip_alignment'"
    _, kept = run_query(
        root,
        "SELECT min_by(sample_id, replicate) FROM samples JOIN verdicts USING (sample_id) "
        "WHERE kept GROUP BY group_name",
    )
    for (sample,) in kept:
        _, [(score,)] = run_query(root, sql.replace("$1", f"'{sample}'"))
        assert f"{sample[:8]} CLIP {score:.3f} class " in page.text


def test_rejected_sheets_say_what_the_judge_saw(root: Path, page: Page) -> None:
    sql = (
        "SELECT sample_id, group_name, max(label) FILTER (WHERE score = 'judge_class') || '|' || "
        "max(label) FILTER (WHERE score = 'judge_bias') FROM decisions JOIN plan USING (sample_id) "
        "JOIN scores USING (sample_id) WHERE filter = 'group_judge' AND NOT keep GROUP BY ALL"
    )
    _, rows = run_query(root, sql)
    assert rows
    for sample, wanted, saw in rows:
        assert f"{sample[:8]} {wanted} saw {saw}" in page.text


def test_histograms_count_every_scored_sample_and_mark_thresholds(root: Path, page: Page) -> None:
    _, [(passed, scored)] = run_query(
        root, "SELECT count(*) FILTER (WHERE accepted), count(*) FROM verdicts JOIN generated USING (sample_id)"
    )
    charts = [tag["aria-label"] or "" for tag in page.all("svg") if tag.get("class") == "chart"]
    assert len(charts) == 4 * (1 + 4)
    assert f"CLIP alignment: {passed} passed, {scored - passed} rejected" in charts
    for title in ("CLIP alignment", "Judge: class", "Judge: bias value", "Trajectory variance"):
        assert sum(chart.startswith(title) for chart in charts) == 1 + 4
    assert "Keeps ≥ 0.740." in page.text
    assert re.search(r"Keeps ≤ \d\.\d\de-\d\.", page.text)
    assert sum(tag.get("class") == "limit" for tag in page.all("line")) == 2 * (1 + 4)


def test_it_stands_alone(source: str, page: Page) -> None:
    for name, attributes in page.tags:
        assert name not in ("script", "iframe", "link", "object", "embed", "form", "base")
        for key in ("src", "href", "srcset", "action", "data", "xlink:href"):
            assert (attributes.get(key) or "data:").startswith(("data:", "#")), (name, attributes)
        assert not [key for key in attributes if key.startswith("on")]
    assert not re.search(r"url\(|@import|https?://", source)
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in (policy or "")


def test_it_can_be_read_without_seeing_it(page: Page) -> None:
    pictures = page.all("img")
    assert len(pictures) > 50
    assert all(picture["alt"] for picture in pictures)
    assert all(heading.get("scope") in ("col", "row") for heading in page.all("th"))
    assert all(tag.get("aria-label") or tag.get("aria-hidden") for tag in page.all("svg"))
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {(link["href"] or "")[1:] for link in page.all("a")} == ids


def test_the_same_run_gives_the_same_bytes(root: Path, recipe: Recipe, source: str) -> None:
    (root / "catalog.duckdb").unlink()
    assert report(root, recipe) == source


def test_its_commands_name_the_run_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, root = make_recipe(), tmp_path / "my runs/birds"
    build(root, recipe, until="curate")
    monkeypatch.chdir(tmp_path)
    page = Page(write_report(RunFolder(root), recipe, PAGES).read_text())
    assert page.text.count("fairshards verify 'my runs/birds' --samples 8") == 1
    assert "fairshards train 'my runs/birds' trains" in page.text and str(tmp_path) not in page.text
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    page = Page(write_report(RunFolder(root), recipe, PAGES).read_text())
    assert f"fairshards verify '{root}' --samples 8" in page.text


def test_it_says_that_another_threshold_loads_no_model(page: Page) -> None:
    assert "Another filter decides again over what is there; no model is loaded" in page.text


def test_it_holds_nothing_of_the_machine_or_the_day(root: Path, source: str) -> None:
    assert str(root.parent) not in source
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b", source)


@pytest.mark.parametrize(
    ("until", "sentences"),
    [
        ("recipe", ["This run is empty so far", "No group is known", "nothing to count", "no pictures before"]),
        ("source", ["Nothing has been generated yet", "has no curation yet", "nothing generated"]),
        ("generate", ["They have not been curated yet", "No filter has decided yet", "is rejected before curation"]),
        ("curate", ["Nothing has been trained on them yet", "no accuracies before the first training"]),
    ],
)
def test_it_stands_at_every_stage(tmp_path: Path, until: str, sentences: list[str]) -> None:
    recipe = make_recipe()
    build(tmp_path / "run", recipe, until=until)
    page = Page(report(tmp_path / "run", recipe))
    for sentence in sentences:
        assert sentence in page.text


def test_a_run_without_rejects_says_so(tmp_path: Path) -> None:
    recipe = make_recipe(filters={}, quota={"per_group": 4})
    build(tmp_path / "run", recipe, made=4, rejects=False, wanted=4, until="curate")
    page = Page(report(tmp_path / "run", recipe))
    assert "No filter rejected a picture in this run." in page.text
    assert "Nothing was rejected: every source image could be read" in page.text


def test_it_reports_groups_that_stayed_short(tmp_path: Path) -> None:
    recipe = make_recipe()
    build(tmp_path / "run", recipe, made=6, wanted=30, until="curate")
    _, [(fewest,)] = run_query(tmp_path / "run", "SELECT min(accepted) FROM group_balance")
    page = Page(report(tmp_path / "run", recipe))
    assert "Groups that stayed short" in page.text
    assert f"Every group of the balanced split was cut to {fewest}" in page.text
    assert "landbird|land lacks" in page.text and "of its 30 samples" in page.text


def test_others_words_are_escaped(tmp_path: Path) -> None:
    evil = EVIL.replace("/", "")
    recipe = make_recipe(
        classes=[{"name": evil, "words": ["</style><script>alert(2)</script>"]}, {"name": "b"}],
        prompts={"templates": ["<script>alert(3)</script> {class} on {bias}"]},
    )
    build(tmp_path / "run", recipe, made=6)
    text = report(tmp_path / "run", recipe)
    page = Page(text)
    assert "<script" not in text.lower()
    assert html.escape(evil, quote=False).replace('"', "&#34;") in text
    assert not [tag for tag in page.tags if any(key.startswith("on") for key in tag[1])]
    assert all((picture["src"] or "").startswith("data:image/") for picture in page.all("img"))
    assert "{{ 7 * 7 }}" in page.text


def test_seeds_are_joined_into_one_row_a_method(tmp_path: Path) -> None:
    recipe = make_recipe(training={"seeds": [0, 1, 2]})
    build(tmp_path / "run", recipe, made=12)
    page = Page(report(tmp_path / "run", recipe))
    sql = (
        "SELECT min(accuracy), avg(accuracy), max(accuracy) FROM worst_group "
        "WHERE method = 'ffr' AND stage = 'final' AND split = 'test'"
    )
    _, [(low, mean, high)] = run_query(tmp_path / "run", sql)
    figures = f"{100 * mean:.1f} {100 * low:.1f}–{100 * high:.1f} range of 3 seeds"
    assert f"then real {figures} landbird|water n = 250, in 3 of 3 seeds" in page.text
    assert "+79.2 points, the mean of 3 seeds (from +78.4 to +80.0)." in page.text
    assert "95% interval of one training" not in page.text


def test_rows_of_one_seed_and_of_several_each_say_what_their_span_is(tmp_path: Path) -> None:
    recipe = make_recipe()
    run = build(tmp_path / "run", recipe)
    train(run, make_recipe(training={"methods": ["erm"], "seeds": [1, 2]}))
    page = Page(report(tmp_path / "run", recipe))
    assert re.search(r"real images only 8.1 7.2–9.2 range of 3 seeds", page.text)
    assert re.search(r"then real 87.2 \d\d.\d–\d\d.\d 95% interval of one training", page.text)
    assert "Group ERM range of 3 seeds USB 95% interval of one training" in page.text
    assert "gets 7.2%" in page.text and "+80.0 points, in one seed." in page.text


def test_many_groups_get_fewer_pictures_each_and_large_ones_are_small(tmp_path: Path) -> None:
    recipe = make_recipe(
        classes=[{"name": f"class {n}"} for n in range(4)],
        bias={"values": [{"name": f"value {n}"} for n in range(5)]},
        generator={"model": "m", "height": 256, "width": 192},
    )
    large = {group: flat(recipe, group, 0) for group in recipe.groups}
    build(
        tmp_path / "run",
        recipe,
        counts=dict.fromkeys(recipe.groups, 1),
        made=10,
        wanted=9,
        until="curate",
        paint=lambda recipe, group, number: large[group],
    )
    page = Page(report(tmp_path / "run", recipe))
    shown = Counter((picture["alt"] or "").partition(":")[0] for picture in page.all("img"))
    assert 100 < shown["kept"] <= MOST_KEPT and shown["real"] == 20 and 0 < shown["rejected"] <= MOST_REJECTED
    assert {_opened(uri).size for uri in {picture["src"] or "" for picture in page.all("img")}} == {(96, 128)}


def test_the_largest_report_stays_below_five_megabytes(source: str) -> None:
    pictures = (MOST_KEPT + MOST_REAL + MOST_REJECTED) * MOST_BYTES * 4 / 3
    words = len(re.sub(r"data:image/[^\"]*", "", source))
    assert pictures + 3 * words < 5_000_000


def test_a_lost_shard_costs_its_pictures_alone(root: Path, recipe: Recipe, page: Page, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "run")
    (tmp_path / "run/raw/g0-0.tar").unlink()
    left = Page(report(tmp_path / "run", recipe))
    assert "not readable" in left.text and "not readable" not in page.text
    assert 0 < len(left.all("img")) < len(page.all("img"))


def test_thumbnails_are_small_and_keep_small_pictures_as_they_are() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (10, 200, 90)).save(buffer, "PNG")
    kept = _opened(thumbnail(buffer.getvalue()))
    assert (kept.format, kept.size, kept.getpixel((3, 3))) == ("PNG", (64, 48), (10, 200, 90))
    large = thumbnail(_noise(1))
    assert _opened(large).size == (128, 128)
    assert len(base64.b64decode(large.partition(",")[2])) <= MOST_BYTES


def test_an_axis_widens_to_a_threshold_nearby_and_not_to_one_far_off() -> None:
    near = axis_of(title_of("clip_alignment"), 0.2, 0.4, [Threshold("clip_alignment", "≥", 0.15)])
    assert 0 <= near.share(0.15) < near.share(0.4) <= 1
    assert near.ticks() == [0.2, 0.3, 0.4]
    far = axis_of(title_of("trajectory_variance"), 1e-4, 4e-3, [Threshold("trajectory_variance", "≤", 1e9)])
    assert far.log and far.share(1e9) > 1
    assert far.ticks(5) == pytest.approx([1e-4, 2e-4, 5e-4, 1e-3, 2e-3])
    assert axis_of(title_of("judge_class"), 0.9, 1.0, []).ticks() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    flat = axis_of(title_of("clip_alignment"), 0.3, 0.3, [])
    assert flat.low < 0.3 < flat.high and math.isfinite(flat.share(0.3))


def test_thresholds_come_from_the_curation_and_the_stricter_one_counts() -> None:
    said = {
        "thresholds": {
            "clip_alignment": {"min": 0.25},
            "group_judge": {"min_probability": 0.0},
            "unknown": {"min": 1},
            "variance": {"max": 0.5, "retain": 0.97, "limits": {"trajectory_variance": {"*": 0.02, "a|b": 0.7}}},
        }
    }
    found = thresholds(said)
    assert found == [
        Threshold("clip_alignment", "≥", 0.25),
        Threshold("trajectory_variance", "≤", 0.02),
        Threshold("trajectory_variance", "≤", 0.5, "a|b"),
    ]
    assert [one.value for one in of_group(found[1:], "a|b")] == [0.5]
    assert [one.value for one in of_group(found[1:], "another")] == [0.02]


def test_numbers_for_people() -> None:
    assert [significant(value) for value in (0.74, 0, 0.00173, 1e9, None, math.nan, 12.3456)] == [
        "0.740",
        "0",
        "1.73e-3",
        "1.00e9",
        "-",
        "-",
        "12.3",
    ]
    assert [tick_text(value) for value in (0.7, 2e-4, 1.5e-3, 12000)] == ["0.7", "2e-4", "1.5e-3", "12000"]


def _noise(seed: int) -> bytes:
    buffer = io.BytesIO()
    image = Image.frombytes("RGB", (128, 128), random.Random(seed).randbytes(128 * 128 * 3))
    image.resize((512, 512)).save(buffer, "JPEG")
    return buffer.getvalue()


def _opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
