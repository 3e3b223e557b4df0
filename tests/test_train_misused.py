"""Training runs that are rejected with an explanation."""

import numpy as np
import pytest
from PIL import Image

from stylegan_jax import config, train
from tests import tiny

# Orbax leaves coroutines of a failed read or write behind.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("quick_compilation"),
]


def write_images(folder, names, size=8):
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.RandomState(number).randint(0, 256, (size, size, 3), "uint8")
        Image.fromarray(pixels).save(folder / name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"data.resolution": 48},
            r"`data.resolution` \(=48\) must be a power of two from 4 to 1024",
        ),
        (
            {"data.resolution": 2048},
            r"`data.resolution` \(=2048\) must be a power of two from 4 to 1024",
        ),
        (
            {"data.resolution": 128},
            r"`data.resolution` \(=128\) must be at most 64 for the built-in images",
        ),
        (
            {"data.source": "folder"},
            "`data.path` must name the images if",
        ),
        (
            {"data.source": "folder", "data.path": "/nowhere"},
            r"`data.path` \(='/nowhere'\) does not exist",
        ),
        (
            {"data.source": "builtin", "data.path": "/nowhere"},
            r"`data.path` \(='/nowhere'\) is not read if `data.source` is 'builtin'",
        ),
        ({"data.path": "/nowhere"}, r"`data.path` \(='/nowhere'\) does not exist"),
    ],
)
def test_invalid_settings_are_rejected(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        train.train(tiny.experiment(changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_unknown_key_suggests_the_closest_one(tmp_path):
    raw = config.to_dict(tiny.experiment())
    raw["training"]["batchsize"] = raw["training"].pop("batch_size")
    with pytest.raises(config.ConfigError, match="did you mean `training.batch_size`"):
        config.parse(raw)
    message = tiny.failure(
        tiny.start_training(
            tmp_path / "run",
            tiny.config_file(tmp_path),
            "--config.training.total_kimgs=3",
        )
    )
    assert "unknown config key `training.total_kimgs`" in message
    assert "did you mean `training.total_kimg`" in message
    assert not (tmp_path / "run").exists()


def test_indivisible_batch_is_rejected(tmp_path):
    path = tiny.config_file(tmp_path, {"training.batch_size": 36})
    devices = {"JAX_NUM_CPU_DEVICES": "8"}
    message = tiny.failure(tiny.start_training(tmp_path / "run", path, **devices))
    assert message == (
        "error: `training.batch_size at 8x8` (=36) must be divisible by the 8 devices; "
        "try 32 or 40"
    )
    assert not (tmp_path / "run").exists()


def test_unusable_folders_are_rejected(tmp_path):
    changes = tiny.SMALLEST | {"data.source": "folder", "data.path": str(tmp_path)}
    with pytest.raises(ValueError, match="holds no images .AVIF, BMP, DIB, GIF"):
        train.train(tiny.experiment(changes), tmp_path / "run")
    write_images(tmp_path, ["a.png", "b.png"], size=4)
    with pytest.raises(ValueError, match="`data.conditional` is set, but .* no class"):
        changes |= {"data.conditional": True}
        train.train(tiny.experiment(changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_truncated_image_is_named(tmp_path):
    """Its header is intact, so the damage is found only during training."""
    images = tmp_path / "images"
    write_images(images, [f"{i:03d}.png" for i in range(64)], size=4)
    write_images(images, ["broken.png"], size=4)
    content = (images / "broken.png").read_bytes()
    (images / "broken.png").write_bytes(content[: len(content) // 2 + 8])
    changes = {
        "data.source": "folder",
        "data.path": str(images),
        "run.grid_rows": 1,
        "run.grid_columns": 1,
    }
    path = tiny.config_file(tmp_path, tiny.SMALLEST | changes)
    message = tiny.failure(tiny.start_training(tmp_path / "run", path))
    assert f"error: {images / 'broken.png'} " in message
    assert "repair, replace or remove it" in message
