"""`model.float32_precision` reaches every product of every phase."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import models
from stylegan_jax.runtime import parallel
from stylegan_jax.training import setup
from stylegan_jax.training.compilation import ProgramCache
from tests import tiny

FAMILIES = {"stylegan1": {}, "stylegan2": tiny.STYLEGAN2 | {"data.resolution": 16}}
PHASES = {
    "stylegan1": ("d_main", "g_main"),
    "stylegan2": ("g_main", "g_path", "d_main", "d_r1"),
}
# Operands' precisions of a convolution, and of a matrix product, and their dtype.
PRODUCT = re.compile(
    r"stablehlo\.(?:convolution|dot_general)"
    r".*?precision(?:_config)? = \[(?:#stablehlo<precision )?(\w+)>?, "
    r"(?:#stablehlo<precision )?(\w+)>?\].*: \(tensor<[\dx]*(\w+)>"
)


def experiment(family, **model):
    changes = {f"model.{name}": value for name, value in model.items()}
    return tiny.experiment(FAMILIES[family] | changes)


def lowered(e, platform):
    """Yield the StableHLO of each phase of the last stage."""
    training = setup.build(e, parallel.local())
    assert tuple(training.phase_names) == PHASES[e.model.family]
    cache = ProgramCache(training)
    for i in range(len(training.phases)):
        yield cache.lower(training.stages[-1], i, platform).as_text()
    cache.close()


@pytest.mark.parametrize(
    ("family", "platform", "precision"),
    [
        ("stylegan1", "tpu", "high"),
        ("stylegan2", "cpu", "default"),
        pytest.param("stylegan1", "cpu", "default", marks=pytest.mark.slow),
        pytest.param("stylegan2", "tpu", "high", marks=pytest.mark.slow),
    ],
)
def test_every_product_of_a_phase_has_the_precision(family, platform, precision):
    """On CPUs, too: the forms that only they use, such as Winograd's."""
    for text in lowered(experiment(family, float32_precision=precision), platform):
        products = PRODUCT.findall(text)
        counted = len(re.findall(r"stablehlo\.(?:convolution|dot_general)\b", text))
        assert len(products) == counted > 10
        wanted = precision.upper()
        assert set(products) == {(wanted, wanted, "f32")}


def test_the_default_is_float32_and_bfloat16_is_left_alone():
    e = experiment("stylegan1", dtype="bfloat16")
    assert e.model.float32_precision == "highest"
    for text in lowered(e, "tpu"):
        assert set(PRODUCT.findall(text)) == {
            ("HIGHEST", "HIGHEST", "f32"),
            ("DEFAULT", "DEFAULT", "bf16"),
        }


@pytest.mark.parametrize(
    "family", [pytest.param("stylegan1", marks=pytest.mark.slow), "stylegan2"]
)
def test_numbers_on_a_cpu_do_not_depend_on_it(family):
    """Images and gradients, bit for bit."""
    results, variables = [], None
    for precision in ("highest", "default"):
        e = experiment(family, float32_precision=precision)
        generator, _ = models.build(e.model, e.data, 0, winograd=True)
        z = jax.random.normal(jax.random.key(1), (4, 8))

        def f(params, variables, generator=generator, z=z):
            images = generator.apply(variables | {"params": params}, z)
            return jnp.sum(jnp.sin(images)), images

        with tiny.quick_compilation():
            # The same values for both, of one program.
            variables = variables or jax.jit(generator.init)(jax.random.key(0), z)
            results.append(
                jax.jit(jax.grad(f, has_aux=True))(variables["params"], variables)
            )
    high, low = map(jax.tree.leaves, results)
    assert sum(np.any(a) for a in high) > len(high) / 2
    for a, b in zip(high, low, strict=True):
        np.testing.assert_array_equal(a, b)
