"""Norms of the features after each layer."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from stylegan_jax.sampling.figures import norms

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.parametrize("family", ["growing", "skip"])
def test_norms_are_those_of_all_layers(family, request):
    sampler = request.getfixturevalue(family)
    ws = sampler.styles([1, 2])

    @jax.jit
    def outputs(variables, ws):
        seen = []

        def record(call, args, kwargs, context):
            out = call(*args, **kwargs)
            if type(context.module).__name__ == "SynthesisLayer":
                seen.append(out)
            return out

        with nn.intercept_methods(record):
            return sampler.generator.apply(variables, ws, method="synthesize"), seen

    expected, seen = outputs(sampler.variables, ws)
    image, maps = norms.feature_norms(sampler, ws)
    np.testing.assert_allclose(image, expected, rtol=1e-3, atol=1e-3)
    assert len(maps) == len(seen) == {"growing": 6, "skip": 5}[family]
    for actual, desired in zip(maps, seen, strict=True):
        norm = np.sqrt(np.square(np.asarray(desired, np.float64)).sum(-1))
        np.testing.assert_allclose(actual, norm, rtol=1e-3)


def test_the_figure(skip, tile):
    figure = norms.norms(skip, [1, 2]).pixels
    _, maps = norms.feature_norms(skip, skip.styles([2]))
    for k, norm in enumerate(maps):
        shown = tile(figure, (1, k + 1), (2, 6), norm.shape[1])
        colors = norms.heat(norm[0] / norm.max())
        assert abs(shown.astype(int) - colors).max() <= 2


def test_heat_gets_brighter():
    colors = norms.heat(np.linspace(0, 1, 50)[None])[0].astype(int)
    assert colors[0].tolist() == [0, 0, 0] and colors[-1].min() >= 220
    assert (np.diff(colors.sum(1)) > 0).all()
