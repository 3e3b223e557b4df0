"""What metrics need is told before any work."""

import dataclasses

import pytest

from stylegan_jax.data.sources import from_path
from stylegan_jax.metrics import evaluation, requirements
from stylegan_jax.metrics.generated_images import GeneratedImages, Subject
from stylegan_jax.metrics.image_sets import RealImages
from stylegan_jax.models import LevelOfDetail, stylegan1, stylegan2
from tests.metrics import stand_ins
from tests.metrics.two_sets import two_sets

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.parametrize(
    ("changes", "names", "message"),
    [
        ({}, ["ppl_w_end_crop"], "ppl_w_end_crop needs images of at least 32 pixels"),
        ({"reals": None}, ["fid50k"], "fid50k needs real images; give --data"),
        ({}, ["ppl_w_end"], "ppl_w_end needs a generator, not only its images"),
        ({"images": 1}, ["kid"], "kid needs at least 2 images of each kind"),
    ],
)
def test_what_is_missing_is_told(devices, emoji, changes, names, message):
    asked = two_sets(devices, emoji, names, **changes)
    with pytest.raises(ValueError, match=message):
        evaluation.evaluate(asked, stand_ins.means(devices))


def test_more_that_is_told(devices, emoji):
    subject = stand_ins.subject(devices)
    generated = GeneratedImages(subject, devices, 0, None, 1.0)
    asked = two_sets(
        devices, emoji, ["ls", "fid_per_class"], generated=generated, images=8
    )
    with pytest.raises(ValueError) as caught:
        evaluation.evaluate(asked, stand_ins.means(devices, attributes=None))
    assert "ls needs a classifier; give --attributes" in str(caught.value)
    assert "fid_per_class needs classes, which untrained lacks" in str(caught.value)
    large = from_path.open_path("builtin", (32, 32), "exact")
    reals = RealImages(large, devices, 0, "exact")
    asked = two_sets(devices, emoji, ["swd"], reals=reals)
    with pytest.raises(ValueError, match="emoji is 32x32, .* is 16x16"):
        evaluation.evaluate(asked, stand_ins.means(devices))
    with pytest.raises(ValueError, match="`batch_size` .=15. must be divisible"):
        stand_ins.means(devices, batch_size=15)


def told(asked, features=None):
    with pytest.raises(ValueError) as caught:
        requirements.check(asked, has_classifier=False, features=features)
    return str(caught.value)


def test_numbers_of_images(devices, emoji):
    names = ["is", "pr", "fid_per_class", "kid"]
    text = told(two_sets(devices, emoji, names, images=3))
    assert "is needs at least 10 images of each kind, here are 3 generated;" in text
    assert "pr needs at least 4 images of each kind, here are 3 generated and 3" in text
    assert "fid_per_class needs at least 16 images of each kind of 8 classes" in text
    assert "kid" not in text
    enough = two_sets(devices, emoji, names, images=16)
    requirements.check(enough, has_classifier=False, features="inception")


def test_a_network_without_classes(devices, emoji):
    text = told(two_sets(devices, emoji, ["is", "pr"]), features="vgg16")
    assert "is needs a network of features with classes, which vgg16 is not" in text
    assert "inception_pytorch_fid" in text and "pr needs" not in text


def test_sizes(devices, emoji):
    """Of rectangles there is no face to crop to; some can't be halved."""

    def asked(size, names):
        network = stylegan2.Generator(resolution=32, base_size=size)
        generated = GeneratedImages(
            Subject("it", network, {}, LevelOfDetail(32)), devices, 0, None, 1.0
        )
        return two_sets(devices, emoji, names, generated=generated, reals=None)

    text = told(asked((6, 8), ["ppl_w_end_crop"]))
    assert "ppl_w_end_crop needs images of another size: images are 48x64" in text
    assert "needs square images" in text
    requirements.check(asked((6, 8), ["ppl_w_end"]), False, None)
    requirements.check(asked((4, 4), ["ppl_w_end_crop"]), False, None)
    odd = dataclasses.replace(emoji, base_size=(33, 40), resolution=4)
    reals = RealImages(odd, devices, 0, "exact")
    text = told(two_sets(devices, emoji, ["swd"], reals=reals, generated=reals))
    assert "swd needs images of another size: images are 33x40" in text
    assert "both must be multiples of 2" in text


def test_classes_are_matched_by_name(devices, emoji):
    other = dataclasses.replace(emoji, classes=emoji.classes[::-1])
    fewer = dataclasses.replace(emoji, classes=emoji.classes[:5])
    vectors = dataclasses.replace(emoji, label_vectors=True)

    def asked(source, metric="fid_per_class"):
        generated = RealImages(source, devices, 1, "exact")
        return two_sets(devices, emoji, [metric], generated=generated)

    text = told(asked(other))
    assert "fid_per_class needs the same classes in both sets" in text
    assert "number 0 is 'activities' in one, 'travel-places' in the other" in text
    assert "has 8, the built-in emoji 5" in told(asked(fewer))
    assert "fid_per_class needs classes; the labels of" in told(asked(vectors))
    for source in (emoji, other, fewer, vectors):
        requirements.check(asked(source, "kid"), False, None)
    requirements.check(asked(emoji), False, None)
    network = stylegan1.Generator(resolution=16, label_size=8)
    generated = GeneratedImages(
        Subject("it", network, {}, LevelOfDetail(16)), devices, 0, None, 1.0
    )
    generator = two_sets(devices, emoji, ["fid_per_class"], generated=generated)
    requirements.check(generator, False, None)
