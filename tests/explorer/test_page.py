"""Files, messages, kinds of images and widths of the page."""

import time

import numpy as np
import pytest
from PIL import Image

from stylegan_jax import generate
from stylegan_jax.explorer.picture import Mix, Pad, Picture, Seed, Style
from stylegan_jax.explorer.renderer import Renderer
from stylegan_jax.networks import file
from tests import tiny
from tests.explorer.in_browser import (
    DESKTOP,
    MARKS,
    PHONE,
    PIXELS,
    SECONDS,
    A,
    caption,
    expect,
    pad_point,
    pixels,
    seeded,
)
from tests.networks import small

pytestmark = MARKS


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
