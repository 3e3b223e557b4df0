"""The page in a headless Chromium: every control, its keys, its files, two widths."""

import importlib.util
import itertools
import re
import time

import numpy as np
import pytest
from PIL import Image

from stylegan_jax import generate
from stylegan_jax.explorer.picture import Mix, Pad, Picture, Seed, Style, Walk
from stylegan_jax.explorer.renderer import Renderer
from stylegan_jax.networks import file
from tests import chromium, tiny
from tests.networks import small

PROGRAM = chromium.find()
EXTRA = ("starlette", "uvicorn", "playwright")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason=chromium.MISSING),
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in EXTRA),
        reason=f"needs {', '.join(EXTRA)}: python -m pip install -e '.[dev]'",
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


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=PROGRAM, args=["--no-sandbox"]
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def address(renderer):
    from tests.explorer.served import served

    with served(renderer) as found:
        yield found


@pytest.fixture
def opened(browser, address):
    """Open the page with options of a context; check it for errors at the end."""
    contexts, problems = [], []

    def open_page(url=address, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))

        def check(request):
            if not request.url.startswith((url, "data:", f"blob:{url}")):
                problems.append(request.url)

        page.on("request", check)
        page.goto(url)
        page.wait_for_selector("body[data-ready=true]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def page(opened):
    return opened(**DESKTOP)


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


def pad_corners(page):
    return tuple(map(int, re.findall(r"\d+", page.inner_text("#pad-seeds"))))


def pad_point(page):
    found = page.evaluate(
        "(({left, top}) => [left, top])(document.getElementById('pad-dot').style)"
    )
    return [float(value.rstrip("%")) / 100 for value in found]


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


def test_twenty_fast_clicks_end_at_the_last(page, renderer, monkeypatch):
    """Drawing takes longer than a click, so that most pictures are skipped."""
    draw, drawn = renderer.draw, []

    def slow(picture):
        time.sleep(0.15)
        if isinstance(picture.style.source, Seed):
            drawn.append(picture.style.source.seed)
        return draw(picture)

    page.wait_for_timeout(1000)  # until the small pictures rest
    monkeypatch.setattr(renderer, "draw", slow)
    page.evaluate(
        """() => {
          window.shown = [];
          new MutationObserver(() => window.shown.push(
            Number(document.getElementById('picture').dataset.shown)
          )).observe(document.getElementById('picture'), { attributeFilter:
            ['data-shown'] });
        }"""
    )
    before = int(page.get_attribute("#picture", "data-shown"))
    box = page.locator("#next").bounding_box()
    for _ in range(20):
        page.mouse.click(box["x"] + 5, box["y"] + 5)
    assert page.input_value("#seed") == "20"  # no click is lost
    page.wait_for_selector(f"#picture[data-shown='{before + 20}']")
    monkeypatch.undo()
    expect(page, renderer, seeded(20))
    shown = page.evaluate("window.shown")
    assert all(a < b for a, b in itertools.pairwise(shown))  # never backwards
    assert shown[-1] == before + 20 and drawn[-1] == 20
    assert drawn == sorted(drawn) and len(drawn) < 20, drawn
    page.wait_for_timeout(500)  # nothing comes later
    assert page.evaluate("window.shown") == shown


def test_dragging_while_pictures_are_slow_ends_at_the_last(page, renderer, monkeypatch):
    draw = renderer.draw
    monkeypatch.setattr(renderer, "draw", lambda p: (time.sleep(0.1), draw(p))[1])
    box = page.locator("#pad").bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 50, steps=40)
    page.mouse.up()
    monkeypatch.undo()
    expect(page, renderer, Picture(Style(Pad((1, 2, 3, 4), *pad_point(page)), A)))


def test_interpolation(page, renderer):
    page.select_option("#walk-through", "next")
    slide(page, "#walk-seconds", 0.5)
    page.click("#play")
    places = set()
    for _ in range(8):
        page.wait_for_timeout(100)
        places.add(caption(page, r"interpolation at (\d+)\.(\d+) of 8"))
    assert len(places) > 3 and page.inner_text("#play") == "Pause"
    page.select_option("#class", label="b")  # while it plays
    page.wait_for_timeout(300)
    page.click("#play")
    page.click("#like")
    assert page.inner_text("#play") == "Play"
    [stored] = page.evaluate("JSON.parse(Object.values(localStorage)[0])")
    position = stored["picture"]["style"]["source"]["position"]
    assert position > 0
    keyframes = tuple(Style(Seed(seed), B) for seed in range(8))
    expect(page, renderer, Picture(Style(Walk(keyframes, position), B, Mix(1, ()))))
    page.wait_for_timeout(300)  # it has stopped
    expect(page, renderer, Picture(Style(Walk(keyframes, position), B)))
    page.click("#play")
    page.wait_for_timeout(200)
    page.click("#next")  # another control stops it
    expect(page, renderer, seeded(1, B))
    page.wait_for_timeout(300)
    assert page.inner_text("#play") == "Play"


def test_likes_stay_and_are_played(page, renderer):
    page.select_option("#walk-through", "liked")
    page.click("#play")
    assert page.inner_text("#status") == "Like two pictures at least, then play."
    page.fill("#seed", "8")
    page.check("#layer-5")
    mixed = seeded(8, A, Mix(1, (5,)))
    expect(page, renderer, mixed)
    page.click("#like")
    page.click("#group-none")
    page.select_option("#class", label="b")
    page.fill("#seed", "9")
    expect(page, renderer, seeded(9, B))
    page.click("#like")
    page.reload()
    page.wait_for_selector("body[data-ready=true]")
    assert page.locator("#liked img").count() == 2
    page.locator("#liked .show").nth(1).click()  # the newest is first
    expect(page, renderer, mixed)
    assert page.input_value("#seed") == "8" and page.is_checked("#layer-5")
    page.click("#group-none")
    page.select_option("#walk-through", "liked")
    slide(page, "#walk-seconds", 0.5)
    page.click("#play")
    page.wait_for_timeout(400)
    caption(page, r"interpolation at \d+\.(\d+) of 2")
    page.click("#play")
    page.click("#like")
    source = page.evaluate("JSON.parse(Object.values(localStorage)[0])[0]")["picture"][
        "style"
    ]["source"]
    keyframes = (Style(Seed(9), B), Style(Seed(8), A, Mix(1, (5,))))
    wanted = Walk(keyframes, source["position"])
    expect(page, renderer, Picture(Style(wanted, A)))
    page.locator("#liked .forget").nth(0).click()
    assert page.locator("#liked img").count() == 2


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


def test_files(page, renderer, tmp_path, run_main):
    page.fill("#seed", "6")
    page.check("#layer-1")
    page.click("#noise-random")
    [noise] = caption(page, r"noise (\d+)")
    picture = seeded(6, A, Mix(1, (1,)), 0.7, None, "random", noise)
    expect(page, renderer, picture)
    paths = {}
    for button, ending in (("#save-image", ".png"), ("#save-latent", ".npz")):
        with page.expect_download() as download:
            page.click(button)
        name = download.value.suggested_filename
        assert name == f"small-seed_6{ending}"
        paths[ending] = tmp_path / name
        download.value.save_as(paths[ending])
    with Image.open(paths[".png"]) as image:
        np.testing.assert_array_equal(np.asarray(image), renderer.draw(picture))

    # `generate` draws the same image of the saved latent.
    file.save(renderer.network, tmp_path / "network.safetensors")
    run_main(
        generate,
        f"--network={tmp_path / 'network.safetensors'}",
        *(f"--latents={paths['.npz']}", f"--out={tmp_path / 'out'}"),
        *("--noise=random", f"--noise_seed={noise}"),
    )
    with Image.open(tmp_path / "out" / "latent0000.png") as image:
        np.testing.assert_array_equal(np.asarray(image), renderer.draw(picture))

    page.reload()
    page.wait_for_selector("body[data-ready=true]")
    page.set_input_files("#file", paths[".npz"])
    expect(page, renderer, picture)
    assert page.inner_text("#status") == "Loaded small-seed_6.npz with its settings."
    assert page.is_checked("#layer-1") and page.input_value("#seed") == "6"


def test_latents_of_other_programs(page, renderer, tmp_path):
    ws = np.random.default_rng(0).normal(size=(3, 6, 8)).astype(np.float32)
    np.savez(tmp_path / "projected_w.npz", w=ws)
    page.set_input_files("#file", tmp_path / "projected_w.npz")
    page.wait_for_selector("#latent-row")
    assert page.inner_text("#status") == "Loaded projected_w.npz: 3 latents."
    for index in (0, 2):
        page.fill("#latent-index", str(index))
        wanted = renderer.network.synthesize(ws[index : index + 1])[0]
        deadline = time.monotonic() + SECONDS
        while not np.array_equal(pixels(page), wanted):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_bad_file_gives_a_message_and_loses_nothing(page, renderer, tmp_path):
    page.fill("#seed", "3")
    for name, content, message in (
        ("no.npz", b"PK\3\4", "`file` (=no.npz) cannot be used"),
        ("<b>x.npy", b"\x93NUMPY\1\0", "`file` (=<b>x.npy) cannot be used"),
        ("large.npz", bytes(2**23 + 1), "the file is larger than 8,388,608 bytes"),
    ):
        page.set_input_files("#file", {"name": name, "mimeType": "", "buffer": content})
        page.wait_for_selector("#status.error")
        assert message in page.inner_text("#status")
        page.click("#next")
        page.wait_for_selector("#status:not(.error)", state="attached")
    expect(page, renderer, seeded(6))


@pytest.mark.parametrize("channels", [1, 4])
def test_gray_and_transparent_images(opened, channels):
    network = Renderer(small.network("stylegan2", channels=channels))
    with tiny.quick_compilation():
        network.compile(lambda text: None)
    from tests.explorer.served import served

    with served(network) as other:
        page = opened(other, **DESKTOP)
        found = np.array(page.evaluate(PIXELS)[2]).reshape(16, 16, 4)
    wanted = network.draw(Picture(Style(Seed(0))))
    if channels == 1:
        wanted = np.concatenate([*[wanted] * 3, np.full_like(wanted, 255)], axis=-1)
        np.testing.assert_array_equal(found, wanted)
        return
    # A canvas multiplies colors by alpha, and loses some bits of them.
    np.testing.assert_array_equal(found[..., 3], wanted[..., 3])
    opaque = wanted[..., 3] == 255
    np.testing.assert_array_equal(found[opaque], wanted[opaque])


def test_a_program_that_has_ended_is_told(opened, renderer):
    from tests.explorer.served import served

    with served(renderer) as other:
        page = opened(other, **DESKTOP)
    page.click("#next")
    page.wait_for_selector("#status.error")
    assert page.inner_text("#status").startswith("The program does not answer")


@pytest.mark.parametrize("options", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_everything_fits_the_width(opened, renderer, options):
    page = opened(**options)
    page.click("#labels summary")
    for _ in range(3):
        page.click("#like")
    width = options["viewport"]["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = page.evaluate(
        "Array.from(document.querySelectorAll('button, input, select, #pad, canvas'))"
        ".filter((e) => e.checkVisibility()).map((e) => [e.id || e.className, "
        "...(({left, right, height}) => [left, right, height])("
        "(e.closest('#layers label') ?? e).getBoundingClientRect())])"
    )
    assert len(boxes) > 25
    for name, left, right, height in boxes:
        assert left >= 0 and right <= width, name
        assert height >= 24, name  # large enough for a finger


def test_a_phone(opened, renderer):
    page = opened(**PHONE)
    page.tap("#next")
    expect(page, renderer, seeded(1))
    page.tap("#pad")
    x, y = pad_point(page)
    expect(page, renderer, Picture(Style(Pad((1, 2, 3, 4), x, y), A)))
    # The picture stays visible beside the last control.
    page.locator("#help").scroll_into_view_if_needed()
    top, bottom = page.evaluate(
        "(({top, bottom}) => [top, bottom])("
        "document.getElementById('picture').getBoundingClientRect())"
    )
    assert 0 <= top < bottom <= 0.5 * PHONE["viewport"]["height"]
