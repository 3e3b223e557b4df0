"""Networks as ONNX, run by ONNX Runtime."""

import dataclasses
import importlib.util
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest

import stylegan_jax
from stylegan_jax.exporters import onnx_conversion, onnx_file, programs
from stylegan_jax.exporters.onnx_graph import OnnxError
from stylegan_jax.layers.activations import ACTIVATIONS, activate
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.models.stylegan2 import G_ARCHITECTURES
from stylegan_jax.runtime.image_io import to_uint8
from tests import goldens
from tests.networks import small

ONES = np.ones((4, 4, 1), np.float32)
PSI = np.array(0.7, np.float32)
FAMILIES = ("stylegan1", "stylegan2", "stylegan3")
OFFICIAL = ("I3_legacy_tf_skip_resnet", "I4_legacy_tf_cond")


def run(content, **inputs):
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, inputs)
    return output


def gray_levels(a, b):
    return abs(to_uint8(a).astype(int) - to_uint8(b)).max()


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_networks_give_the_official_images(name):
    folder = f"stylegan2_and_3/{name}"
    g = stylegan_jax.load(goldens.path(f"{folder}.pkl"))
    golden = goldens.arrays(f"{folder}_expected.npz")
    label = {"label": golden["in/c"].astype(np.float32)} if g.classes else {}
    z = golden["in/z"].astype(np.float32)
    images = run(onnx_file.serialized(g, "generator"), z=z, psi=PSI, **label)
    official = goldens.nhwc(golden["out/img_G_ema_psi0.7_const"])
    assert gray_levels(images, official) <= 1


@pytest.mark.parametrize(
    ("family", "classes"),
    [
        *itertools.product(FAMILIES[:2], [(), ("a", "b")]),
        pytest.param(FAMILIES[2], (), marks=pytest.mark.slow),
        (FAMILIES[2], ("a", "b")),
    ],
)
def test_all_parts_of_all_families(family, classes):
    g = small.network(family, classes)
    z = g.z(range(3))
    label = {"label": g.label(["a", "b", "a"], 3)} if classes else {}
    ws = np.asarray(g.map(z, label.get("label"), truncation_psi=0.7))
    images = g.synthesize(ws, dtype="float32")
    mapped = run(onnx_file.serialized(g, "mapping"), z=z, psi=PSI, **label)
    np.testing.assert_allclose(mapped, ws, 0, 1e-5)
    synthesis = onnx_file.serialized(g, "synthesis")
    for batch in (1, 3):
        drawn = run(synthesis, ws=ws[:batch])
        np.testing.assert_allclose(drawn, images[:batch], 0, 1e-4)
    whole = run(onnx_file.serialized(g, "generator"), z=z, psi=PSI, **label)
    assert gray_levels(whole, images) <= 1


def changed(network, **changes):
    """Return a network whose module differs, with parameters that fit it."""
    generator = network.generator.clone(**changes)
    z = np.zeros((1, generator.z_dim), np.float32)
    variables = jax.jit(generator.init)(jax.random.key(1), z)
    return dataclasses.replace(network, generator=generator, variables=variables)


def assert_agrees(g):
    ws = np.asarray(g.map(g.z([3]), truncation_psi=0.7))
    images = run(onnx_file.serialized(g, "synthesis"), ws=ws)
    assert gray_levels(images, g.synthesize(ws, dtype="float32")) <= 1


@pytest.mark.parametrize(
    "architecture",
    [
        "resnet",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in G_ARCHITECTURES
            if name not in ("resnet", "skip")  # the latter is that of `small`
        ),
    ],
)
def test_architectures_of_stylegan2(architecture):
    assert_agrees(changed(small.network("stylegan2"), architecture=architecture))


@pytest.mark.parametrize(
    "options",
    [
        {
            "pixel_norm": True,
            "instance_norm": False,
            "nonlinearity": "relu",
            "plain_resampling": True,
        },
        pytest.param(
            {"styles": False, "noise": False, "blur_filter": ()},
            marks=pytest.mark.slow,
        ),
    ],
    ids=str,
)
def test_options_of_stylegan1(options):
    g = small.network("stylegan1")
    options = dataclasses.replace(g.generator.options, **options)
    const = options.styles  # without styles, the latent is the input
    assert_agrees(changed(g, options=options, const_input=const))


def test_a_network_that_fades():
    g = dataclasses.replace(small.network("stylegan1"), lod=LevelOfDetail(16, 0.25))
    assert_agrees(g)


def test_bfloat16_becomes_float32():
    g = small.network("stylegan2")
    low = {"dtype": jnp.bfloat16, "low_precision_resolutions": 2}
    low = dataclasses.replace(g, generator=g.generator.clone(**low))
    assert onnx_file.serialized(low, "synthesis") == onnx_file.serialized(
        g, "synthesis"
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_of_convolutions_are_constant(family):
    model = onnx.load_from_string(
        onnx_file.serialized(small.network(family), "generator")
    )
    constants = {x.name for x in model.graph.initializer}
    convolutions = [n for n in model.graph.node if n.op_type.startswith("Conv")]
    assert convolutions and all(n.input[1] in constants for n in convolutions)
    assert {x.op_type for x in convolutions} == (
        {"Conv", "ConvTranspose"} if family == "stylegan2" else {"Conv"}
    )
    assert [x.version for x in model.opset_import] == [onnx_conversion.OPSET]


def test_the_file_describes_itself(tmp_path):
    g = small.network("stylegan2", ("a", "b"))
    g = dataclasses.replace(g, reference="/home/alice/runs/mine/")
    onnx_file.write(g, "generator", tmp_path / "g.onnx")
    assert b"alice" not in (tmp_path / "g.onnx").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["g.onnx"]
    about = onnx_file.read_metadata(tmp_path / "g.onnx")
    assert about["inputs"] == {"z": ["N", 8], "label": ["N", 2], "psi": []}
    assert about["outputs"] == {"images": ["N", 16, 16, 3]}
    assert about["classes"] == ["a", "b"] and about["opset"] == 17
    assert about["network"] == "mine"
    session = onnxruntime.InferenceSession(tmp_path / "g.onnx")
    shapes = {x.name: x.shape for x in session.get_inputs()}
    assert shapes == about["inputs"]


def program_of(function, *shapes):
    inputs = {f"x{i}": shape for i, shape in enumerate(shapes)}
    return programs.Program("test", function, inputs, "y", (1,))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: jnp.sort(x), r"the operation `sort` of \(N, 4\) in the network has"),
        (lambda x: x - x.sum(0), "`reduce_sum` .* combines the images of a batch"),
        (lambda x: x - x.mean(0), "`dim_as_value` .* with the number of images"),
        (lambda x: x.T, "`transpose` .* whose first axis is not the batch"),
        (lambda x: x[:, jnp.array([2, 0])], "`gather` .* at positions that are not"),
        (
            lambda x: jax.lax.conv(x[:, :, None], x.sum() * ONES, (1,), "SAME"),
            "`reduce_sum` .* so this network cannot be exported as ONNX; use",
        ),
        (
            lambda x, psi: jax.lax.conv(x[:, :, None], psi * ONES, (1,), "SAME"),
            "`conv_general_dilated` .* weights that are not constant",
        ),
    ],
)
def test_operations_without_a_counterpart_are_named(function, message):
    shapes = ((4,), None)[: function.__code__.co_argcount]
    with pytest.raises(OnnxError, match=message):
        onnx_conversion.convert(program_of(function, *shapes), {})


def test_constants_and_broadcasts():
    """Constants are computed ahead, unless they would be much larger."""
    table = np.arange(12, dtype=np.float32).reshape(3, 4)

    def function(x):
        scaled = jnp.broadcast_to(jnp.asarray(table.sum(0)) * 2, x.shape)
        rows = jnp.concatenate([scaled[:, None], x[:, None]], axis=1)
        return jnp.flip(rows, 1).transpose(0, 2, 1).reshape(x.shape[0], -1)

    model = onnx_conversion.convert(program_of(function, (4,)), {"a": "b"})
    assert not {"Mul", "ReduceSum"} & {node.op_type for node in model.graph.node}
    x = np.random.RandomState(0).randn(2, 4).astype(np.float32)
    y = run(model.SerializeToString(), x0=x)
    np.testing.assert_allclose(y, function(jnp.asarray(x)), 1e-6)
    assert [(p.key, p.value) for p in model.metadata_props] == [("a", "b")]

    def large(x):
        ones = jnp.asarray(np.ones((500, 1), np.float32))
        return (x[:, None] + (ones + ones.T)).sum((1, 2))

    model = onnx_conversion.convert(program_of(large, (1,)), {})
    assert model.ByteSize() < 10_000


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_activations(activation):
    def function(x):
        return activate(x, activation, 1.2, clamp=2.0)

    model = onnx_conversion.convert(program_of(function, (4,)), {})
    x = np.random.RandomState(0).randn(50, 4).astype(np.float32) * 3
    y = run(model.SerializeToString(), x0=x)
    np.testing.assert_allclose(y, function(jnp.asarray(x)), 0, 2e-6)


def test_without_the_package(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "onnx" else found(name),
    )
    with pytest.raises(ValueError, match=r"pip install -e '\.\[onnx\]'"):
        onnx_file.serialized(small.network(), "generator")


def test_an_unknown_part():
    with pytest.raises(ValueError, match=r"part \(='x'\) must be one of generator, m"):
        programs.program(small.network(), "x")


def test_damaged_files(tmp_path):
    path = tmp_path / "bad.onnx"
    foreign = onnx_conversion.convert(program_of(lambda x: x + 1, (4,)), {})
    for content in (b"", b"\xff" * 100, foreign.SerializeToString()):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="bad.onnx is damaged, or not a file that"):
            onnx_file.read_metadata(path)
    key = onnx_file.KEY
    for text in ("{", "[]", json.dumps({"format": "x"})):
        model = onnx_conversion.convert(program_of(lambda x: x + 1, (4,)), {key: text})
        path.write_bytes(model.SerializeToString())
        with pytest.raises(ValueError, match="bad.onnx is damaged, or not a file that"):
            onnx_file.read_metadata(path)
