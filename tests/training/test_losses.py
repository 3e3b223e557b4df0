"""Official losses, penalties and gradients, at whole and fractional levels."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from stylegan_jax import interop
from stylegan_jax.layers.resample import downscale2d
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.models.mapping import mix_styles, update_w_avg
from stylegan_jax.training import losses
from tests import goldens

IMAGES, SCORES, LOSS, GRADIENTS = 3e-4, 1e-4, 1e-4, 5e-4  # relative to the rms


LOSSES = {
    "D_logistic": losses.d_logistic,
    "D_wgan": losses.d_wgan,
    "D_hinge": losses.d_hinge,
    "G_logistic_nonsaturating": losses.g_logistic_nonsaturating,
    "G_logistic_saturating": losses.g_logistic_saturating,
    "G_wgan": losses.g_wgan,
}


class OfficialNetworks:
    """The networks of a golden file at one level of detail."""

    def __init__(self, file, lod, winograd):
        self.arrays = goldens.arrays(f"stylegan1/{file}.npz")
        settings = goldens.settings(f"stylegan1/{file}.npz")
        common = settings["common_kwargs"]
        labels = {"label_size": settings["label_size"]}
        load = lambda net, name: interop.from_official(  # noqa: E731
            goldens.below(self.arrays, f"vars/{net}/"),
            "stylegan1",
            name,
            **common,
            **settings[f"{net}_kwargs"],
            **labels,
        )
        self.g, self.g_vars = load("G", "generator")
        self.d, self.d_vars = load("D", "discriminator")
        self.g, self.d = (n.clone(winograd=winograd) for n in (self.g, self.d))
        self.full = common["resolution"]
        self.lod = LevelOfDetail.from_scalar(lod, self.full)
        self.shrink = (self.lod.resolution / self.full) ** 2
        self.labels = self.arrays.get("in/labels")
        self.z2 = self.arrays.get("in/z2_style_mixing")
        self.cutoff = (settings["train_random"] or {}).get("cutoff")
        if "in/noise_layer0" in self.arrays:  # one noise map per image
            for i in range(2 * (self.full.bit_length() - 2)):
                noise = goldens.nhwc(self.arrays[f"in/noise_layer{i}"])
                self.g_vars["noise"][f"layers_{i}"]["noise"]["const"] = noise
        self.reals = goldens.nhwc(self.arrays["in/reals"])
        for _ in range(int(lod)):
            self.reals = jax.jit(downscale2d)(self.reals)

    def ws(self, params, z):
        variables = self.g_vars | {"params": params}
        return self.g.apply(variables, z, self.labels, method="map")

    def fakes(self, params):
        ws = self.ws(params, self.arrays["in/z"])
        if self.z2 is not None:
            ws = mix_styles(ws, self.ws(params, self.z2), self.cutoff)
        return self.g.apply(
            self.g_vars | {"params": params},
            ws,
            self.lod,
            method="synthesize",
        )

    def score(self, params):
        return lambda images: self.d.apply(
            {"params": params}, images, self.labels, self.lod
        )

    def evaluate(self, g_params, d_params):
        """Return the losses of each image by name, and the values they are made of."""
        fakes, score = self.fakes(g_params), self.score(d_params)
        fake = score(fakes)
        real, gradients = losses.scores_and_gradients(score, self.reals)
        r1 = losses.squared_norm_penalty(gradients, self.shrink)
        factors = self.arrays["in/wgan_mixing_factors"].reshape(-1)
        interpolated = losses.interpolate(self.reals, fakes, factors)
        _, slopes = losses.scores_and_gradients(score, interpolated)
        gp = losses.unit_norm_penalty(slopes, self.shrink)
        per_image = {
            name: f(real, fake) if name.startswith("D") else f(fake)
            for name, f in LOSSES.items()
        }
        per_image["D_logistic_simplegp"] = per_image["D_logistic"] + 10.0 / 2 * r1
        for name in ("D_wgan", "D_hinge"):
            per_image[f"{name}_gp"] = per_image[name] + 10.0 * gp
        ws = self.ws(g_params, self.arrays["in/z"])
        values = {
            "fakes": fakes,
            "fake_scores": fake,
            "real_scores": real,
            "real_gradients": gradients,
            "r1_penalty": r1,
            "w_avg": update_w_avg(self.g_vars["stats"]["w_avg"], ws, 0.995),
        }
        return per_image, values

    def run(self, names, g_compiler_options):
        """Evaluate, and differentiate the means of the named losses.

        Returns:
          losses and values as `evaluate`, and the gradients by the name of the loss.
        """

        def mean_losses(letter, g_params, d_params):
            per_image, values = self.evaluate(g_params, d_params)
            means = [jnp.mean(per_image[name]) for name in names if name[0] == letter]
            return jnp.stack(means), (per_image, values) if letter == "D" else None

        rows, evaluated = {}, {}
        for argument, (letter, options) in enumerate(
            (("G", g_compiler_options), ("D", None))
        ):
            # One backward pass, with a row for each loss of the network.
            f = functools.partial(mean_losses, letter)
            gradients, evaluated[letter] = jax.jit(
                jax.jacrev(f, argument, has_aux=True), compiler_options=options
            )(self.g_vars["params"], self.d_vars["params"])
            for i, name in enumerate(n for n in names if n[0] == letter):
                rows[name] = jax.tree.map(lambda x, i=i: np.asarray(x)[i], gradients)
        return *evaluated["D"], rows


class TestAdversarialLosses(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters(
        *("D_logistic", "D_wgan", "D_hinge"),
        *("G_logistic_nonsaturating", "G_logistic_saturating", "G_wgan"),
    )
    def test_golden_scores(self, name):
        arrays = goldens.arrays("stylegan1/loss_trainmode_16.npz")
        out = goldens.below(arrays, "out/lod0.6/")
        real, fake = (out[f"{kind}_scores"][:, 0] for kind in ("real", "fake"))
        scores = (real, fake) if name.startswith("D") else (fake,)
        loss = self.variant(LOSSES[name])(*scores)
        goldens.assert_close(loss, out[f"loss/{name}"][:, 0], LOSS, name)


# Some activations of the generators are so close to zero that rounding decides their
# signs, which moves gradients by 0.4 % or more. At level 0, which `make test` sets,
# some processors (`--xla_cpu_max_isa=SSE4_2`) round to the other side in loss_32.
COMPILER_OPTIONS = {"loss_32": {"xla_backend_optimization_level": 3}}
# File, level of detail, and True for the convolutions of training on a CPU.
CASES = [
    pytest.param(("loss_32", 0.0, False), marks=pytest.mark.slow),
    ("loss_32", 1.4, False),
    ("loss_trainmode_16", 0.6, True),
]


@dataclasses.dataclass(frozen=True)
class Case:
    """The results of one program, and the official ones."""

    official: OfficialNetworks
    out: dict[str, np.ndarray]
    expected_gradients: dict[str, np.ndarray]
    losses: dict[str, jax.Array]
    values: dict[str, jax.Array]
    gradients: dict


@pytest.fixture(scope="module", params=CASES, ids=lambda c: f"{c[0]}-lod{c[1]}")
def case(request):
    file, lod, winograd = request.param
    official = OfficialNetworks(file, lod, winograd)
    out = goldens.below(official.arrays, f"out/lod{lod}/")
    expected = goldens.below(official.arrays, f"grad/lod{lod}/")
    names = sorted({k.split("/")[0] for k in expected})
    return Case(
        official, out, expected, *official.run(names, COMPILER_OPTIONS.get(file))
    )


def test_images_scores_and_penalty(case):
    out, values = case.out, case.values
    k = case.official.full // case.official.lod.resolution
    upscaled = np.repeat(np.repeat(values["fakes"], k, 1), k, 2)
    goldens.assert_close(upscaled, goldens.nhwc(out["fake_images"]), IMAGES)
    for name in ("fake_scores", "real_scores"):
        goldens.assert_close(values[name], out[name][:, 0], SCORES, name)
    upscaled = np.repeat(np.repeat(values["real_gradients"] / k**2, k, 1), k, 2)
    goldens.assert_close(upscaled, goldens.nhwc(out["real_grads"]), GRADIENTS)
    goldens.assert_close(values["r1_penalty"], out["r1_penalty"], LOSS)


def test_w_avg(case):
    expected = case.out["dlatent_avg_after_one_eval"]
    goldens.assert_close(case.values["w_avg"], expected, 1e-5)


def test_losses(case):
    prefix = "loss_mean/"
    names = [k.removeprefix(prefix) for k in case.out if k.startswith(prefix)]
    assert len(names) == 9
    for name in names:
        per_image = np.asarray(case.losses[name])
        expected = case.out[prefix + name]
        np.testing.assert_allclose(np.mean(per_image), expected, LOSS, 1e-5, name)
        raw = case.out[f"loss/{name}"]
        if raw.shape == (len(per_image), 1):
            goldens.assert_close(per_image, raw[:, 0], LOSS, name)


def test_gradients_of_every_variable(case):
    official = case.official
    assert case.gradients
    for name, gradient in case.gradients.items():
        is_g = name.startswith("G")
        model, variables = (
            (official.g, official.g_vars) if is_g else (official.d, official.d_vars)
        )
        ours = interop.to_official(model, variables | {"params": gradient})
        expected = goldens.below(case.expected_gradients, f"{name}/")
        assert len(expected) > 10
        for variable, value in expected.items():
            if not np.any(value):
                np.testing.assert_array_equal(ours[variable], 0, variable)
            else:
                goldens.assert_close(
                    ours[variable], value, GRADIENTS, f"{name} by {variable}"
                )
