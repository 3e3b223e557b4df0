"""Truncation of a small generator's styles."""

import jax
import numpy as np
import pytest

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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"truncation_psi": float("nan")}, "`truncation_psi` (=nan) must be a finite"),
        ({"truncation_psi": float("inf")}, "`truncation_psi` (=inf) must be a finite"),
        ({"truncation_psi": -1e39}, "`truncation_psi` (=-1e+39) must be a finite"),
        ({"truncation_cutoff": -1}, "`truncation_cutoff` (=-1) must not be negative"),
    ],
)
def test_impossible_truncations_are_refused(network, changes, message):
    generator, variables = network
    with pytest.raises(ValueError) as raised:
        truncated_styles(generator, variables, latents([1], 8), **changes)
    assert message in str(raised.value)


def test_the_mapping_network_is_one_program(network, monkeypatch):
    """It is not run operation by operation: its arrays are those of a trace."""
    generator, variables = network
    z = latents(list(range(13)), 8)  # a number of rows of its own
    seen = []
    apply = type(generator).apply

    def spy(self, variables, x, *args, method, **kwargs):
        if method == "map":
            seen.append(isinstance(x, jax.core.Tracer))
        return apply(self, variables, x, *args, method=method, **kwargs)

    monkeypatch.setattr(type(generator), "apply", spy)
    for _ in range(2):
        truncated_styles(generator, variables, z)
    assert seen == [True]  # traced once, for both calls
