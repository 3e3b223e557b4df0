"""VGG16 and LPIPS against torchvision and the lpips package."""

import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.metrics.networks import detectors, lpips, vgg, vgg_weights
from stylegan_jax.weights import files, safetensors
from tests import goldens
from tests.metrics.networks import recipe
from tests.weights import torch_files

TOLERANCE = 1e-5  # of distances up to 0.5; float32 in PyTorch is off by 1e-7


def keymap():
    return json.loads(goldens.path("metrics/keymap_vgg_lpips.json").read_text())


@pytest.fixture(scope="module")
def facts():
    return recipe.document("metrics/lpips.json")


@pytest.fixture(scope="module")
def arrays():
    return goldens.arrays("metrics/lpips.npz")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "recipe.safetensors"
    safetensors.write(path, recipe.tensors("lpips", "features."), {})
    return lpips.LPIPS(path, batch_size=4)


def pairs(arrays, names):
    """The pairs' images [N,H,W,3], uint8 scaled to -1..1."""
    images = [np.stack([arrays[f"pair/{name}/{i}"] for name in names]) for i in (0, 1)]
    return [x / np.float32(127.5) - 1 for x in images]


def test_distances(network, facts, arrays):
    """All 64x64 pairs, a whole batch and a part of one."""
    names = [name for name in facts["cases"] if name.startswith("64_")]
    assert len(names) == 6
    result = network(*pairs(arrays, names))
    expected = [facts["cases"][name]["distance"] for name in names]
    np.testing.assert_allclose(result, expected, atol=TOLERANCE)
    assert result.dtype == np.float32
    # Not always exactly 0: it depends on how XLA fuses the two passes.
    assert abs(result[names.index("64_identical")]) < 1e-12
    # The share of each map, with the same weights in another program.
    a, b = pairs(arrays, names[:2])
    terms = jax.jit(lpips.per_layer)(network.variables, a, b)
    for i, name in enumerate(names[:2]):
        layers = facts["cases"][name]["per_layer"]
        np.testing.assert_allclose([t[i] for t in terms], layers, atol=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rect48x80", "odd33", "256_different", "256_noise"])
def test_distances_of_other_sizes(network, facts, arrays, name):
    if f"pair/{name}/0" not in arrays:
        pytest.skip("not in the part of the goldens that travels with the repository")
    result = network(*pairs(arrays, [name]))
    expected = [facts["cases"][name]["distance"]]
    np.testing.assert_allclose(result, expected, atol=TOLERANCE)


class Normalization(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_normalize(self):
        vectors = recipe.document("metrics/lpips.json")["normalize_tensor"]
        inputs = jnp.asarray(vectors["input"], jnp.float32)
        result = self.variant(lpips.normalize)(inputs)
        np.testing.assert_allclose(result, vectors["output"], atol=1e-6)


def test_images_that_cannot_be_compared_are_refused(network):
    small = np.zeros((1, 15, 64, 3), np.float32)
    with pytest.raises(ValueError, match="15x64; LPIPS needs at least 16x16"):
        network(small, small)
    one, two = (np.zeros((n, 32, 32, 3), np.float32) for n in (1, 2))
    with pytest.raises(ValueError, match="must have the same shape"):
        network(one, two)
    with pytest.raises(AssertionError, match="float32"):
        network(one.astype(np.uint8), one.astype(np.uint8))


def test_the_weights_in_the_package_are_those_of_lpips(arrays):
    """LPIPS keeps them in vgg.pth, 7,289 bytes in PyTorch's old format."""
    shipped = files.read_tensors(lpips.HEADS)
    assert set(shipped) == {row[0] for row in keymap()["lpips_lin"]}
    for name, array in shipped.items():
        np.testing.assert_array_equal(array, arrays[f"lin/{name}"])


def test_vgg_pth_is_read(tmp_path, arrays):
    lin = goldens.below(arrays, "lin/")
    path = torch_files.write_old(tmp_path / "vgg.pth", torch_files.state_dict(lin))
    read = lpips.load_heads(files.read_tensors(path))
    for head, array in zip(read, lin.values(), strict=True):
        np.testing.assert_array_equal(head, array.ravel())
    alex = {name: np.zeros((1, 64, 1, 1)) for name in lin}
    with pytest.raises(ValueError, match="vgg.pth of LPIPS 0.1, not alex.pth"):
        lpips.load_heads(alex)


# The features of precision and recall


@pytest.mark.slow
def test_fc7(tmp_path, facts, arrays):
    path = tmp_path / "recipe.safetensors"
    safetensors.write(path, recipe.tensors("lpips"), {})
    detector = detectors.load("vgg16", path, batch_size=1)
    about = facts["vgg_fc"]
    for i, (size, seed) in enumerate(
        zip(about["hw"], about["pattern_seeds"], strict=True)
    ):
        features = detector(recipe.pattern(*size, seed)[None])
        expected = np.maximum(arrays["vgg_fc/fc2"][i : i + 1], 0)
        np.testing.assert_allclose(features.pool, expected, atol=3e-4)
        assert features.logits is None
    assert detector.dimensions == features.pool.shape[1] == 4096


# The files' names


def test_every_tensor_of_torchvisions_file_has_its_place():
    expected = {row[0]: tuple(row[1]) for row in keymap()["vgg"]}
    entries = vgg_weights.entries()
    assert {e.name: e.shape for e in entries} | vgg_weights.UNUSED == expected
    layers = {row[0]: row[3] for row in keymap()["vgg"]}
    assert all(e.path[-2] == layers[e.name] for e in entries)
    images = jax.ShapeDtypeStruct((1, vgg.SIZE, vgg.SIZE, 3), jnp.float32)
    shapes = jax.eval_shape(vgg.VGG16().init, jax.random.key(0), images)
    flat = jax.tree_util.tree_flatten_with_path(shapes)[0]
    assert {tuple(k.key for k in path) for path, _ in flat} == {e.path for e in entries}


def test_every_layout_has_an_inverse():
    """PyTorch's first dense layer takes the maps flattened in the order C,H,W."""
    rng = np.random.default_rng(0)
    for entry in vgg_weights.entries():
        array = rng.random((3, *entry.shape[1:]), np.float32)
        ours = entry.layout.load(array)
        np.testing.assert_array_equal(entry.layout.save(ours), array)
        if entry.name == "classifier.0.weight":
            maps = rng.random((2, 512, 7, 7), np.float32)
            theirs = maps.reshape(2, -1) @ array.T
            flat = maps.transpose(0, 2, 3, 1).reshape(2, -1)
            np.testing.assert_allclose(flat @ ours, theirs, rtol=1e-4)


class Sized:
    """A shape in place of an array of the file, which has 553 MB."""

    def __init__(self, shape):
        self.shape, self.ndim = tuple(shape), len(shape)
        self.size = int(np.prod(shape))


def nvidia(with_classes=True):
    """Return tensors as in NVIDIA's vgg16.pt, under made-up names."""
    rows = keymap()["vgg"]
    if not with_classes:
        rows = rows[:-2]
    made = {"mean": Sized((3,)), "lpips0": Sized((1, 64, 1, 1))}
    for i, (name, shape, *_) in enumerate(rows):
        made[f"layers.layer{i // 2 + 1}.{name.rpartition('.')[2]}"] = Sized(shape)
    return made, [row[0] for row in rows]


@pytest.mark.parametrize("with_classes", [True, False])
def test_tensors_are_recognized_by_their_order(with_classes):
    arrays, names = nvidia(with_classes)
    found = vgg_weights.named_by_order(arrays)
    assert list(found) == names
    theirs = [a for n, a in arrays.items() if n.startswith("layers.")]
    assert all(x is y for x, y in zip(found.values(), theirs, strict=True))


def test_an_ambiguous_order_is_refused():
    arrays, _ = nvidia()
    swapped = dict(arrays)  # two convolutions of the same shape
    names = [f"layers.layer{i}.weight" for i in (9, 10)]
    order = sorted(swapped, key=lambda n: {names[0]: 1, names[1]: 0}.get(n, 0))
    for wrong in (
        {name: swapped[name] for name in order},
        arrays | {"other": Sized((4096, 10))},
        arrays | {"other": Sized((4096,))},
        {n: a for n, a in arrays.items() if n != "layers.layer3.weight"},
        {n: a for n, a in arrays.items() if n != "layers.layer3.bias"},
        arrays | {"layers.layer2.weight": Sized((64, 64, 1, 9))},
        {},
    ):
        with pytest.raises(ValueError, match="not those of VGG16 of torchvision"):
            vgg_weights.named_by_order(wrong)


def test_tensors_that_do_not_fit_are_refused():
    rows = {row[0]: tuple(row[1]) for row in keymap()["vgg"]}
    arrays = {n: np.zeros(s, np.float32) for n, s in rows.items() if "features" in n}
    loaded = vgg_weights.load_convolutions(arrays)
    assert set(loaded["params"]) == {row[3] for row in keymap()["vgg"][:26]}
    extra = arrays | {"features.1.weight": np.zeros(3)}
    with pytest.raises(ValueError, match=r"left over \['features.1.weight'\]"):
        vgg_weights.load_convolutions(extra)
    ten = arrays | {"classifier.6.weight": np.zeros((10, 4096))}
    with pytest.raises(
        ValueError, match=r"shape \(10, 4096\), expected \(1000, 4096\)"
    ):
        vgg_weights.load_convolutions(ten)
    with pytest.raises(ValueError, match=r"missing \['classifier.0.bias', "):
        vgg_weights.load(arrays)
