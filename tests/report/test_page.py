"""report.html: self-contained, complete, and drawn within its frames."""

import base64
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.report import charts
from stylegan_jax.report import page as report
from stylegan_jax.report.charts import Mark, Series
from stylegan_jax.runtime import storage
from stylegan_jax.runtime.logger import RunLogger
from tests import chromium


class Page(HTMLParser):
    """Parser that collects the elements and checks that they are closed in order."""

    EMPTY = frozenset({"meta", "img", "input"})

    def __init__(self, text: str):
        super().__init__()
        self.open, self.elements = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def figures(text):
    return [
        ElementTree.fromstring(f) for f in re.findall(r"<figure>.*?</figure>", text)
    ]


@pytest.fixture
def run(tmp_path):
    """The directory of a run: two stages, a gap, a restart, metrics and images."""
    logger = RunLogger(tmp_path, enabled=True, stream=io.StringIO())
    rng = np.random.default_rng(0)
    for tick in range(1, 9):
        values = {
            "g_main/loss": 2.0 / tick if tick != 3 else np.nan,
            "d_main/loss": 0.5,
            "d_main/score_real": float(tick),
            "progress/images_per_second": 100.0,
            "progress/training_seconds": 60.0 * tick,
            "g_main/skipped_total": 0,
        }
        stage = "8x8" if tick < 5 else "16x16 <fading>"
        logger.scalars(tick * 1000, values, stage=stage, tick=tick, step=tick)
        pictures = rng.integers(0, 256, (4, 16, 16, 3), np.uint8)
        logger.images("fakes", tick * 1000, pictures, 2)
    logger.images("reals", 0, pictures, 2)
    logger.scalars(4000, {"metrics/swd": 12.5})
    logger.scalars(8000, {"metrics/swd": 7.25})
    logger.scalars(8000, {"augment/probability": 0.5})
    for kimg in (2, 5):
        logger.warning(kimg * 1000, f"r_v <{kimg}>")
    logger.event("end", images_seen=8000)
    logger.close()
    (tmp_path / "config.json").write_text('{"data": {"path": "<script>x"}}')
    how = {"name": "swd", "images_generated": 64, "truncation_psi": 1.0}
    lines = [
        how | {"value": 12.5, "kimg": 4.0},
        how | {"value": 7.25, "kimg": 8.0},
        how | {"value": 9.75, "kimg": 8.0, "truncation_psi": 0.7},
        how | {"value": 1.5, "kimg": None},  # not of a run
    ]
    (tmp_path / "metrics.jsonl").write_text(
        "\n".join(map(json.dumps, lines)) + '\n{"name": "cut'
    )
    return storage.open_path(tmp_path)


def test_a_report(run):
    path = report.write(run)
    assert path == run / "report.html" and not (run / ".report.html.tmp").exists()
    text = path.read_text()
    page = Page(text)
    # It loads nothing from anywhere.
    for tag, attributes in page.elements:
        for name in ("src", "href", "data"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, attributes)
    assert "http" not in text.replace("charset", "")
    titles = [f.find("svg/text").text for f in figures(text)]
    assert titles == [
        *("swd", "Losses", "Discriminator scores", "Images per second"),
        "augment/probability",
    ]
    legends = figures(text)[0].findall("figcaption/span")
    assert ["".join(x.itertext()) for x in legends] == [
        "64 images, psi 1",
        "64 images, psi 0.7",
    ]
    assert "<p>Skipped updates: 0.</p>" in text
    losses = figures(text)[1]
    paths_drawn = losses.findall("svg/path")
    assert [len(re.findall("M", p.get("d"))) for p in paths_drawn] == [1, 2]  # a gap
    assert len(losses.findall("svg/circle")) == 8 + 7
    marks = losses.findall("svg/line[@class='mark']")
    assert [m.find("title").text for m in marks] == ["8x8", "16x16 <fading>"]
    assert "8 kimg, stage 16x16 &lt;fading&gt;, 0.13 hours" in text
    assert "<script>x" not in text  # of the config, escaped
    assert "<td>7.25</td>" in text
    told = "<li>5 kimg: r_v &lt;5&gt;</li><li>2 kimg: r_v &lt;2&gt;</li>"
    assert f"<h2>Warnings</h2><ul>{told}</ul>" in text  # the last ones first


def test_its_images(run):
    text = report.page(run)
    [(_, slider)] = [e for e in Page(text).elements if e[1].get("type") == "range"]
    grids = json.loads(re.search(r'application/json">(.*?)</script>', text)[1])
    assert [g["label"] for g in grids] == [f"{i} kimg" for i in range(1, 9)]
    assert (slider["max"], slider["value"]) == ("7", "7")
    latest, reals = [e[1]["src"] for e in Page(text).elements if e[0] == "img"]
    assert latest == grids[-1]["image"]
    for image in (reals, *(grid["image"] for grid in grids)):
        content = base64.b64decode(image.partition(",")[2])
        with Image.open(io.BytesIO(content)) as image:
            assert image.size == (32, 32)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = chromium.find()
    if program is None:
        pytest.skip(chromium.MISSING)
    with chromium.started(program, tmp_path_factory.mktemp("profile")) as started:
        yield started


# Of every chart: where it is on the page, its lines, and what sticks out of it.
CHARTS = """
[...document.querySelectorAll('figure > svg')].map(svg => {
  const frame = svg.getBoundingClientRect();
  const sticksOut = element => {
    const box = element.getBoundingClientRect();
    return box.left < frame.left - 1 || box.right > frame.right + 1
      || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
  };
  return {
    title: svg.querySelector('.title').textContent,
    box: [frame.left + scrollX, frame.top + scrollY,
          frame.right + scrollX, frame.bottom + scrollY],
    colors: [...svg.querySelectorAll('path')].map(x => getComputedStyle(x).stroke),
    sticking: [...svg.querySelectorAll('*:not(title)')].filter(sticksOut)
      .map(x => x.outerHTML),
  };
})
"""


MARKER_PIXELS = 5  # at least, of a point and of a line, that have a line's color


def problems(browser, path):
    """Return what a reader of the page would miss, and the errors of its console."""
    browser.open(path)
    charts_drawn = browser.run(CHARTS)
    pixels = np.asarray(browser.picture()).astype(int)
    found = []
    for chart in charts_drawn:
        left, top, right, bottom = map(round, chart["box"])
        picture = pixels[top:bottom, left:right]
        if picture.size == 0:
            found.append(f"{chart['title']} has no place")
        for color in chart["colors"]:
            rgb = re.fullmatch(r"rgb\((\d+), (\d+), (\d+)\)", color)
            if rgb is None:  # "none"
                near = np.zeros(0)
            else:
                near = np.abs(picture - np.intp(rgb.groups())).max(axis=-1) < 40
            if np.sum(near) < MARKER_PIXELS:
                found.append(f"{chart['title']}: a line is not seen")
        found += [f"{chart['title']}: {x} sticks out" for x in chart["sticking"]]
    for name in browser.run(
        "[...document.images].filter(x => !x.naturalWidth).map(x => x.alt)"
    ):
        found.append(f"image not drawn: {name}")
    return found + browser.errors + [f"asks for {x}" for x in browser.requested]


def test_in_a_browser(run, browser):
    path = report.write(run)
    assert problems(browser, path) == []
    titles = [chart["title"] for chart in browser.run(CHARTS)]
    assert len(titles) == 5 == len(figures(path.read_text()))
    # The slider, by the keyboard.
    state = "[label.textContent, grids.findIndex(x => x.image === grid.src)]"
    state = f"(({{label, grid}}) => {state})(document.all)"
    assert browser.run(state) == ["8 kimg", 7]
    browser.run("document.getElementById('when').focus()")
    browser.press("ArrowLeft", 37)
    browser.press("ArrowLeft", 37)
    assert browser.run(state) == ["6 kimg", 5]
    width = "document.getElementById('grid')"
    width = f"{width}.decode().then(() => {width}.naturalWidth)"
    assert browser.run(width) == 32
    assert browser.errors == []


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        (
            "show();\n</script>",
            "sow();\n</script>",
            "sow is not defined",
        ),
        ('<path d="M', '<path d="Mx', "attribute d: Expected number"),
        ('fill="none" stroke="#0072b2"', 'fill="none"', "Losses: a line is not seen"),
        ("</body>", '<img src="http://x.org/a.png"></body>', "asks for http://x.org/"),
        ('class="title" x="56"', 'class="title" x="500"', "sticks out"),
        ("data:image/webp;base64,", "data:image/webp;base64,xx", "image not drawn"),
    ],
)
def test_the_browser_test_detects_broken_pages(run, browser, good, bad, told):
    path = report.write(run)
    text = path.read_text()
    assert good in text
    path.write_text(text.replace(good, bad))
    assert any(told in problem for problem in problems(browser, path))


def test_a_named_browser_must_exist(monkeypatch):
    monkeypatch.setenv(chromium.VARIABLE, "/no/such/browser")
    with pytest.raises(FileNotFoundError, match="/no/such/browser is no program"):
        chromium.find()


def test_many_points_and_grids_are_thinned_out():
    assert report._thin_out(list(range(100)), 5) == [0, 25, 50, 74, 99]
    assert report._thin_out([1, 2], 5) == [1, 2]


def test_a_directory_without_a_run_is_rejected(tmp_path):
    with pytest.raises(ValueError, match="is not the directory of a run"):
        report.write(storage.open_path(tmp_path))


def test_a_run_that_has_just_started(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"event": "start"}\n{"ev')
    text = report.page(storage.open_path(tmp_path))
    Page(text)
    assert "No tick has ended yet" in text and not figures(text)


@pytest.mark.parametrize(
    "values", [[1.0], [0.0, 0.0], [-1e-9, 1e9], [3.0, float("inf"), 5.0, -7.5]]
)
def test_charts_stay_within_their_frame(values):
    points = list(enumerate(values))
    svg = ElementTree.fromstring(
        charts.chart("a & b", [Series("x<y", points)], [Mark(0, "m"), Mark(99, "out")])
    ).find("svg")
    assert len(svg.findall("line[@class='mark']")) == 1
    dots = svg.findall("circle")
    assert len(dots) == np.isfinite(values).sum()
    for dot in dots:
        assert charts.LEFT <= float(dot.get("cx")) <= charts.WIDTH - charts.RIGHT
        bottom = charts.HEIGHT - charts.BOTTOM
        assert charts.TOP <= float(dot.get("cy")) <= bottom


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (-0.3, 0.3, [-0.2, 0, 0.2]), (7, 8, None)],
)
def test_ticks_are_round(low, high, expected):
    found = charts.ticks(low, high)
    assert 2 <= len(found) <= 6 and low <= min(found) and max(found) <= high
    if expected:
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_nothing_to_draw():
    with pytest.raises(ValueError, match="no points"):
        charts.chart("empty", [Series("x", [(0, float("nan"))])])
