"""The survey of a data set."""

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.data import survey
from stylegan_jax.presets import Survey


def write(folder, name, pixels):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_survey_of_a_folder(tmp_path):
    rng = np.random.RandomState(0)
    for i in range(20):
        shape = (40 if i == 0 else 70 + i, 90, 3)
        write(tmp_path, f"{'ab'[i % 2]}/{i}.png", rng.randint(0, 256, shape, np.uint8))
    (tmp_path / "b" / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    found = survey.survey(str(tmp_path))
    assert (found.images, found.channels, found.classes) == (21, 3, 2)
    assert 40 < found.side < 75  # nine of ten
    assert found.asymmetry == 0 and found.flatness < 0.01


def test_gray_images_without_classes(tmp_path):
    for i in range(3):
        write(tmp_path, f"{i}.png", np.full((50, 40), 90 + i, np.uint8))
    assert survey.survey(str(tmp_path)) == Survey(3, 40, channels=1, flatness=1.0)


def test_asymmetry_tells_text_from_noise():
    rng = np.random.RandomState(0)
    noise = rng.normal(128, 40, (300, 16, 16))
    assert survey.asymmetry(noise) == 0
    stroke = np.zeros((16, 16))
    stroke[2:14, 3] = stroke[13, 3:10] = -120  # an L
    difference = np.sqrt(np.mean((stroke - stroke[:, ::-1]) ** 2))
    np.testing.assert_allclose(
        survey.asymmetry(noise + stroke), difference / 40, rtol=0.1
    )
    # A few images, and equal ones, prove nothing.
    assert survey.asymmetry(noise[:3] + stroke) == 0
    assert survey.asymmetry(np.repeat(stroke[None], 30, 0)) == 0


@pytest.mark.parametrize("factor", [1, 2])
def test_drawings_are_flat(factor):
    """Half of the rows are of one color; the size of the image makes no difference."""
    pixels = np.random.RandomState(0).randint(0, 256, (64, 64, 3), np.uint8)
    pixels[::2] = pixels[::2, :1]
    image = Image.fromarray(pixels.repeat(factor, 0).repeat(factor, 1))
    assert survey.flatness(image) == pytest.approx(0.5, abs=0.01)
    assert survey.flatness(image.crop((0, 0, 1, 64))) == 0


def test_the_message_does_not_name_a_flag_of_prepare(tmp_path):
    with pytest.raises(ValueError, match="the path of the images .*does not exist"):
        survey.survey(str(tmp_path / "missing"))


def test_images_that_cannot_be_used_are_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(ValueError, match="no image of .* can be used; .*a.png"):
        survey.survey(str(tmp_path))
