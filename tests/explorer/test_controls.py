"""Every control of the page changes the picture as it should, to the last bit."""

import time

import pytest

from stylegan_jax.explorer.picture import Mix, Pad, Picture, Seed, Style
from tests.explorer.in_browser import (
    MARKS,
    PIXELS,
    SECONDS,
    A,
    B,
    caption,
    expect,
    pad_corners,
    pad_point,
    seeded,
    slide,
)

pytestmark = MARKS


def test_seeds(page, renderer):
    expect(page, renderer, seeded(0))
    page.click("#next")
    expect(page, renderer, seeded(1))
    page.click("#previous")
    expect(page, renderer, seeded(0))
    page.fill("#seed", "77")
    expect(page, renderer, seeded(77))
    page.fill("#seed", "99999999999")
    expect(page, renderer, seeded(2**32 - 1))
    page.click("#random")
    [seed] = caption(page, r"^seed (\d+)")
    assert seed != 2**32 - 1 and page.input_value("#seed") == str(seed)
    expect(page, renderer, seeded(seed))


def test_truncation(page, renderer):
    slide(page, "#psi", -0.25)
    expect(page, renderer, seeded(0, psi=-0.25))
    assert page.input_value("#psi-number") == "-0.25"
    page.fill("#psi-number", "3")
    expect(page, renderer, seeded(0, psi=3.0))
    slide(page, "#cutoff", 2)
    expect(page, renderer, seeded(0, A, None, 3.0, 2))
    assert page.inner_text("#cutoff-shown") == "first 2"
    slide(page, "#cutoff", 6)
    expect(page, renderer, seeded(0, psi=3.0))


def test_directions(page, renderer):
    edited = lambda *edits: Picture(  # noqa: E731
        Style(Seed(0), A, None), 0.7, None, "const", 0, edits
    )
    slide(page, "#direction-0", 1.5)
    expect(page, renderer, edited(("turn", 1.5)))
    page.locator("#direction-sliders input[type=number]").nth(1).fill("-4")
    expect(page, renderer, edited(("turn", 1.5), ("blink", -4.0)))
    assert "turn 1.5 · blink -4" in page.inner_text("#caption")
    page.click("#direction-reset")
    expect(page, renderer, seeded(0))
    assert page.input_value("#direction-0") == "0"


def test_labels(page, renderer):
    page.select_option("#class", label="b")
    expect(page, renderer, seeded(0, B))
    page.click("#labels summary")
    slide(page, "#label-0", 0.5)
    expect(page, renderer, seeded(0, (0.5, 1.0)))
    assert page.input_value("#class") == "" and "mixed label" in page.inner_text(
        "#caption"
    )
    page.get_by_label("b as a number").fill("-2")
    expect(page, renderer, seeded(0, (0.5, -2.0)))
    page.select_option("#class", label="a")
    expect(page, renderer, seeded(0))


def test_mixing_of_every_layer(page, renderer):
    page.fill("#mix-seed", "4")
    for layer in range(6):
        page.check(f"#layer-{layer}")
        expect(page, renderer, seeded(0, A, Mix(4, tuple(range(layer + 1)))))
    page.uncheck("#layer-2")
    expect(page, renderer, seeded(0, A, Mix(4, (0, 1, 3, 4, 5))))
    page.click("#group-middle")
    expect(page, renderer, seeded(0, A, Mix(4, (2, 3))))
    page.click("#mix-random")
    [other] = caption(page, r"layers 2, 3 of seed (\d+)")
    expect(page, renderer, seeded(0, A, Mix(other, (2, 3))))
    page.click("#group-none")
    expect(page, renderer, seeded(0))


def test_the_pad_with_a_pointer(page, renderer):
    box = page.locator("#pad").bounding_box()

    def at(x, y):
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    page.mouse.move(*at(0.5, 0.5))
    page.mouse.down()
    page.mouse.move(*at(0.2, 0.9), steps=8)
    page.mouse.up()
    x, y = pad_point(page)
    assert (x, y) == pytest.approx((0.2, 0.9), abs=0.02)
    expect(page, renderer, Picture(Style(Pad((1, 2, 3, 4), x, y), A)))
    page.mouse.move(*at(0.7, 0.7))  # without the button
    assert pad_point(page) == [x, y]
    page.mouse.down()
    page.mouse.move(*at(2, -1))  # held, and outside
    page.mouse.up()
    expect(page, renderer, Picture(Style(Pad((1, 2, 3, 4), 1.0, 0.0), A)))
    page.click("#pad-random")
    corners = pad_corners(page)
    assert corners != (1, 2, 3, 4)
    expect(page, renderer, Picture(Style(Pad(corners, 1.0, 0.0), A)))
    page.click("#next")
    expect(page, renderer, seeded(1))


def test_the_pad_with_keys(page, renderer):
    page.focus("#pad")
    for key in ("ArrowRight", "ArrowDown", "Shift+ArrowDown"):
        page.keyboard.press(key)
    x, y = pad_point(page)
    assert (x, y) == pytest.approx((0.52, 0.62))
    expect(page, renderer, Picture(Style(Pad((1, 2, 3, 4), x, y), A)))
    assert page.input_value("#seed") == "0"


def test_small_pictures_show_their_seeds(page, renderer):
    wanted = {"#mix-picture": 1} | {f"#pad-{i}": i + 1 for i in range(4)}
    page.select_option("#class", label="b")
    for selector, seed in wanted.items():
        image = renderer.draw(seeded(seed, B)).reshape(-1).tolist()
        deadline = time.monotonic() + SECONDS
        while True:
            code = PIXELS.replace("'picture'", f"'{selector[1:]}'")
            values = page.evaluate(code)[2]
            if [v for i, v in enumerate(values) if i % 4 != 3] == image:
                break
            assert time.monotonic() < deadline, selector
            time.sleep(0.05)


def test_noise(page, renderer):
    page.click("#noise-none")
    expect(page, renderer, seeded(0, A, None, 0.7, None, "none"))
    page.click("#noise-random")
    [first] = caption(page, r"noise (\d+)")
    expect(page, renderer, seeded(0, A, None, 0.7, None, "random", first))
    page.click("#noise-random")
    [second] = caption(page, r"noise (\d+)")
    assert second != first
    expect(page, renderer, seeded(0, A, None, 0.7, None, "random", second))
    page.click("#noise-const")
    expect(page, renderer, seeded(0))
    assert page.get_attribute("#noise-const", "aria-pressed") == "true"


def test_keys(page, renderer):
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    expect(page, renderer, seeded(1))
    page.keyboard.press("r")
    [seed] = caption(page, r"^seed (\d+)")
    expect(page, renderer, seeded(seed))
    page.keyboard.press("n")
    [noise] = caption(page, r"noise (\d+)")
    expect(page, renderer, seeded(seed, A, None, 0.7, None, "random", noise))
    page.keyboard.press("l")
    assert page.locator("#liked img").count() == 1
    page.keyboard.press("p")
    assert page.inner_text("#play") == "Pause"
    page.keyboard.press("p")
    for key, ending in (("s", ".png"), ("d", ".npz")):
        with page.expect_download() as download:
            page.keyboard.press(key)
        assert download.value.suggested_filename.endswith(ending)
    page.keyboard.press("?")
    assert page.locator("#help dl").is_visible()
    page.fill("#seed", "")
    page.type("#seed", "12")  # typing is no command
    expect(page, renderer, seeded(12, A, None, 0.7, None, "random", noise))
    page.focus("#psi")
    page.keyboard.press("ArrowRight")
    assert page.input_value("#seed") == "12" and page.input_value("#psi") == "0.71"


def test_every_control_can_be_reached_by_tab(page):
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    controls = page.evaluate(
        "Array.from(document.querySelectorAll('button, input, select, #pad'))"
        ".filter((e) => e.checkVisibility() && !e.disabled && e.id).map((e) => e.id)"
    )
    assert len(controls) > 25 and set(controls) <= reached
