"""Palette, formats, chart dicts, messages: what every page stands on. No browser, no server."""

from __future__ import annotations

import gzip
import json
import math
import time
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from PIL import Image
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from streamlit.testing.v1 import AppTest

from lab.analysis.run_curves import curve
from lab.errors import Problem
from lab.recipe.model import recipe_from
from lab.schedules.plan import Plan, make_plan
from lab.ui import assets, charts, palette
from lab.ui import format as fmt
from lab.ui.charts.base import safe, smooth, thin
from lab.ui.crops import hero
from lab.ui.live_chart import plain
from lab.ui.look import sizes_coloured
from lab.ui.messages import place, sentence

ROOT = Path(__file__).resolve().parents[1]
THEME = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"]
PAGES = [THEME["light"]["backgroundColor"], THEME["dark"]["backgroundColor"]]
SCHEDULES = [
    [64, 128],
    [64, 96, 128],
    [32, 48, 64, 96, 128, 160, 192, 224],
    [128],
    [(96, 128), 224],
]


# The palette


def test_contrast_agrees_with_published_pairs() -> None:
    assert palette.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert palette.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("sides", SCHEDULES)
def test_larger_is_darker(sides: list[int]) -> None:
    light = [palette.luminance(palette.size_colour(side, sides)) for side in sides]
    assert all(small > large for small, large in pairwise(light))


@pytest.mark.parametrize("sides", SCHEDULES)
def test_a_size_stands_out_on_both_pages_and_its_text_on_it(sides: list[int]) -> None:
    for colour in (palette.size_colour(side, sides) for side in sides):
        assert min(palette.contrast(colour, page) for page in PAGES) >= 1.7
        assert palette.contrast(colour, palette.on_top(colour)) >= 4.5


def test_neighbouring_sizes_of_a_usual_schedule_differ_without_colour() -> None:
    colours = [palette.size_colour(side, [64, 96, 128]) for side in (64, 96, 128)]
    assert all(palette.contrast(one, other) >= 1.5 for one, other in pairwise(colours))


def test_a_size_has_one_colour_whatever_the_order_and_repeats() -> None:
    assert palette.size_colour(96, [64, 96, 128]) == palette.size_colour(96, [128, 96, 64, 96])
    assert palette.size_colour((96, 96), [64, (96, 96), 128]) == palette.size_colour(96, [64, 128])


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("side", [64, 96, 128])
def test_text_stays_readable_on_a_band(side: int, page: str) -> None:
    colour = palette.size_colour(side, [64, 96, 128])
    mixed = [
        round(palette.BAND_ALPHA * int(colour[i : i + 2], 16))
        + round((1 - palette.BAND_ALPHA) * int(page[i : i + 2], 16))
        for i in (1, 3, 5)
    ]
    text = THEME["light" if page == PAGES[0] else "dark"]["textColor"]
    assert palette.contrast(text, "#" + "".join(f"{value:02x}" for value in mixed)) >= 7


def test_runs_stand_out_on_both_pages_and_thirty_five_differ() -> None:
    for index in range(4):
        assert min(palette.contrast(palette.run_style(index)[0], page) for page in PAGES) >= 2.9
    for colour in palette.RUN_COLOURS:
        assert min(palette.contrast(colour, page) for page in PAGES) >= 2.0
    assert len({palette.run_style(index) for index in range(35)}) == 35


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_theme_meets_wcag_for_text_links_and_the_primary_button(mode: str) -> None:
    look = THEME[mode]
    for ground in (look["backgroundColor"], look["secondaryBackgroundColor"]):
        assert palette.contrast(look["textColor"], ground) >= 7
        assert palette.contrast(look["linkColor"], ground) >= 4.5
    assert palette.contrast("#ffffff", look["primaryColor"]) >= 4.5


def test_the_look_loads_nothing_from_the_network() -> None:
    for name in (".streamlit/config.toml", "lab/ui/live_chart.js", "lab/ui/crops.js"):
        assert "http" not in (ROOT / name).read_text(encoding="utf-8")


# Formats


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (fmt.minutes(0), "0:00"),
        (fmt.minutes(59.6), "1:00"),
        (fmt.minutes(221), "3:41"),
        (fmt.minutes(3599.6), "1:00:00"),
        (fmt.minutes(3821), "1:03:41"),
        (fmt.minutes(None), "–"),
        (fmt.percent(0.1234), "12.3 %"),
        (fmt.percent(math.nan), "–"),
        (fmt.percent(-0.00001), "0.0 %"),
        (fmt.points(0.012), "+1.2 pp"),
        (fmt.points(-0.012), "−1.2 pp"),
        (fmt.count(1234567), "1 234 567"),
        (fmt.count(999), "999"),
        (fmt.pixels(1.23e9), "1.2 Gpx"),
        (fmt.pixels(999_999), "1.0 Mpx"),
        (fmt.pixels(345e6), "345 Mpx"),
        (fmt.pixels(800), "800 px"),
        (fmt.rate(3e-3), "3e-3"),
        (fmt.rate(1.5e-4), "1.5e-4"),
        (fmt.decimal(0.51249), "0.512"),
        (fmt.size(128, 128), "128 px"),
        (fmt.size(256, 192), "256×192 px"),
        (fmt.ago(100, 130), "just now"),
        (fmt.ago(0, 185), "3 min ago"),
        (fmt.ago(0, 3601), "1 h ago"),
        (fmt.ago(0, 90_000), "yesterday"),
        (fmt.ago(0, 5 * 86_400), "5 days ago"),
    ],
)
def test_numbers_read_as_people_write_them(shown: str, expected: str) -> None:
    assert shown.replace(fmt.SPACE, " ") == expected


# Charts


def _plan() -> Plan:
    stages = [{"size": 64, "epochs": 2, "frozen_epochs": 1}, {"size": [96, 128], "epochs": 3}]
    return make_plan(recipe_from({"model": {"groups": 2}, "stages": stages}), 320, 2)


def _epochs(n: int) -> pd.DataFrame:
    columns = ("valid_loss", "train_loss", "error_rate", "accuracy", "images_per_s", "lr")
    table = {name: np.linspace(0.9, 0.1, n) for name in columns}
    done = np.arange(n, dtype=float)
    return pd.DataFrame(
        {**table, "global_epoch": np.arange(n), "seconds": 10.0, "pixels": done * 1e6}
    )


def _steps(n: int) -> pd.DataFrame:
    return pd.DataFrame({"step": np.arange(n), "loss": np.ones(n), "lr": np.full(n, 1e-3)})


def _all_charts() -> Iterator[dict]:
    plan = _plan()
    yield charts.timeline(plan)
    for name in ("epoch", "step", "time", "pixels"):
        axis = charts.Axis.of(plan, name, seconds=[10.0, 11.0])
        for what in ("loss", "error", "lr", "size"):
            yield charts.live_curves(_epochs(2), _steps(11), axis, what)
            yield charts.live_curves(pd.DataFrame(), pd.DataFrame(), axis, what, log_y=True)
    for y in ("error", "valid_loss", "train_loss", "lr"):
        for x in ("epoch", "step", "time", "pixels", "flops"):
            curves = [charts.Curve(name, name, 0, curve(_epochs(n), _steps(0), x, y))
                      for name, n in (("one", 3), ("none", 0))]  # fmt: skip
            strip = charts.Strip("one", 0, ((0.0, 3.0, "64 px", "#a9cf5a"),))
            yield charts.method_curves(curves, [], [strip], x, y, log_y=y == "lr")
    yield charts.method_curves([], [], [], "epoch", "error")
    points = [charts.CostPoint("a", 60, 0.1, 0.08, 0.13), charts.CostPoint("b", 9, 0.2)]
    yield charts.error_against_cost(points)
    yield charts.error_against_cost([], "pixels")
    yield charts.probability_bars(["a", "b", "c"], [0.2, 0.7, 0.1], "c", top=2)
    yield charts.class_counts(["a", "b"], {"train": [3, 4], "valid": [1, 1]})


def test_every_chart_is_a_valid_figure_with_words_and_json() -> None:
    for chart in _all_charts():
        sent = plain(chart)
        go.Figure(sent)
        json.dumps(sent, allow_nan=False)
        assert len(charts.describe(chart)) > 20


def test_the_axis_spans_the_whole_schedule_before_the_first_step() -> None:
    axis = charts.Axis.of(_plan(), "epoch")
    chart = charts.live_curves(pd.DataFrame(), pd.DataFrame(), axis, "loss")
    assert list(chart["layout"]["xaxis"]["range"]) == [0, 6]


def test_bands_follow_the_stages_and_meet() -> None:
    bands = charts.Axis.of(_plan(), "step").bands
    assert [(band.label, band.x0, band.x1) for band in bands] == [("64", 0, 15), ("96×128", 15, 30)]


def test_steps_lie_between_the_ends_of_epochs_on_every_axis() -> None:
    plan = _plan()  # 5 steps an epoch; 320 images of 64x64, then of 96x128
    assert charts.Axis.of(plan, "epoch").at_steps([0, 4, 7]).tolist() == [0.2, 1.0, 1.6]
    assert charts.Axis.of(plan, "pixels").at_steps([4]).tolist() == [320 * 64 * 64]
    time_axis = charts.Axis.of(plan, "time", seconds=[10.0])
    assert time_axis.total == pytest.approx(3 * 10 + 3 * 30)  # 96*128 is three times 64*64


def test_a_blocks_height_is_its_size_and_frozen_epochs_are_hatched() -> None:
    blocks = charts.timeline(_plan())["data"][0]
    assert blocks["y"][:3] == [64, 64, 64]
    assert blocks["y"][3] == pytest.approx(math.sqrt(96 * 128))
    assert blocks["marker"]["pattern"]["shape"] == ["/", "", "", "", "", ""]


def test_a_long_schedule_stays_small() -> None:
    stages = [{"size": 64, "epochs": 500}, {"size": 128, "epochs": 500}]
    plan = make_plan(recipe_from({"stages": stages}), 6400, 1)
    started = time.perf_counter()
    chart = charts.timeline(plan)
    assert time.perf_counter() - started < 2
    assert len(chart["data"][0]["x"]) == 2
    assert len(json.dumps(plain(chart))) < 60_000


def test_smoothing_starts_without_bias_and_skips_what_is_not_finite() -> None:
    assert smooth([3.0, 3.0, 3.0], 0.9) == pytest.approx([3, 3, 3])
    assert smooth([1.0, math.nan, 2.0], 0.5).tolist() == pytest.approx([1.0, 1.0, 5 / 3])
    assert smooth([1.0, 5.0], 0.0).tolist() == [1.0, 5.0]


@pytest.mark.parametrize("n", [0, 1, 999, 1000, 1001, 54_321])
def test_thinning_keeps_both_ends_and_at_most_a_thousand(n: int) -> None:
    kept = thin(n)
    assert len(kept) <= 1000
    assert len(set(kept.tolist())) == len(kept)
    if n:
        assert (kept[0], kept[-1]) == (0, n - 1)


def test_points_stay_where_they_are_while_a_curve_grows() -> None:
    assert set(thin(1500)[:-1].tolist()) <= set(thin(1900).tolist())


def test_names_cannot_become_markup() -> None:
    assert safe('<a href="javascript:x">&') == '&lt;a href="javascript:x"&gt;&amp;'
    table = curve(_epochs(1), _steps(0), "epoch", "error")
    hostile = charts.Curve("<img src=y>", "<img src=x>", 0, table)
    figure = charts.method_curves([hostile], [], [], "epoch", "error")
    text = json.dumps(plain(figure["data"]))  # the words for readers go in as text
    assert "<img" not in text
    assert '"name": "&lt;img src=x&gt;"' in text


def test_numbers_travel_short_and_gaps_as_null() -> None:
    sent = plain({"x": np.array([1 / 3, np.nan, np.inf]), "n": np.int64(3), "s": pd.Series([1, 2])})
    assert sent == {"x": [0.3333333, None, None], "n": 3, "s": [1, 2]}


# Messages


def test_a_problem_names_its_row_and_shows_what_people_typed_as_text() -> None:
    problem = Problem("stages.1.size", "[x](http://e) <b> $y$ :red[z] a_b_c.", "Use 128.")
    assert place("stages.1.size") == "Stage 2, size"
    expected = r"Stage 2, size: **\[x\](http\://e) \<b\> \$y\$ \:red\[z\] a_b_c.** Use 128."
    assert sentence(problem) == expected


def test_guard_says_every_problem_and_stops_the_page() -> None:
    def script() -> None:
        import streamlit as st

        from lab.errors import LabError, Problem
        from lab.ui.messages import guard

        with guard():
            raise LabError.of(
                [Problem("", "Slow.", "Wait.", "warning"), Problem("", "Bad.", "Go.")]
            )
        st.write("never")

    page = AppTest.from_function(script, default_timeout=20).run()
    assert [error.value for error in page.error] == ["**Bad.** Go."]
    assert [warning.value for warning in page.warning] == ["**Slow.** Wait."]
    assert not page.markdown
    assert not page.exception


def test_guard_lets_faults_of_the_lab_through() -> None:
    from lab.ui.messages import guard

    with pytest.raises(ZeroDivisionError), guard():
        _ = 1 / 0


# Pictures and files


def test_the_hero_grows_and_is_see_through_around() -> None:
    leaf = Image.new("RGB", (200, 200), (10, 200, 30))
    picture = hero(leaf, (64, 128), unit=1)
    assert picture.mode == "RGBA"
    assert picture.getpixel((0, 0))[3] == 0
    assert picture.getpixel((64 + 6 + 8 + 3 + 64, 70))[:3] == (10, 200, 30)


def _ask_for_plotly(encoding: str) -> Response:
    headers = [(b"accept-encoding", encoding.encode())]
    route = assets.routes()[0]
    assert route.path == f"/{assets.plotly_path()}"
    return route.endpoint(Request({"type": "http", "method": "GET", "headers": headers}))


def test_plotly_is_served_compressed_and_for_ever() -> None:
    answer = _ask_for_plotly("br, gzip")
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    uncompressed = _ask_for_plotly("identity")
    assert isinstance(uncompressed, FileResponse)
    assert gzip.decompress(answer.body) == Path(uncompressed.path).read_bytes()
    assert len(answer.body) < 2e6


def test_sizes_in_a_table_have_their_colour() -> None:
    table = pd.DataFrame({"size": [64, 128], "loss": [2.0, 1.0]})
    html = sizes_coloured(table, "size", [64, 128]).to_html()
    assert all(palette.size_colour(side, [64, 128]) in html for side in (64, 128))
