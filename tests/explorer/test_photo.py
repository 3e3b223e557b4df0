"""Photos, points and undo in the page, as a user works with them."""

import re
import time

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.explorer.picture import Picture, Seed, Style
from stylegan_jax.explorer.renderer import Renderer
from tests.explorer.in_browser import (
    DESKTOP,
    MARKS,
    expect,
    pixels,
    seeded,
    slide,
)
from tests.networks import small

pytestmark = MARKS
SECONDS = 300  # of a task, with compilation on a busy machine


def finished(page, pattern):
    """Wait until the running task ends; return its message."""
    page.wait_for_selector("body[data-job=idle]", timeout=1000 * SECONDS)
    text = page.inner_text("#status")
    assert text.startswith(pattern), text
    return text


def until(page, condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, page.inner_text("#status")
        time.sleep(0.05)


def point(page, x, y):
    """Return where pixel (x, y) of the picture of 16x16 is on the screen."""
    box = page.locator("#overlay").bounding_box()
    return (
        box["x"] + (x + 0.5) / 16 * box["width"],
        box["y"] + (y + 0.5) / 16 * box["height"],
    )


def press(page, start, end):
    page.mouse.move(*point(page, *start))
    page.mouse.down()
    page.mouse.move(*point(page, *end), steps=5)
    page.mouse.up()


def rms(a, b):
    return np.sqrt(np.mean((a / 127.5 - b / 127.5) ** 2))


@pytest.fixture
def photo(renderer, tmp_path):
    """A photo of 40x24, whose right part is an image of the network."""
    image = renderer.draw(seeded(7))
    canvas = np.zeros((24, 40, 3), np.uint8)
    canvas[4:20, 20:36] = image
    path = tmp_path / "photo.png"
    Image.fromarray(canvas).save(path)
    return path, image


def test_from_a_photo_to_an_edit(page, renderer, photo, tmp_path):
    path, goal = photo
    with page.expect_file_chooser() as chooser:
        page.click("#photo-open")
    chooser.value.set_files(path)
    page.wait_for_selector("#crop-part:not([hidden])")
    # The box is 16 pixels wide after this, and then moved to the right.
    slide(page, "#crop-size", 67)
    box = page.locator("#crop").bounding_box()
    page.mouse.click(
        box["x"] + 28 / 40 * box["width"], box["y"] + 12 / 24 * box["height"]
    )
    assert page.inner_text("#crop-shown") == "16×16"
    page.select_option("#space", "w+")
    page.fill("#project-steps", "20")
    page.click("#project")
    finished(page, "Projected: difference of 0.")
    assert "photo" in page.inner_text("#caption")
    projected = pixels(page)
    assert rms(projected, goal) < rms(renderer.draw(seeded(0)), goal)

    # Before is the photo.
    page.keyboard.press("b")
    until(page, lambda: np.array_equal(pixels(page), goal))
    page.keyboard.press("b")
    until(page, lambda: not np.array_equal(pixels(page), goal))
    projected = pixels(page)

    page.fill("#tune-steps", "20")
    page.click("#tune")
    finished(page, "Tuned: difference of 0.")
    until(page, lambda: np.any(pixels(page) != projected))
    tuned = pixels(page)
    assert "tuned-" in page.inner_text("#caption")
    assert rms(tuned, goal) < 0.8 * rms(projected, goal)
    with page.expect_download() as download:
        page.click("#save-tuned")
    assert download.value.suggested_filename.endswith(".safetensors")

    time.sleep(0.7)  # changes in quick succession are one step to undo
    slide(page, "#direction-0", 2)
    until(page, lambda: np.any(pixels(page) != tuned))
    page.click("#undo")
    until(page, lambda: np.array_equal(pixels(page), tuned))
    with page.expect_download() as download:
        page.click("#save-latent")
    download.value.save_as(tmp_path / "saved.npz")
    with np.load(tmp_path / "saved.npz") as arrays:
        assert arrays["ws"].shape == (1, 6, 8)


def test_a_dragged_point(page, renderer):
    page.click("#mode-points")
    press(page, (4, 6), (5, 6))  # too short
    assert page.inner_text("#drag-count") == "0 points"
    press(page, (4, 6), (8, 6))
    assert page.inner_text("#drag-count") == "1 point"
    assert page.locator("#overlay .handle").count() == 1
    page.click("#mode-mask")
    press(page, (2, 2), (12, 12))
    assert page.inner_text("#drag-count") == "1 point, with a mask"
    page.fill("#drag-steps", "15")
    before = pixels(page)
    page.click("#drag")
    text = finished(page, "")
    assert text.startswith(("Arrived after", "Not arrived after 15 steps")), text
    until(page, lambda: np.any(pixels(page) != before))
    assert "dragged picture" in page.inner_text("#caption")
    x = float(page.get_attribute("#overlay .handle", "cx"))
    assert 4 <= x <= 10
    page.keyboard.press("u")
    expect(page, renderer, seeded(0))
    page.click("#drag-clear")
    assert page.inner_text("#drag-count") == "0 points"


def test_points_by_keys_and_a_stopped_drag(page, renderer):
    page.click("#mode-points")
    for key in ("Enter", "Shift+ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    line = page.locator("#overlay line")
    assert [line.get_attribute(name) for name in ("x1", "x2")] == ["8", "14"]
    page.keyboard.press("Backspace")
    assert page.inner_text("#drag-count") == "0 points"
    press(page, (2, 6), (14, 6))
    page.fill("#drag-steps", "10000")
    page.click("#drag")
    until(page, lambda: "step 2" in page.inner_text("#status"))
    page.click("#drag-clear")  # it goes on without them
    bad = {"name": "bad.npz", "mimeType": "", "buffer": b"PK"}
    page.set_input_files("#file", bad)
    error = re.compile(r"\(=bad.npz\) cannot be used.*\nDrag: step (\d+) of 10000")
    until(
        page, lambda: error.search(page.inner_text("#status"))
    )  # and leaves the error
    assert page.inner_text("#drag-count") == "0 points"
    page.click("#stop")
    finished(page, "Drag: stopped.")
    assert page.locator("#stop").is_hidden()


def test_an_unreadable_photo(page, tmp_path):
    (tmp_path / "a.png").write_text("text")
    page.set_input_files("#photo-file", tmp_path / "a.png")
    page.wait_for_selector("#photo-part:not([hidden])")
    page.click("#project")
    page.wait_for_selector("#status.error")
    assert "the photo is not an image" in page.inner_text("#status")


def test_pictures_of_stylegan3_are_moved(opened):
    from tests.explorer.served import served

    moving = Renderer(small.network("stylegan3"))
    moving.compile(lambda text: None)
    with served(moving) as address:
        page = opened(address, **DESKTOP)
        expect(page, moving, Picture(Style(Seed(0))))
        press(page, (4, 4), (8, 4))
        page.mouse.wheel(0, 100)
        shown = page.inner_text("#caption")
        assert "moved 0.25, 0.00 · rotated -3°" in shown
        expect(
            page,
            moving,
            Picture(Style(Seed(0)), translate_x=0.25, rotate=-3.0),
        )
        page.focus("#translate_y")
        page.keyboard.press("ArrowRight")
        assert "moved 0.25, 0.01" in page.inner_text("#caption")
        page.click("#position-reset")
        expect(page, moving, Picture(Style(Seed(0))))
