"""Reading of the explorer's page in a headless Chromium."""

import importlib.util
import re
import time

import numpy as np
import pytest

from stylegan_jax.explorer.picture import Picture, Seed, Style
from tests import chromium

PROGRAM = chromium.find()
EXTRA = ("starlette", "uvicorn", "playwright")
MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason=chromium.MISSING),
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in EXTRA),
        reason=f"needs {', '.join(EXTRA)}: python -m pip install -e '.[dev,browser]'",
    ),
]
SECONDS = 20  # to wait for pixels
A, B = (1.0, 0.0), (0.0, 1.0)
DESKTOP = {"viewport": {"width": 1280, "height": 1400}}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
}
PIXELS = """() => {
  const canvas = document.getElementById('picture');
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return [canvas.width, canvas.height, Array.from(data.data)];
}"""


def pixels(page):
    width, height, values = page.evaluate(PIXELS)
    found = np.array(values, np.uint8).reshape(height, width, 4)
    assert (found[:, :, 3] == 255).all()
    return found[:, :, :3]


def expect(page, renderer, picture):
    """Wait until the canvas shows a picture, to the last bit."""
    wanted = renderer.draw(picture)
    deadline = time.monotonic() + SECONDS
    while not np.array_equal(pixels(page), wanted):
        caption = page.inner_text("#caption")
        assert time.monotonic() < deadline, (caption, picture)
        time.sleep(0.02)


def caption(page, pattern):
    """Return the integers that the caption has in this place."""
    found = re.search(pattern, page.inner_text("#caption"))
    assert found, page.inner_text("#caption")
    return tuple(map(int, found.groups()))


def slide(page, selector, value):
    page.locator(selector).fill(str(value))


def seeded(seed, label=A, mix=None, psi=0.7, *rest):
    return Picture(Style(Seed(seed), label, mix), psi, *rest)


def pad_corners(page):
    return tuple(map(int, re.findall(r"\d+", page.inner_text("#pad-seeds"))))


def pad_point(page):
    found = page.evaluate(
        "(({left, top}) => [left, top])(document.getElementById('pad-dot').style)"
    )
    return [float(value.rstrip("%")) / 100 for value in found]
