"""All official generators among the goldens, as ONNX and as StableHLO.

At most one gray level is between them and the official images.
"""

import zipfile

import numpy as np
import onnxruntime
import pytest
from jax import export

from stylegan_jax.exporters import onnx_file, stablehlo
from stylegan_jax.exporters.programs import program
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.networks.network import Network
from stylegan_jax.runtime.image_io import to_uint8
from tests import goldens
from tests.interop import stylegan2_goldens
from tests.models.test_stylegan1 import official_generator

pytestmark = pytest.mark.slow
STYLEGAN1 = ("g_32_linear", "g_64_recursive", "g_cond_16", "g_traditional_32")


def opened(generator, variables):
    """Return a golden network as `load` would."""
    return Network(
        generator=generator,
        variables={k: v for k, v in variables.items() if k != "official"},
        experiment=None,
        lod=LevelOfDetail(generator.resolution),
        classes=tuple(map(str, range(generator.label_size))),
        checkpoint=0,
        step=None,
        reference="golden",
    )


def drawn(g, kind, inputs, folder):
    """Return the images of a network in one of the formats."""
    path = folder / f"g.{kind}"
    if kind == "onnx":
        onnx_file.write(g, "generator", path)
        names = program(g, "generator").inputs
        session = onnxruntime.InferenceSession(path)
        return session.run(None, dict(zip(names, inputs, strict=True)))[0]
    stablehlo.write(g, program(g, "generator"), path)
    with zipfile.ZipFile(path) as archive:
        exported = export.deserialize(bytearray(archive.read(stablehlo.PROGRAM)))
    return exported.call(*inputs)


def assert_same_pixels(images, official):
    official = to_uint8(goldens.nhwc(official)).astype(int)
    assert abs(to_uint8(images) - official).max() <= 1


@pytest.mark.parametrize("kind", ["onnx", "stablehlo"])
@pytest.mark.parametrize("name", stylegan2_goldens.GENERATORS)
def test_stylegan2(name, kind, tmp_path):
    model, variables, arrays, _ = stylegan2_goldens.network(name)
    g = opened(model, variables)
    labels = [arrays["in/c"].astype(np.float32)] if g.classes else []
    inputs = [arrays["in/z"], *labels]
    images = drawn(g, kind, [*inputs, np.array(1, np.float32)], tmp_path)
    assert_same_pixels(images, arrays["out/img_const"])
    truncated = "out/img_psi0.5_const_0"
    if truncated in arrays:
        images = drawn(g, kind, [*inputs, np.array(0.5, np.float32)], tmp_path)
        assert_same_pixels(images[:1], arrays[truncated])


@pytest.mark.parametrize("kind", ["onnx", "stablehlo"])
@pytest.mark.parametrize("name", STYLEGAN1)
def test_stylegan1(name, kind, tmp_path):
    file = f"stylegan1/{name}.npz"
    arrays, settings = goldens.arrays(file), goldens.settings(file)
    g = opened(*official_generator(arrays, settings))
    labels = [arrays["in/labels"].astype(np.float32)] if g.classes else []
    inputs = [arrays["in/z"], *labels, np.array(1, np.float32)]
    # The files have other levels of detail, and kernels that are stored mirrored.
    full = ("out/images_lod0.0", "out/fused_auto/images_lod0.0")
    full += ("out/linear/images_lod0.0", "out/recursive/images_lod0.0")
    keys = [key for key in full if key in arrays]
    assert keys
    images = drawn(g, kind, inputs, tmp_path)
    for key in keys:
        assert_same_pixels(images, arrays[key])
