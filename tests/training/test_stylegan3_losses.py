"""The objectives of StyleGAN3, compared with the official ones in the same state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import config, interop
from stylegan_jax.training import blur
from stylegan_jax.training.optimizer import build_optimizers
from stylegan_jax.training.phases import build_phases
from stylegan_jax.training.state import without_w_avg
from tests import goldens, tiny
from tests.training.replay import Recording, tape_for, whole_batch

FILE = "F10_loss_sg3t_blur"
SOURCE = "stylegan3"
# Relative to the rms. The official float32 errs by up to 2e-6 and 1e-5 of the maximum.
VALUES, GRADIENTS = 1e-5, 1e-4


class StyleGAN3Recording(Recording):
    """A golden file with StyleGAN3's loss."""

    source = SOURCE

    def experiment(self, **training):
        g, d = self.settings["G_kwargs"], self.settings["D_kwargs"]
        loss = self.settings["loss_kwargs"]
        return config.parse(
            {
                "data": {"resolution": g["img_resolution"]},
                "model": {
                    "family": "stylegan3",
                    "z_dim": g["z_dim"],
                    "w_dim": g["w_dim"],
                    "mapping_layers": g["mapping_kwargs"]["num_layers"],
                    "mapping_features": g["w_dim"],
                    "channel_base": g["channel_base"],
                    "channel_max": g["channel_max"],
                    "num_layers": g["num_layers"],
                    "d_channel_base": d["channel_base"],
                    "d_channel_max": d["channel_max"],
                    "d_architecture": "resnet",
                    "conv_clamp": float(d["conv_clamp"]),
                    "d_mapping_layers": d["mapping_kwargs"]["num_layers"],
                    "mbstd_group_size": d["epilogue_kwargs"]["mbstd_group_size"],
                },
                "training": {
                    "total_kimg": 1.0,
                    "batch_size": self.batch,
                    "style_mixing_probability": 0.0,
                    "w_avg_beta": 0.998,
                    # A batch of 32 determines the decay in the file.
                    "magnitude_half_life_kimg": 20.0 * self.batch / 32,
                    "r1_gamma": loss["r1_gamma"],
                    "blur_init_sigma": float(loss["blur_init_sigma"]),
                    "blur_fade_kimg": float(loss["blur_fade_kimg"]),
                }
                | training,
            }
        )

    def state(self, networks, optimizers, names):
        self.settings |= {"pl_mean_init": 0.0}
        state = super().state(networks, optimizers, names)
        seen = jnp.int32(self.settings["cur_nimg"])
        magnitudes = without_w_avg(networks[0][1]["stats"])
        return state.replace(images_seen=seen, magnitudes=magnitudes)


PHASES = {"Gmain": "g_main", "Dmain": "d_main", "Dreg": "d_r1"}


@pytest.mark.parametrize(
    "official", [["Dmain"], pytest.param(list(PHASES), marks=pytest.mark.slow)], ids=len
)
def test_objectives(official, monkeypatch):
    """Compare scores, losses, gradients and moving averages."""
    recording = StyleGAN3Recording(FILE)
    arrays, batch = recording.arrays, recording.batch
    # An interval of one, because the file does not scale for lazy regularization.
    e = recording.experiment(d_reg_interval=1)
    (g, g_vars), (d, d_vars) = networks = recording.networks(e)
    tape = tape_for(monkeypatch, recording)
    phases = {p.name: tape.replay(p) for p in build_phases(e, *tape.networks(g, d))}
    assert set(phases) == set(PHASES.values())
    state = recording.state(networks, build_optimizers(e), list(phases))
    labels = tape.pack(
        batch,
        real_c=arrays["in/real_c"],
        gen_c=arrays["in/gen_c"],
        z=arrays["in/gen_z"],
    )

    def run(state, reals, labels):
        results = {}
        for name in official:
            phase = phases[PHASES[name]]
            inputs = whole_batch(state, reals, labels, 32)

            def objective(params, phase=phase, inputs=inputs):
                loss, aux = phase.objective(params, inputs)
                return loss, (reported(phase.name), aux.averages)

            params = state.params[phase.network]
            results[name] = jax.value_and_grad(objective, has_aux=True)(params)
        return results

    def reported(phase):
        calls, out = tape.seen, {}
        if phase == "d_r1":
            out["scores/real"], _ = calls["scores_and_gradients"][1]
            _, out["r1_penalty"] = calls["squared_norm_penalty"]
            out["D/reg"] = e.training.r1_gamma / 2 * out["r1_penalty"]
            return out
        for real, scores in tape.scores:
            out["scores/real" if real else "scores/fake"] = scores
        if phase == "g_main":
            out["G/loss"] = calls["generator"][1]
        if phase == "d_main":
            out["D/loss"] = calls["discriminator"][1]
        return out

    reals = recording.images().astype(np.float32) / 127.5 - 1
    with tiny.quick_compilation():
        results = jax.jit(run)(state, reals, labels)
    for phase, ((_, (ours, averages)), gradients) in results.items():
        for key, value in goldens.below(arrays, f"out/{phase}/").items():
            value = value[:, 0] if value.shape == (batch, 1) else value
            if key.startswith("signs/"):
                actual = jnp.sign(ours[key.replace("signs", "scores")])
                np.testing.assert_array_equal(actual, value)
            else:
                goldens.assert_close(ours[key], value, VALUES, f"{phase} {key}")
        stats = g_vars["stats"] | averages.get("magnitudes", {})
        stats |= {"w_avg": averages.get("w_avg", state.w_avg)}
        after = interop.to_official(g, g_vars | {"stats": stats})
        expected = goldens.below(arrays, f"ema/{phase}/")
        assert len(expected) == len(g.table.layers) + 1
        for key, value in expected.items():
            np.testing.assert_allclose(after[key], value, 1e-5, 1e-6, err_msg=key)
        model, variables = (g, g_vars) if phase == "Gmain" else (d, d_vars)
        ours = interop.to_official(model, variables | {"params": gradients}, SOURCE)
        expected = goldens.below(arrays, f"grad/{phase}/")
        assert len(expected) >= len(jax.tree.leaves(gradients)) - 1
        for key, value in expected.items():
            if np.any(value):
                goldens.assert_close(ours[key], value, GRADIENTS, f"{phase} by {key}")
            else:
                np.testing.assert_array_equal(ours[key], 0, f"{phase} by {key}")


def test_blur():
    """The schedule and the filter, whose taps change with the number of images seen."""
    arrays = goldens.arrays(f"stylegan2_and_3/{FILE}.npz")
    settings = StyleGAN3Recording(FILE).settings
    loss = settings["loss_kwargs"]

    @jax.jit
    def run(images, seen):
        sigma = blur.sigma_at(loss["blur_init_sigma"], loss["blur_fade_kimg"], seen)
        return sigma, blur.blur(images, sigma, loss["blur_init_sigma"])

    image = goldens.nhwc(arrays["in/real_img_u8"][:1]).astype(np.float32) / 127.5 - 1
    sigma, blurred = run(image, int(settings["cur_nimg"]))
    assert sigma == settings["blur_sigma"] == 4.0
    wanted = goldens.nhwc(arrays["blur/real_blurred_0"].reshape(1, 3, 32, 32))
    goldens.assert_close(blurred, wanted, 1e-5)
    size = 41
    impulse = np.zeros((1, size, size, 1), np.float32)
    impulse[0, size // 2, size // 2] = 1
    _, response = run(impulse, int(settings["cur_nimg"]))
    taps = arrays["blur/filter"]
    assert taps.shape == (25,)
    np.testing.assert_allclose(
        response[0, 8:-8, 8:-8, 0], np.outer(taps, taps), atol=1e-8
    )
    assert np.count_nonzero(response) == 25**2
    # Below a third of a pixel, nothing is left of it.
    assert run(image, 0)[0] == 10 and run(image, 10**7)[0] == 0
    np.testing.assert_array_equal(run(image, 194_000)[1], image)
