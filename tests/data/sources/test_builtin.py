"""The images that come with the package."""

import dataclasses

import numpy as np

from stylegan_jax import config
from stylegan_jax.data import sources
from stylegan_jax.data.sources import open_source
from stylegan_jax.data.sources.builtin import ASSETS, EMOJI, HELD_OUT, SMILEYS
from tests.data.opened import open_failure, read

GROUPS = (
    "activities",
    "animals-nature",
    "food-drink",
    "objects",
    "people-body",
    "smileys-emotion",
    "symbols",
    "travel-places",
)


def test_builtin_has_the_documented_images():
    source = open_source(config.Data(resolution=64))
    assert EMOJI.stat().st_size <= 8_000_000
    assert source.num_images == 1631
    assert source.classes == GROUPS and source.label_size == 8
    assert source.label_totals == (85, 159, 131, 264, 381, 169, 224, 218)
    ends = np.cumsum([0, *source.label_totals]).tolist()
    for group, (begin, end) in enumerate(zip(ends[:-1], ends[1:], strict=True)):
        for index in range(begin, end):
            assert f"/{GROUPS[group]}/" in source.describe(index)
        for index in range(begin, end, 10):
            assert read(source, index)[1] == group
    image, _ = read(source)
    assert image.shape == (64, 64, 3) and image.dtype == np.uint8
    assert source.check(0) is None
    notice = (ASSETS / "NOTICE").read_text()
    assert notice.startswith("emoji64.zip") and "smileys64.zip contains" in notice


def smileys(builtin="smileys", **changes):
    return open_source(config.Data(resolution=64, builtin=builtin, **changes))


def test_the_smileys_of_four_fonts():
    source = smileys()
    assert SMILEYS.stat().st_size <= 2_000_000
    assert source.classes == ("fluent3d", "fluentflat", "noto", "twemoji")
    assert source.label_totals == (107, 102, 109, 110)
    for index in range(0, source.num_images, 40):
        image, label = read(source, index)
        assert f"/{source.classes[label]}/" in source.describe(index)
        corners = image[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert image.shape == (64, 64, 3) and corners.min() >= 250, index


def test_the_expressions_of_smileys_are_classes():
    source = smileys(builtin_classes="expression", conditional=True)
    assert source.num_images == 428 and source.label_size == 110
    assert sorted(source.classes) == list(source.classes)
    totals = dict(zip(source.classes, source.label_totals, strict=True))
    assert totals["grinning-face"] == totals["zipper-mouth-face"] == 4  # in all fonts
    index = next(i for i in range(428) if "noto/winking-face.png" in source.describe(i))
    assert source.classes[read(source, index)[1]] == "winking-face"


def test_a_tenth_of_the_smileys_is_held_out():
    parts = [smileys(f"smileys_{part}") for part in ("training", "held_out")]
    names = [
        {source.describe(i).split("zip/")[1] for i in range(source.num_images)}
        for source in parts
    ]
    assert [len(part) for part in names] == [385, 43]
    assert names[1] == set(HELD_OUT.read_text().split()) and not names[0] & names[1]
    assert {source.classes for source in parts} == {smileys().classes}
    assert len({smileys().fingerprint, *(s.fingerprint for s in parts)}) == 3


def test_builtin_is_averaged_down():
    full, _ = read(open_source(config.Data(resolution=64)), 7)
    small, _ = read(open_source(config.Data(resolution=16)), 7)
    mean = full.reshape(16, 4, 16, 4, 3).astype(np.float64).mean((1, 3))
    np.testing.assert_array_equal(small, np.rint(mean))


def test_builtin_names_its_largest_resolution():
    message = open_failure(config.Data(resolution=128))
    assert "`data.resolution` (=128) must be at most 64" in message
    assert "--config.data.resolution=64" in message


def test_a_new_source_is_a_function_and_a_line_in_the_table(monkeypatch):
    def open_new(data):
        return open_source(dataclasses.replace(data, source="builtin"))

    monkeypatch.setitem(sources.SOURCES, "new", open_new)
    c = config.base()
    c.data.source = "new"
    c.data.resolution = 64
    e = config.parse(c)
    assert not config.validate(e)
    assert open_source(e.data).num_images == 1631


def test_an_unknown_source_is_refused():
    message = open_failure(config.Data(source="s3"))
    assert (
        "`data.source` (='s3') must be one of ('auto', 'builtin', 'folder', 'prepared'"
        in message
    )
