"""Settings for few images: what they depend on, and that they can be trained with."""

import pytest

from stylegan_jax import config, presets
from stylegan_jax.presets import Survey

FACES = Survey(images=400, side=70)


def chosen(survey=FACES, **arguments):
    return {c.name: c.value for c in presets.small_choices(survey, **arguments)}


@pytest.mark.parametrize("on_cpu", [True, False])
@pytest.mark.parametrize("images", [1, 100, 1999, 5000, 10**6])
@pytest.mark.parametrize("resolution", [32, 64, 256, 512])
def test_all_settings_are_valid(images, resolution, on_cpu):
    c = presets.small(images, resolution, on_cpu=on_cpu)
    e = config.parse(c)
    assert e.data.resolution == resolution
    expected = "none" if images >= 50_000 else "bgc"
    assert e.training.augment == expected
    assert e.training.augment_probability == 0  # it adapts


@pytest.mark.parametrize(
    ("side", "on_cpu", "resolution"),
    [(32, True, 32), (63, True, 32), (64, True, 64), (4000, True, 64)]
    + [(32, False, 32), (300, False, 256), (4000, False, 512)],
)
def test_resolution(side, on_cpu, resolution):
    found = chosen(Survey(100, side), on_cpu=on_cpu)
    assert found["data.resolution"] == resolution


def test_asymmetric_images_are_not_mirrored():
    assert chosen()["data.mirror"] is True
    text = Survey(400, 64, asymmetry=0.3)
    found = {c.name: c for c in presets.small_choices(text)}["data.mirror"]
    assert found.value is False and "differ by 30% of their spread" in found.reason


def test_some_images_are_held_out_if_there_are_enough():
    held_out = [chosen(Survey(n, 64))["data.held_out"] for n in (299, 300)]
    assert held_out == [0.0, 0.1]


def test_a_run_that_can_be_judged_is_guarded():
    few, enough = Survey(299, 64), Survey(300, 64)
    assert "training.on_collapse" not in chosen(few, has_metric=True)
    found = chosen(enough)
    assert found["training.on_collapse"] == "rollback"
    assert "evaluation.metrics" not in found
    found = chosen(enough, has_metric=True)
    assert found["evaluation.metrics"] == "kid_efficientnet,msssim"
    assert found["evaluation.best"] == "kid_efficientnet"


def test_augmentation_adapts_in_a_hundred_passes_over_the_images():
    speeds = [
        chosen(Survey(n, 64))["training.augment_speed_kimg"] for n in (21, 400, 20_000)
    ]
    assert speeds == pytest.approx([2.1, 36.0, 500.0])  # a tenth of 400 is held out


def test_drawings_have_no_noise_inputs():
    found = [chosen(Survey(400, 64, flatness=x))["model.noise"] for x in (0.1, 0.5)]
    assert found == [True, False]


def test_gray_images_stay_gray():
    assert chosen(Survey(400, 64, channels=1))["data.channels"] == 1


def test_all_settings_are_those_of_the_resolution():
    c = presets.small(400, 256, on_cpu=True)
    assert (c.model.channel_base, c.training.r1_gamma) == (32 * 256, 64.0)
    usual = presets.auto(1024).training
    given = presets.small(400, 1024).training
    assert (given.batch_size, given.r1_gamma) == (usual.batch_size, 5 * usual.r1_gamma)


def test_the_gradient_penalty_grows_as_the_images_get_fewer():
    usual = presets.auto(64).training.r1_gamma
    weights = [chosen(Survey(n, 64))["training.r1_gamma"] for n in (100, 10_000)]
    assert weights == [5 * usual, 2 * usual]


def test_choices_are_told_with_their_reasons():
    lines = [str(c) for c in presets.small_choices(FACES, on_cpu=True)]
    assert (
        "data.resolution = 64: the largest that a CPU trains; the images have 70"
        in (lines[0])
    )
    assert all(": " in line and not line.endswith(".") for line in lines)
    asked = presets.small_choices(FACES, on_cpu=True, resolution=32)
    assert str(asked[0]) == "data.resolution = 32: you chose it"
    names = [line.partition(" = ")[0] for line in lines]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("survey", [Survey(0, 64), Survey(10, 31)])
def test_unusable_images_are_refused(survey):
    with pytest.raises(ValueError, match="at least one image and 32 pixels are needed"):
        presets.small_choices(survey)


def test_an_unsupported_resolution_is_refused():
    with pytest.raises(ValueError, match=r"the resolution \(=48\) must be a power"):
        presets.small_choices(FACES, resolution=48)
