"""Images that are not square, and not RGB, from the folder to the saved PNG."""

import json

import numpy as np
import pytest
from PIL import Image

from stylegan_jax import config, train
from stylegan_jax.data.sources import open_source
from stylegan_jax.runtime.image_io import enlarge, image_grid
from stylegan_jax.runtime.tensorflow import tensorflow
from stylegan_jax.sampling import mixing
from stylegan_jax.training.sample_grid import GRID_PIXELS
from tests import tiny
from tests.data.opened import folder, open_failure, read
from tests.data.raw_data import random_image

MODES = {1: "L", 3: "RGB", 4: "RGBA"}


# Data.


def save(path, height, width, mode="RGB", seed=0) -> np.ndarray:
    picture = random_image((width, height), mode, seed)
    picture.save(path)
    return np.asarray(picture)


def test_exact_takes_the_size_and_its_multiples(tmp_path):
    same = save(tmp_path / "a.png", 8, 16)
    large = save(tmp_path / "b.png", 32, 64)
    source = open_source(folder(tmp_path, base_size=(2, 4)))
    assert source.size == (8, 16)
    np.testing.assert_array_equal(read(source, 0)[0], same)
    mean = large.reshape(8, 4, 16, 4, 3).astype(np.float64).mean((1, 3))
    np.testing.assert_array_equal(read(source, 1)[0], np.rint(mean))


@pytest.mark.parametrize("size", [(16, 16), (16, 8), (24, 48), (8, 32), (4, 8)])
def test_exact_refuses_other_sizes(tmp_path, size):
    save(tmp_path / "a.png", *size)
    message = open_failure(folder(tmp_path, base_size=(2, 4)))
    assert "`data.resolution` (=16) and `data.base_size` (=(2, 4)); use" in message
    got = f"{tmp_path / 'a.png'} is {size[0]}x{size[1]} (height x width);"
    wanted = " `data.fit`='exact' takes 8x16, or 2, 4, 8... times that"
    assert got + wanted in message
    assert "`--config.data.fit=crop`" in message
    assert ("`--config.data.resolution=8`" in message) == (size[0] < 8 or size[1] < 16)
    other_shape = size not in [(24, 48), (4, 8)] and min(size[0] * 2, size[1]) >= 16
    assert ("`--config.data.base_size`" in message) == other_shape


@pytest.mark.parametrize("base_size", [(2, 4), (4, 2), (3, 5)])
@pytest.mark.parametrize("size", [(40, 41), (23, 90), (90, 23)])
def test_crop_cuts_out_the_center(tmp_path, base_size, size):
    """The crop is centered, as large as it can be, and of the right shape."""
    height, width = config.image_size(base_size, 16)
    scale = min(size[0] / height, size[1] / width)
    crop = [int(scale * side + 0.5) for side in (height, width)]
    top, left = ((a - b) // 2 for a, b in zip(size, crop, strict=True))
    pixels = np.zeros([*size, 3], np.uint8)
    pixels[top : top + crop[0], left : left + crop[1]] = [10, 200, 90]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    source = open_source(folder(tmp_path, base_size=base_size, fit="crop"))
    image, _ = read(source)
    expected = np.broadcast_to([10, 200, 90], [height, width, 3])
    np.testing.assert_array_equal(image, expected)
    # A frame around the crop would be seen, so the crop is not smaller either.
    frame = pixels.copy()
    frame[top + 2 : top + crop[0] - 2, left + 2 : left + crop[1] - 2] = 0
    Image.fromarray(frame).save(tmp_path / "a.png")
    image, _ = read(source)
    assert image[0].any() and image[-1].any()
    assert image[:, 0].any() and image[:, -1].any()


def test_crop_refuses_small_images(tmp_path):
    save(tmp_path / "a.png", 40, 12)
    message = open_failure(folder(tmp_path, base_size=(2, 4), fit="crop"))
    assert "is 40x12 (height x width); `data.fit`='crop' takes images of at " in message
    assert "at least 8x16" in message
    assert "use `--config.data.resolution=8`, or remove these images" in message
    message = open_failure(folder(tmp_path, base_size=(2, 20), fit="crop"))
    assert "remove these images, the networks start at 2x20" in message


def test_sizes_are_checked_again_when_decoding(tmp_path):
    save(tmp_path / "a.png", 8, 16)
    source = open_source(folder(tmp_path, base_size=(2, 4)))
    save(tmp_path / "a.png", 16, 8)  # as many pixels
    with pytest.raises(tensorflow().errors.InvalidArgumentError):
        read(source)
    assert source.check(0).startswith("is 16x8 (height x width); `data.fit`='exact'")


def test_builtin_images_are_cropped_when_allowed():
    data = config.Data(resolution=32, base_size=(4, 8))
    message = open_failure(data)
    assert "the built-in images is 64x64 (height x width); `data.fit`='e" in message
    assert "takes 32x64, or" in message and "`--config.data.fit=crop`" in message
    cropped = open_source(config.Data(resolution=32, base_size=(4, 8), fit="crop"))
    whole = open_source(config.Data(resolution=64))
    np.testing.assert_array_equal(read(cropped)[0], read(whole)[0][16:48])
    message = open_failure(config.Data(resolution=64, base_size=(4, 8)))
    assert "`data.resolution` (=64) must be at most 32 for the built-in" in message


# Figures.


def test_grids_of_tiles():
    tiles = np.arange(5 * 2 * 3).reshape(5, 2, 3, 1).astype(np.uint8)
    grid = image_grid(enlarge(tiles, 4), 3)
    assert grid.shape == (2 * 4, 3 * 6, 1)
    for i, tile in enumerate(tiles):
        y, x = i // 3 * 4, i % 3 * 6
        np.testing.assert_array_equal(grid[y : y + 4 : 2, x : x + 6 : 2], tile)
    assert (grid[4:, 12:] == 255).all()


# A whole run.

STYLEGAN2 = {
    "data.source": "folder",
    "data.fit": "crop",
    "model.family": "stylegan2",
    "model.g_architecture": "skip",
    "model.d_architecture": "resnet",
    "model.channel_base": 128,
    "training.total_kimg": 0.032,
}
RUNS = {
    "wide": {"data.base_size": (2, 4)},
    "gray": {
        "data.base_size": (3, 2),
        "data.channels": 1,
        "data.resolution": 8,
        "training.g_reg_interval": 2,
        "training.path_length_weight": 2.0,
    },
    "transparent": {
        "data.channels": 4,
        "data.resolution": 8,
        "model.g_architecture": "resnet",
        "model.d_architecture": "skip",
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_run(tmp_path, name):
    """Trains, and draws with the programs that users start."""
    changes = STYLEGAN2 | {"data.path": str(tmp_path / "images")} | RUNS[name]
    e = tiny.experiment(changes)
    height, width = config.image_size(e.data.base_size, e.data.resolution)
    channels = e.data.channels
    (tmp_path / "images").mkdir()
    for i in range(12):
        save(tmp_path / f"images/{i}.png", 21, 18 + i, MODES[channels], i)
    run = tmp_path / "run"
    with tiny.quick_compilation():
        train.train(e, run)
    assert json.loads((run / "config.json").read_text())["data"]["base_size"] == list(
        e.data.base_size
    )
    last = tiny.ticks(run)[-1]
    skipped = [v for key, v in last.items() if key.endswith("/skipped_total")]
    assert len(skipped) >= 2 and not any(skipped)

    scale = -(-GRID_PIXELS // min(height, width))
    for kind in ("reals-000000.000", "fakes-000000.000", "fakes-000000.032"):
        grid = pixels(run / f"images/{kind}.png", channels)
        assert grid.shape[:2] == (2 * scale * height, 3 * scale * width)

    out = tmp_path / "out"
    processes = [
        tiny.start(
            "stylegan_jax.generate",
            f"--workdir={run}",
            f"--out={out}",
            "--seeds=0-2",
            "--columns=2",
        )
    ]
    if e.data.resolution >= 16:
        figure = tmp_path / "mixing.png"
        arguments = (f"--workdir={run}", f"--out={figure}", "--source_seeds=0-3")
        processes.append(tiny.start("stylegan_jax.mix", *arguments))
    said = [tiny.finish(process)[0] for process in processes]
    assert f"wrote 3 images of {height}x{width} and grid.png" in said[0]
    for i in range(3):
        drawn = pixels(out / f"seed{i:04d}.png", channels)
        assert drawn.shape[:2] == (height, width) and np.std(drawn) > 1
    grid = pixels(out / "grid.png", channels)
    assert grid.shape[:2] == (2 * height, 2 * width)
    np.testing.assert_array_equal(grid[height:, :width], drawn)
    if e.data.resolution >= 16:  # 7 rows and 5 columns of 64x128
        down, right = 8 * height + mixing.GAP, 8 * width + mixing.GAP
        expected = (7 * down, mixing.LABEL_PIXELS + 5 * right)
        drawn = pixels(figure, 3)
        assert drawn.shape[:2] == expected


def pixels(path, channels: int) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == MODES[channels]
        return np.asarray(image)
