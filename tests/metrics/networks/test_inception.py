"""Inception-v3 against pytorch-fid and torch-fidelity."""

import hashlib
import json

import flax.traverse_util
import jax
import numpy as np
import pytest

from stylegan_jax.metrics.networks import detectors, inception, inception_weights
from stylegan_jax.metrics.networks.detector import Detector
from stylegan_jax.weights import safetensors
from tests import goldens
from tests.metrics.networks import recipe

FAMILIES = {"inception": "torch_fidelity", "inception_pytorch_fid": "pytorch_fid"}
# Float32 against float64, of values of order 1: PyTorch is off by 1.3e-4 itself; the
# smallest mistake that the goldens' authors tried moves them by 0.05.
TOLERANCE = 5e-4


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file with the weights of the goldens."""
    path = tmp_path_factory.mktemp("weights") / "recipe.safetensors"
    safetensors.write(path, recipe.tensors("inception"), {})
    return path


@pytest.fixture(scope="module")
def facts():
    return recipe.document("metrics/inception.json")


def check(features, family, facts, names):
    rows = [list(facts["images"]).index(name) for name in names]
    arrays = goldens.below(goldens.arrays("metrics/inception.npz"), family + "/")
    for what, actual in (("2048", features.pool), ("logits_unbiased", features.logits)):
        expected = arrays[what][rows]
        assert actual.dtype == np.float32 and actual.shape == expected.shape
        np.testing.assert_allclose(actual, expected, atol=TOLERANCE, rtol=0)
        goldens.assert_close(actual, expected, 1e-4, what)


def test_features_of_small_images(weights, facts):
    """Compute features from a weight file, with both resizing conventions."""
    detector = detectors.load("inception", weights, batch_size=2)
    names = ["a32", "b32"]
    features = detector(recipe.pictures(facts, names))
    check(features, "torch_fidelity", facts, names)
    assert isinstance(detector, Detector)
    assert detector.dimensions == 2048 and detector.resize == "tf1_bilinear"


def test_weights_are_saved_as_safetensors(weights, tmp_path):
    out = tmp_path / "inception.safetensors"
    detectors.save("inception", weights, out)
    arrays, metadata = safetensors.read(out)
    original = safetensors.read(weights)[0]
    assert set(arrays) == set(original)
    for name, array in original.items():
        np.testing.assert_array_equal(arrays[name], array)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert metadata == {
        "network": "inception",
        "from": "recipe.safetensors",
        "sha256": digest,
    }
    with pytest.raises(
        ValueError, match=r"no weights 'fid'; choose one of \['inception'"
    ):
        detectors.save("fid", weights, out)
    with pytest.raises(ValueError, match="recipe.safetensors: the tensors are not"):
        detectors.save("vgg16", weights, out)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_features_of_all_sizes(weights, facts, name):
    detector = detectors.load(name, weights, batch_size=2)
    for names in (["a299", "b299"], ["a32", "b32"], ["rect45x70"], ["big384x320"]):
        features = detector(recipe.pictures(facts, names))
        check(features, FAMILIES[name], facts, names)


@pytest.mark.slow
def test_every_block_and_output(facts):
    """Probes, mean and spread of the 16 maps that are modules, and all outputs."""
    variables = inception_weights.load(recipe.tensors("inception"))
    network = inception.InceptionV3()
    image = recipe.pictures(facts, ["a299"]).astype(np.float32)

    @jax.jit
    def run(images):
        return network.apply(variables, images, capture_intermediates=True)

    outputs, captured = run((image - 128) / 128)
    captured = captured["intermediates"]
    blocks = facts["blocks"]["torch_fidelity"]
    compared = 0
    for name, expected in blocks.items():
        if name not in captured:
            assert name.startswith("MaxPool")
            continue
        (value,) = captured[name]["__call__"]
        value = np.asarray(value, np.float64)[0].transpose(2, 0, 1)
        assert list(value.shape) == expected["shape"]
        probes = [value[tuple(place)] for place in expected["probe_cyx"]]
        np.testing.assert_allclose(probes, expected["probe"][0], atol=5e-4)
        np.testing.assert_allclose(value.mean(), expected["mean"][0], atol=1e-5)
        np.testing.assert_allclose(value.std(), expected["std"][0], atol=1e-5)
        compared += 1
    assert compared == 16
    arrays = goldens.arrays("metrics/inception.npz")
    for field, name in (
        ("pool_64", "64"),
        ("pool_192", "192"),
        ("pool_768", "768"),
        ("pool", "2048"),
        ("logits_unbiased", "logits_unbiased"),
        ("logits", "logits"),
    ):
        expected = arrays[f"torch_fidelity/{name}"][:1]
        np.testing.assert_allclose(getattr(outputs, field), expected, atol=TOLERANCE)


# The files' names


def keymap():
    return json.loads(goldens.path("metrics/keymap_inception.json").read_text())["rows"]


def test_every_tensor_of_the_pth_files_has_its_place():
    expected = {name: tuple(shape) for name, shape, *_ in keymap()}
    entries = inception_weights.pth_entries()
    assert {e.name: e.shape for e in entries} == expected
    assert len({e.path for e in entries}) == len(entries) == 472


def test_every_tensor_of_nvidias_file_has_its_place():
    """It is the place of its twin in the .pth files."""
    expected = {row[3]: (row[0], tuple(row[1])) for row in keymap() if row[3]}
    entries = inception_weights.nvidia_entries()
    twins = {e.path: e.name for e in inception_weights.pth_entries()}
    assert {e.name: (twins[e.path], e.shape) for e in entries} == expected
    assert len(entries) == 378


def test_both_sets_of_names_give_the_same_variables():
    """NVIDIA's files lack the scales, which are 1 in the others."""
    rng = np.random.default_rng(0)
    rows = keymap()
    pth = {
        name: np.ones(shape, np.float32)
        if name.endswith("bn.weight")
        else rng.random(shape, np.float32)
        for name, shape, *_ in rows
    }
    nvidia = {row[3]: pth[row[0]] for row in rows if row[3]}
    pth["Mixed_7c.branch_pool.bn.num_batches_tracked"] = np.array(0)
    one, other = (inception_weights.load(arrays) for arrays in (pth, nvidia))
    jax.tree.map(np.testing.assert_array_equal, one, other)
    back = inception_weights.save(one)
    del pth["Mixed_7c.branch_pool.bn.num_batches_tracked"]
    assert set(back) == set(pth)
    for name in (
        "fc.weight",
        "Conv2d_1a_3x3.conv.weight",
        "Mixed_5b.branch1x1.bn.bias",
    ):
        np.testing.assert_array_equal(back[name], pth[name])


def test_tensors_that_do_not_fit_are_refused():
    arrays = {row[0]: np.zeros(row[1], np.float32) for row in keymap()}
    lacking = dict(arrays)
    del lacking["fc.bias"]
    with pytest.raises(ValueError, match=r"missing \['fc.bias'\], left over \[\]"):
        inception_weights.load(lacking)
    with pytest.raises(ValueError, match=r"missing \[\], left over \['AuxLogits.x'\]"):
        inception_weights.load(arrays | {"AuxLogits.x": np.zeros(1)})
    thousand = {"fc.weight": np.zeros((1000, 2048)), "fc.bias": np.zeros(1000)}
    with pytest.raises(ValueError, match=r"shape \(1000,\).*torchvision's Inception"):
        inception_weights.load(arrays | thousand)
    with pytest.raises(ValueError, match="472 of them") as caught:
        inception_weights.load({"w": np.zeros(3)})
    assert len(str(caught.value)) < 3000


def test_the_modules_parameters_are_those_of_the_file():
    paths = {e.path for e in inception_weights.pth_entries()}
    variables = inception_weights.load(
        {row[0]: np.zeros(row[1], np.float32) for row in keymap()}
    )
    assert set(flax.traverse_util.flatten_dict(variables)) == paths
