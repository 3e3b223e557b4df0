"""Answers that arrive late: they change neither messages nor what is newer."""

import contextlib
import io
import time

import numpy as np
import pytest
from PIL import Image

from tests.explorer.in_browser import (
    MARKS,
    SECONDS,
    expect,
    pixels,
    seeded,
    slide,
)

pytestmark = MARKS
BAD = {"name": "bad.npz", "mimeType": "", "buffer": b"PK\3\4"}
PROBLEM = "`file` (=bad.npz) cannot be used"
PAUSE = 500  # milliseconds in which a late answer would do its damage


class Held:
    """The requests of a page to a path, which wait until they are released."""

    def __init__(self, page, path):
        self.page, self.routes, self.holding = page, [], True
        page.route(path, self._take)

    def _take(self, route):
        if self.holding:
            self.routes.append(route)
        else:
            route.continue_()

    def wait(self, count):
        """Wait until there are so many requests."""
        deadline = time.monotonic() + SECONDS
        while len(self.routes) < count:
            assert time.monotonic() < deadline
            self.page.wait_for_timeout(20)

    def release(self):
        """Let all requests go, also those to come."""
        self.holding = False
        for route in self.routes:
            route.continue_()


def latents(name, count):
    """Return a file of latents w."""
    content = io.BytesIO()
    ws = np.random.default_rng(count).normal(size=(count, 6, 8))
    np.save(content, ws.astype(np.float32))
    return {"name": name, "mimeType": "", "buffer": content.getvalue()}


def photo(name, width, height):
    content = io.BytesIO()
    random = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(random).save(content, "png")
    return {"name": name, "mimeType": "image/png", "buffer": content.getvalue()}


def test_a_late_picture_leaves_an_error(page, renderer):
    draws = Held(page, "**/draw")
    page.fill("#seed", "3")
    page.set_input_files("#file", BAD)
    page.wait_for_selector("#status.error")
    draws.wait(1)
    draws.release()
    expect(page, renderer, seeded(3))
    assert PROBLEM in page.inner_text("#status")
    page.click("#next")
    page.wait_for_selector("#status:not(.error)", state="attached")
    expect(page, renderer, seeded(4))
    page.set_input_files("#file", BAD)
    page.wait_for_selector("#status.error")
    page.locator("h1").click()
    page.keyboard.press("ArrowRight")  # a key also acts
    page.wait_for_selector("#status:not(.error)", state="attached")


def test_an_error_stays_while_pictures_play(page):
    page.click("#play")
    page.set_input_files("#file", BAD)
    page.wait_for_selector("#status.error")
    shown = page.get_attribute("#picture", "data-shown")
    page.wait_for_timeout(PAUSE)
    assert page.get_attribute("#picture", "data-shown") != shown
    assert PROBLEM in page.inner_text("#status")


def test_messages_that_arrive_after_an_error_are_below_it(page):
    saves = Held(page, "**/image")
    page.click("#save-image")
    page.set_input_files("#file", BAD)
    page.wait_for_selector("#status.error")
    saves.wait(1)
    with page.expect_download():
        saves.release()
    saved = "Saved small-seed_0.png."
    deadline = time.monotonic() + SECONDS
    while saved not in (shown := page.inner_text("#status")):
        assert time.monotonic() < deadline, shown
        page.wait_for_timeout(20)
    first, second = shown.split("\n")
    assert PROBLEM in first and second == saved
    page.click("#next")
    page.wait_for_selector("#status:not(.error)", state="attached")
    assert page.inner_text("#status") == saved


def test_of_two_files_the_last_one_is_loaded(page):
    """The larger one arrives after the smaller one, which was chosen later."""
    from playwright.sync_api import Error

    loads = Held(page, "**/load?*")
    page.set_input_files("#file", latents("first.npy", 3))
    loads.wait(1)
    page.set_input_files("#file", latents("last.npy", 2))
    loads.wait(2)
    first, last = loads.routes
    last.continue_()
    page.wait_for_selector("#latent-row")
    assert page.inner_text("#status") == "Loaded last.npy: 2 latents."
    with contextlib.suppress(Error):  # the page may have canceled it
        first.continue_()
    page.wait_for_timeout(PAUSE)
    assert page.inner_text("#status") == "Loaded last.npy: 2 latents."
    assert page.inner_text("#latent-name") == "of last.npy"


def test_of_two_photos_the_last_one_is_opened(page):
    page.evaluate(
        """() => {
          const decode = window.createImageBitmap;
          let first = true;
          window.createImageBitmap = async (...values) => {
            const wait = first;
            first = false;
            const image = await decode(...values);
            if (wait) await new Promise((resolve) => { window.release = resolve; });
            return image;
          };
        }"""
    )
    page.set_input_files("#photo-file", photo("first.png", 64, 48))
    page.set_input_files("#photo-file", photo("last.png", 32, 24))
    page.wait_for_selector("#crop-part:not([hidden])")
    deadline = time.monotonic() + SECONDS
    while not page.evaluate("Boolean(window.release)"):
        assert time.monotonic() < deadline
        page.wait_for_timeout(20)
    page.evaluate("window.release()")
    page.wait_for_timeout(PAUSE)
    assert page.inner_text("#crop-shown") == "24×24"
    assert page.inner_text("#status").startswith("Opened last.png.")


def test_a_projection_has_begun_while_its_photo_is_sent(page):
    page.set_input_files("#photo-file", photo("a.png", 32, 24))
    page.wait_for_selector("#photo-part:not([hidden])")
    targets = Held(page, "**/target*")
    page.click("#project")
    targets.wait(1)
    assert page.is_disabled("#project") and page.is_disabled("#tune")
    page.click("#stop")
    page.wait_for_selector("body[data-job=idle]")
    assert page.inner_text("#status") == "Projection: stopped."
    assert page.is_enabled("#project") and len(targets.routes) == 1


@pytest.mark.parametrize("ending", ["image", "latent"])
def test_a_file_is_named_after_the_picture_in_it(page, ending):
    draws = Held(page, "**/draw")
    page.fill("#seed", "5")
    with page.expect_download() as download:
        page.click(f"#save-{ending}")
    assert download.value.suggested_filename.startswith("small-seed_0.")
    draws.release()


def test_a_late_picture_does_not_replace_the_photo_beside_it(page, renderer):
    page.set_input_files("#photo-file", photo("a.png", 16, 16))
    page.wait_for_selector("#crop-part:not([hidden])")
    page.fill("#project-steps", "10")
    page.click("#project")
    page.wait_for_selector("body[data-job=idle]", timeout=300_000)
    draws = Held(page, "**/draw")
    slide(page, "#psi", -1)
    draws.wait(1)
    page.locator("h1").click()
    page.keyboard.press("b")
    before = pixels(page)
    draws.release()
    page.wait_for_timeout(PAUSE)
    np.testing.assert_array_equal(pixels(page), before)
    page.keyboard.press("b")
    deadline = time.monotonic() + SECONDS
    while np.array_equal(pixels(page), before):
        assert time.monotonic() < deadline
        page.wait_for_timeout(20)
