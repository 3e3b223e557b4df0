"""Generators of other official arguments, compared with a transcription in NumPy."""

import jax
import numpy as np
import pytest

from stylegan_jax import interop
from stylegan_jax.interop import stylegan3
from stylegan_jax.sampling import transform
from tests import goldens, tiny
from tests.models import stylegan3_numpy

SMALL = {
    "z_dim": 8,
    "c_dim": 0,
    "w_dim": 8,
    "img_resolution": 16,
    "img_channels": 3,
    "channel_base": 64,
    "channel_max": 6,
    "num_layers": 3,
}
OTHERS = {
    "no critical layers": {"num_critical": 0, "conv_kernel": 1, "img_channels": 1},
    "radial filters": {
        "use_radial_filters": True,
        "num_critical": 1,
        "filter_size": 4,
        "conv_clamp": 0.5,
    },
    "finer nonlinearities": {"lrelu_upsampling": 4, "margin_size": 3},
    "no finer ones": {"lrelu_upsampling": 1, "conv_clamp": None, "output_scale": 1},
    "three times finer ones": {"lrelu_upsampling": 3, "img_channels": 4},
    "other frequencies": {
        "first_cutoff": 1.5,
        "first_stopband": 5,
        "last_stopband_rel": 2,
        "num_layers": 4,
        "num_critical": 3,
    },
}


QUICK = ("no critical layers", "radial filters", "other frequencies")
SLOW = [pytest.param(n, marks=pytest.mark.slow) for n in OTHERS if n not in QUICK]


@pytest.mark.parametrize("name", [*QUICK, *SLOW])
def test_images(name):
    kwargs = SMALL | OTHERS[name]
    rng = np.random.default_rng(0)
    entries = stylegan3.entries(stylegan3.build("generator", kwargs))
    arrays = {
        e.name: np.float32(rng.normal(size=e.shape))
        for e in entries
        if e.constant is None
    }
    matrix = transform.inverse_matrix((0.1, -0.2), 25)
    arrays |= {"synthesis.input.transform": matrix}
    for key in arrays:
        if key.endswith("magnitude_ema"):
            arrays[key] = np.exp(arrays[key])
    model, variables = interop.from_official(arrays, "stylegan3", "generator", **kwargs)
    ws = rng.normal(size=(2, model.num_ws, 8)).astype(np.float32)
    with tiny.quick_compilation():
        images = jax.jit(lambda ws: model.apply(variables, ws, method="synthesize"))(ws)
    wanted = stylegan3_numpy.synthesize(arrays, kwargs, ws)
    goldens.assert_close(images, wanted, 1e-5, name)
