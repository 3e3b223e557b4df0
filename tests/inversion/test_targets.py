"""Targets from files: fitted, converted, named; and those that cannot be used."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.data import images
from stylegan_jax.inversion import targets


def picture(path, size=(40, 24), mode="RGB", seed=0):
    """Write a random image of (width, height) and return it."""
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.RandomState(seed).randint(
        0, 256, (*size[::-1], channels), np.uint8
    )
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode)
    image.save(path)
    return image


@pytest.mark.filterwarnings("ignore:'mode' parameter")
def test_a_folder_is_fitted(tmp_path):
    first = picture(tmp_path / "a.png")
    (tmp_path / "sub").mkdir()
    picture(tmp_path / "sub" / "a.png", mode="RGBA")
    (tmp_path / "notes.txt").write_text("no image")
    found = targets.load(str(tmp_path), (16, 32), 3, boxes=None)
    assert found.names == ("a", "a-2") and found.images.shape == (2, 16, 32, 3)
    expected = images.fit_pil(first, (16, 32), "center", "lanczos")
    np.testing.assert_array_equal(found.images[0], np.asarray(expected))
    assert found.fits[0] == {
        "file": str(tmp_path / "a.png"),
        "size": "40x24",
        "crop": "center",
        "resized_to": "32x16",
    }


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels(tmp_path, mode, channels):
    picture(tmp_path / "a.png", (8, 8), mode)
    found = targets.load(str(tmp_path / "a.png"), (8, 8), channels)
    assert found.images.shape == (1, 8, 8, channels)


def test_boxes(tmp_path):
    image = picture(tmp_path / "a.png")
    picture(tmp_path / "b.png", seed=1)
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps({"a.png": [4, 2, 16, 8]}))
    where = f"{tmp_path / 'a.png'},{tmp_path / 'b.png'}"
    found = targets.load(where, (8, 16), 3, boxes=targets.read_boxes(file))
    cut = np.asarray(image)[2:10, 4:20]
    np.testing.assert_array_equal(found.images[0], cut)
    assert found.fits[0]["box"] == [4, 2, 16, 8] and "box" not in found.fits[1]
    outside = {"a.png": (30, 0, 16, 8)}
    with pytest.raises(ValueError, match=re.escape("is 40x24; its box [30, 0, 16, 8]")):
        targets.load(where, (8, 16), 3, boxes=outside)
    with pytest.raises(ValueError, match="the boxes of c.png belong to no target"):
        targets.load(where, (8, 16), 3, boxes={"c.png": (0, 0, 1, 1)})


def test_boxes_of_files_of_the_same_name(tmp_path):
    box, seeds = (4, 2, 16, 8), {"1.png": 0, "a/1.png": 1, "b/1.png": 2, "b/2.png": 3}
    for name, seed in seeds.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture(tmp_path / name, seed=seed)

    def cut(boxes, where=tmp_path):
        found = targets.load(str(where), (8, 16), 3, boxes=boxes)
        return [fit["file"] for fit in found.fits if "box" in fit]

    assert cut({"a/1.png": box}) == [str(tmp_path / "a" / "1.png")]
    assert cut({"1.png": box, "2.png": box}) == [
        *(str(tmp_path / "1.png"), str(tmp_path / "b" / "2.png"))
    ]
    first, second = tmp_path / "a" / "1.png", tmp_path / "b" / "1.png"
    both = f"{first},{second}"
    assert cut({str(second): box}, both) == [str(second)]
    assert cut({"1.png": box}, f"{first},{first}") == [str(first)] * 2
    with pytest.raises(ValueError, match=f"boxes of 1.png could belong to {first}, "):
        cut({"1.png": box}, both)
    with pytest.raises(ValueError, match="there are two boxes for b/2.png"):
        cut({"2.png": box, "b/2.png": box})
    with pytest.raises(ValueError, match="the boxes of c/1.png belong to no target"):
        cut({"c/1.png": box})
    with pytest.raises(ValueError, match="b/2.png have a box and landmarks"):
        points = [[1, 1], [5, 1], [2, 4], [4, 4]]
        targets.load(
            *(str(tmp_path), (8, 16), 3),
            boxes={"2.png": box},
            landmarks={"b/2.png": points},
        )


@pytest.mark.parametrize(
    "content", ['{"a.png": [0, 0, 0, 5]}', '{"a.png": 3}', "[]", "{"]
)
def test_wrong_boxes(tmp_path, content):
    (tmp_path / "boxes.json").write_text(content)
    with pytest.raises(ValueError, match=re.escape("it must be like {")):
        targets.read_boxes(tmp_path / "boxes.json")


def test_all_unusable_targets_are_named(tmp_path):
    picture(tmp_path / "good.png", (16, 16))
    picture(tmp_path / "wide.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ValueError) as raised:
        targets.load(str(tmp_path), (16, 16), 3, crop="none")
    message = str(raised.value)
    assert message.startswith("2 of 3 targets cannot be used")
    assert "broken.png is not an image" in message
    assert "wide.png is 40x24, and would be distorted to 16x16" in message
    with pytest.raises(ValueError, match="no file or folder is /no/file"):
        targets.load("/no/file", (16, 16), 3, setting="--targets")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no images"):
        targets.load(str(tmp_path / "empty"), (16, 16), 3, setting="--targets")
