"""Alignment of faces: the square, its pixels, and files of landmarks."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.data.interface import InvalidImage
from stylegan_jax.inversion import alignment, targets

UPRIGHT = [(24, 30), (40, 30), (25, 46), (39, 46)]  # eyes, corners of the mouth


def turned(points, degrees, center=(32.0, 32.0)):
    angle = np.deg2rad(degrees)
    matrix = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return (np.asarray(points) - center) @ np.transpose(matrix) + center


def test_the_square_of_an_upright_face():
    """Eyes 16 apart, and the mouth 16 below them: half a side is max(32, 28.8)."""
    expected = [(0, -0.4), (0, 63.6), (64, 63.6), (64, -0.4)]
    np.testing.assert_allclose(alignment.square(UPRIGHT), expected)
    five = [*UPRIGHT[:2], (32, 38), *UPRIGHT[2:]]
    np.testing.assert_allclose(alignment.square(five), expected)
    many = np.full((68, 2), 1000.0)
    many[36:42], many[42:48], many[48], many[54] = UPRIGHT
    np.testing.assert_allclose(alignment.square(many), expected)
    np.testing.assert_allclose(
        alignment.square(turned(UPRIGHT, 30)), turned(expected, 30)
    )


def test_a_turned_face_is_upright_again():
    y, x = np.mgrid[:64, :64]
    pattern = np.stack([x * 4, y * 4, 255 - x * 4], -1).astype(np.uint8)
    image = Image.fromarray(pattern)
    # Pillow turns counterclockwise, and y points down.
    rotated = image.rotate(-20, Image.Resampling.BICUBIC)
    points = turned(UPRIGHT, 20, (31.5, 31.5))
    found = alignment.aligned(rotated, points, (16, 16)).resize((16, 16))
    plain = alignment.aligned(image, UPRIGHT, (16, 16)).resize((16, 16))
    difference = np.abs(np.asarray(found).astype(int) - np.asarray(plain))
    assert difference[4:12, 4:12].max() <= 6
    # The square begins at column 0, and four columns become one.
    columns = np.asarray(plain)[8, 4:12, 0]
    np.testing.assert_allclose(columns, 16 * np.arange(4, 12) + 8, atol=1)


def test_targets_say_what_was_done(tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(
        tmp_path / "a.png"
    )
    found = targets.load(
        str(tmp_path / "a.png"), (16, 16), 3, landmarks={"a.png": UPRIGHT}
    )
    assert found.images.shape == (1, 16, 16, 3)
    assert found.fits[0]["landmarks"] == 4
    assert found.fits[0]["square"][0] == [0, -0.4]
    arguments = (str(tmp_path / "a.png"), (16, 16), 3)
    with pytest.raises(ValueError, match="the landmarks of b.png belong to no target"):
        targets.load(*arguments, landmarks={"b.png": UPRIGHT})
    both = {"boxes": {"a.png": (0, 0, 9, 9)}, "landmarks": {"a.png": UPRIGHT}}
    with pytest.raises(ValueError, match="a.png have a box and landmarks"):
        targets.load(*arguments, **both)


def test_landmarks_of_another_image():
    image = Image.fromarray(np.zeros((64, 64, 3), np.uint8))
    far = np.asarray(UPRIGHT) + 500
    for points in (far, np.asarray(UPRIGHT) * 100, [(1, 1)] * 4):
        with (
            pytest.raises(InvalidImage, match="landmarks that"),
            np.errstate(invalid="ignore"),
        ):
            alignment.aligned(image, points, (16, 16))


def test_files_of_landmarks(tmp_path):
    path = tmp_path / "landmarks.json"
    path.write_text(json.dumps({"a.png": UPRIGHT}))
    assert alignment.read_landmarks(path) == {"a.png": [list(p) for p in UPRIGHT]}
    for wrong in ([], [[1, 2]] * 3, [["a", 1]] * 4, [[1, None]] * 4):
        path.write_text(json.dumps({"a.png": wrong}))
        with pytest.raises(ValueError, match=re.escape("the landmarks of a.png are")):
            alignment.read_landmarks(path)
