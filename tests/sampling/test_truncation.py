"""Truncation of a small generator's styles."""

import numpy as np

from stylegan_jax.sampling.seeds import latents
from stylegan_jax.sampling.synthesis import synthesize
from stylegan_jax.sampling.truncation import truncated_styles


def test_psi_of_zero_gives_the_average_image(network):
    generator, variables = network
    z = latents([1, 2, 3], 8)
    ws = truncated_styles(generator, variables, z, truncation_psi=0.0)
    average = np.broadcast_to(variables["stats"]["w_avg"], ws.shape)
    np.testing.assert_array_equal(ws, average)
    drawn = synthesize(generator, variables, ws)
    assert (drawn == drawn[0]).all()
    free = truncated_styles(generator, variables, z)
    cut = truncated_styles(
        generator, variables, z, truncation_psi=0.0, truncation_cutoff=2
    )
    np.testing.assert_array_equal(cut[:, :2], ws[:, :2])
    np.testing.assert_allclose(cut[:, 2:], free[:, 2:], rtol=1e-5, atol=1e-6)
