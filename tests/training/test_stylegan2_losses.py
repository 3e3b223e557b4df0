"""The objectives of StyleGAN2, compared with the official ones in the same state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax import interop
from stylegan_jax.augment import transforms
from stylegan_jax.training.optimizer import build_optimizers
from stylegan_jax.training.phases import build_phases
from tests import goldens, tiny
from tests.training.replay import (
    PHASES,
    SOURCE,
    Recording,
    percentile_numbers,
    tape_for,
    whole_batch,
)

# Relative to the rms. The official float32 errs by up to 2e-6 and 5e-6 of the maximum.
VALUES, GRADIENTS = 1e-5, 1e-4


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        pytest.param("D1_loss_uncond_nomix", False, marks=pytest.mark.slow),
        pytest.param("D2_loss_cond_mix", False, marks=pytest.mark.slow),
        pytest.param("D2_loss_cond_mix", True, marks=pytest.mark.slow),
        ("D3_loss_aug_bgc", False),
    ],
)
def test_objectives(name, blocks, monkeypatch):
    """Compare everything that the official code reports, and all gradients."""
    recording = Recording(name)
    arrays = recording.arrays
    # Intervals of one, because the file does not scale for lazy regularization.
    e = recording.experiment(d_reg_interval=1, g_reg_interval=1)
    (g, g_vars), (d, d_vars) = networks = recording.networks(e, pixel_blocks=blocks)
    tape = tape_for(monkeypatch, recording)
    if augmented := recording.settings["aug"]:

        def draw(key, shape, policy):
            percentile = augmented["debug_percentile"]
            return percentile_numbers(shape, augmented["kwargs"], percentile)

        monkeypatch.setattr(transforms, "draw", draw)
    replayed = {p.name: tape.replay(p) for p in build_phases(e, *tape.networks(g, d))}
    assert set(replayed) == set(PHASES.values())
    state = recording.state(networks, build_optimizers(e), list(replayed))
    common = {
        "real_c": arrays.get("in/real_c", np.zeros((8, 0))),
        "gen_c": arrays.get("in/gen_c", np.zeros((8, 0))),
        "z": arrays["in/gen_z"],
        "noise": goldens.nhwc(arrays["in/pl_noise_raw"]),
    }
    if "in/mix_z" in arrays:
        common["mix_z"] = arrays["in/mix_z"]
        common["cutoff"] = np.full(8, arrays["in/mix_cutoff"])
    labels = tape.pack(8, **common)

    def run(state, reals, labels):
        results = {}
        for official, name in PHASES.items():
            phase = replayed[name]
            inputs = whole_batch(state, reals, labels, 16)

            def objective(params, phase=phase, inputs=inputs):
                loss, aux = phase.objective(params, inputs)
                return loss, (reported(phase.name, aux), aux.scalars)

            params = state.params[phase.network]
            results[official] = jax.value_and_grad(objective, has_aux=True)(params)
        return results

    def reported(phase, aux):
        """Return our values by their official names."""
        t, calls = e.training, tape.seen
        out = {}
        if phase == "d_r1":
            out["scores/real"], _ = calls["scores_and_gradients"][1]
        else:
            for real, scores in tape.scores:
                out["scores/real" if real else "scores/fake"] = scores
        if phase == "g_main":
            out["G/loss"] = calls["generator"][1]
        if phase == "d_main":
            out["D/loss"] = calls["discriminator"][1]
        if phase == "g_path":
            (out["pl_grads"],), out["pl_lengths"] = calls["path_lengths"]
            out["pl_penalty"], _ = calls["path_length_penalty"][1]
            out["G/reg"] = t.path_length_weight * out["pl_penalty"]
            out["pl_mean_after"] = aux.averages["path_length_mean"]
        if phase == "d_r1":
            (gradients, _), out["r1_penalty"] = calls["squared_norm_penalty"]
            out["r1_grads_0"] = gradients[:1].transpose(0, 3, 1, 2)
            out["D/reg"] = t.r1_gamma / 2 * out["r1_penalty"]
        out["w_avg_after"] = aux.averages.get("w_avg", state.w_avg)
        return out

    reals = recording.images().astype(np.float32) / 127.5 - 1
    with tiny.quick_compilation():
        results = jax.jit(run)(state, reals, labels)
    means = {"Gmain": "G/loss", "Greg": "G/reg", "Dmain": "D/loss", "Dreg": "D/reg"}
    for phase, ((loss, (ours, scalars)), gradients) in results.items():
        expected = goldens.below(arrays, f"out/{phase}/")
        assert all(np.isfinite(v) for v in scalars.values())
        np.testing.assert_allclose(loss, expected[means[phase]].mean(), VALUES)
        for key, value in expected.items():
            value = value[:, 0] if value.shape == (8, 1) else value
            if key.startswith("signs/"):
                actual = jnp.sign(ours[key.replace("signs", "scores")])
                np.testing.assert_array_equal(actual, value)
            else:
                goldens.assert_close(ours[key], value, VALUES, f"{phase} {key}")
        model, variables = (g, g_vars) if phase.startswith("G") else (d, d_vars)
        ours = interop.to_official(model, variables | {"params": gradients}, SOURCE)
        expected = goldens.below(arrays, f"grad/{phase}/")
        assert len(expected) == len(jax.tree.leaves(gradients))
        for key, value in expected.items():
            if np.any(value):
                goldens.assert_close(ours[key], value, GRADIENTS, f"{phase} by {key}")
            else:
                np.testing.assert_array_equal(ours[key], 0, f"{phase} by {key}")
