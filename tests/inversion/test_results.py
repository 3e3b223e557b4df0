"""The files of projections."""

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.inversion import results
from stylegan_jax.inversion.projection import Projection
from stylegan_jax.sampling import latents
from tests.networks import small


def images(count, channels=3, seed=0):
    shape = (count, 4, 8, channels)
    return np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)


def projection(maps):
    return Projection(
        ws=np.ones((6, 8), np.float32),
        maps=maps,
        image=images(1)[0],
        distance=0.5,
        rms=0.25,
        start_distance=1.0,
        steps=7,
        runs=(0.75, 0.5),
        path=None,
    )


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_what_is_written_is_read(tmp_path, channels):
    target = images(1, channels, seed=1)[0]
    found = projection({"a/const": np.ones((4, 8, 1), np.float32)})
    results.write(tmp_path / "x", target, found, {"network_digest": "abc"})
    [stored] = results.read(tmp_path)
    np.testing.assert_array_equal(stored.target, target)
    np.testing.assert_array_equal(stored.projection, found.image)
    np.testing.assert_array_equal(stored.ws, found.ws)
    assert stored.name == "x" and stored.about["network_digest"] == "abc"
    assert stored.about["distances_of_runs"] == [0.75, 0.5]
    # As the other programs read it, which leave the noise maps aside.
    path = tmp_path / "x" / results.LATENTS
    kind, ws = latents.read(path, small.network("stylegan2").generator, "x")
    assert kind == "ws" and ws.shape == (1, 6, 8)
    assert np.load(path)["noise/a/const"].shape == (4, 8, 1)


def test_damaged_projections_are_named(tmp_path):
    with pytest.raises(ValueError, match="holds no projections; it must be the --out"):
        list(results.read(tmp_path))
    results.write(tmp_path / "x", images(1)[0], projection({}), {})
    path = tmp_path / "x" / "projected_w.npz"
    for content in (b"PK", path.read_bytes()[:-30]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="x has a damaged file"):
            list(results.read(tmp_path))


def test_difference():
    a, b = np.full((1, 1, 3), 100, np.uint8), np.full((1, 1, 3), 90, np.uint8)
    np.testing.assert_array_equal(results.difference(a, b), np.full((1, 1, 3), 40))
    np.testing.assert_array_equal(results.difference(0 * a, b), np.full((1, 1, 3), 255))


def test_the_grid_wraps(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "GRID_COLUMNS", 2)
    targets, others = images(3), images(3, seed=1)
    results.write_grid(tmp_path / "grid.png", zip(targets, others, strict=True))
    with Image.open(tmp_path / "grid.png") as image:
        grid = np.asarray(image)
    assert grid.shape == (4 * 4, 2 * 8, 3)
    np.testing.assert_array_equal(grid[4:8, 8:], others[1])
    np.testing.assert_array_equal(grid[8:12, :8], targets[2])
    assert np.all(grid[8:, 8:] == 255)
