"""Whole runs on images that are not square or not RGB, from the folder to the PNG."""

import json

import numpy as np
import pytest
from PIL import Image

from stylegan_jax import config, train
from stylegan_jax.sampling import labeled_grid
from stylegan_jax.training.sample_grid import GRID_PIXELS
from tests import tiny
from tests.data.raw_data import random_image

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
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
def test_train_generate_and_mix(tmp_path, name):
    """Train, then generate images and figures with the programs that users start."""
    changes = STYLEGAN2 | {"data.path": str(tmp_path / "images")} | RUNS[name]
    e = tiny.experiment(changes)
    height, width = config.image_size(e.data.base_size, e.data.resolution)
    channels = e.data.channels
    (tmp_path / "images").mkdir()
    for i in range(12):
        picture = random_image((18 + i, 21), MODES[channels], i)
        picture.save(tmp_path / f"images/{i}.png")
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
        grid = read_pixels(run / f"images/{kind}.png", channels)
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
    outputs = [tiny.finish(process)[0] for process in processes]
    assert f"wrote 3 images of {height}x{width} and grid.png" in outputs[0]
    for i in range(3):
        image = read_pixels(out / f"seed{i:04d}.png", channels)
        assert image.shape[:2] == (height, width) and np.std(image) > 1
    grid = read_pixels(out / "grid.png", channels)
    assert grid.shape[:2] == (2 * height, 2 * width)
    np.testing.assert_array_equal(grid[height:, :width], image)
    if e.data.resolution >= 16:  # 7 rows and 5 columns
        down, right = 8 * height + labeled_grid.GAP, 8 * width + labeled_grid.GAP
        expected = (7 * down, labeled_grid.LABEL_PIXELS + 5 * right)
        image = read_pixels(figure, 3)
        assert image.shape[:2] == expected


def read_pixels(path, channels: int) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.mode == MODES[channels]
        return np.asarray(picture)
