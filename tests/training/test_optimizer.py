"""Adam and whole iterations of StyleGAN, compared with the official code."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stylegan_jax import interop
from stylegan_jax.models import LevelOfDetail
from stylegan_jax.models.mapping import update_w_avg
from stylegan_jax.training import losses
from stylegan_jax.training.optimizer import scale_by_adam, scale_by_tensorflow_adam
from tests import goldens


def test_tensorflow_adam_on_scalars():
    """Gradients of 1 down to 1e-12 and zero; the state is reset before step 5."""
    data = goldens.arrays("stylegan1/adam_scalar.npz")
    rate, beta1, beta2, epsilon = (float(x) for x in data["in/lr_beta1_beta2_eps"])
    adam = scale_by_tensorflow_adam(beta1, beta2, epsilon)
    x = jnp.asarray(data["in/x0"])
    state = adam.init(x)
    for i, gradient in enumerate(jnp.asarray(data["in/grads"])):
        if i in data["in/reset_state_before_step_index"]:
            state = adam.init(x)
        direction, state = adam.update(gradient, state)
        change = -rate * direction
        expected = data["out/x_after_each_step"][i] - np.asarray(x)
        # Only the rounding of x, about 1e-7 of its size, may differ.
        np.testing.assert_allclose(change, expected, rtol=1e-4, atol=3e-7)
        x = x + change
        np.testing.assert_allclose(x, data["out/x_after_each_step"][i], atol=3e-7)


def test_tensorflow_adam_follows_the_paper():
    beta1, beta2, epsilon = 0.5, 0.9, 1e-8
    adam = scale_by_tensorflow_adam(beta1, beta2, epsilon)
    rng = np.random.RandomState(0)
    x = jnp.zeros(5)
    state = adam.init(x)
    mu = nu = np.zeros(5)
    for t in range(1, 6):
        g = rng.randn(5)
        mu, nu = beta1 * mu + (1 - beta1) * g, beta2 * nu + (1 - beta2) * g**2
        expected = np.sqrt(1 - beta2**t) / (1 - beta1**t) * mu / (np.sqrt(nu) + epsilon)
        direction, state = adam.update(jnp.asarray(g, jnp.float32), state)
        np.testing.assert_allclose(direction, expected, rtol=1e-5)


def test_tensorflow_adam_differs_from_optax_for_tiny_gradients():
    gradient = jnp.array([1e-9])
    ours = scale_by_tensorflow_adam(0.0, 0.99, 1e-8)
    theirs = optax.scale_by_adam(0.0, 0.99, 1e-8)
    a, _ = ours.update(gradient, ours.init(gradient))
    b, _ = theirs.update(gradient, theirs.init(gradient))
    assert abs(float(a[0]) - float(b[0])) > 0.04


@pytest.mark.parametrize("beta1", [0.0, 0.5])
def test_pytorch_adam_adds_epsilon_to_the_corrected_root(beta1):
    """Test gradients of the size of epsilon, as in StyleGAN2-ADA."""
    beta2, epsilon = 0.99, 1e-8
    adam = scale_by_adam(beta1, beta2, epsilon, "pytorch")
    rng = np.random.RandomState(0)
    scale = 10.0 ** -np.arange(4, 11)
    state = adam.init(jnp.zeros(len(scale)))
    mu = nu = np.zeros(len(scale))
    for t in range(1, 6):
        g = rng.randn(len(scale)) * scale
        mu, nu = beta1 * mu + (1 - beta1) * g, beta2 * nu + (1 - beta2) * g**2
        root = np.sqrt(nu / (1 - beta2**t))
        expected = mu / (1 - beta1**t) / (root + epsilon)
        direction, state = adam.update(jnp.asarray(g, jnp.float32), state)
        np.testing.assert_allclose(direction, expected, rtol=1e-4)


@pytest.mark.parametrize(
    "file", [pytest.param("adam_16", marks=pytest.mark.slow), "adam_32_fade"]
)
def test_official_iterations(file):
    """Run D step, averaging and G step three times, as the official loop does."""
    arrays = goldens.arrays(f"stylegan1/{file}.npz")
    settings = goldens.settings(f"stylegan1/{file}.npz")
    lod, rate = settings["lod"], settings["lr"]
    common = settings["common_kwargs"]
    load = lambda net, name: interop.from_official(  # noqa: E731
        goldens.below(arrays, f"vars/{net}/"),
        "stylegan1",
        name,
        **common,
        **settings[f"{net}_kwargs"],
    )
    g, g_vars = load("G", "generator")
    d, d_vars = load("D", "discriminator")
    g, d = g.clone(winograd=True), d.clone(winograd=True)  # as in training
    averaged = {
        **interop.to_official(g, g_vars),
        **goldens.below(arrays, "vars/Gs/"),
    }
    _, ema = interop.from_official(
        averaged, "stylegan1", "generator", **common, **settings["G_kwargs"]
    )
    assert int(lod) == 0
    lod = LevelOfDetail.from_scalar(lod, g.resolution)
    reals = jnp.asarray(goldens.nhwc(arrays["in/reals"]))
    beta = 0.5 ** (settings["batch"] / (settings["smoothing_kimg"] * 1000))
    assert beta == pytest.approx(float(arrays["out/Gs_beta"]))
    adam = scale_by_tensorflow_adam(0.0, 0.99, 1e-8)

    def fakes(params, w_avg, z):
        variables = g_vars | {"params": params}
        ws = g.apply(variables, z, method="map")
        images = g.apply(variables, ws, lod, method="synthesize")
        return images, update_w_avg(w_avg, ws, 0.995)

    def d_loss(params, g_params, w_avg):
        images, w_avg = fakes(g_params, w_avg, arrays["in/z_D"])
        score = lambda x: d.apply({"params": params}, x, lod=lod)  # noqa: E731
        real, gradients = losses.scores_and_gradients(score, reals)
        penalty = losses.squared_norm_penalty(gradients, 1.0)
        loss = losses.d_logistic(real, score(images)) + 5.0 * penalty
        return jnp.mean(loss), w_avg

    def g_loss(params, d_params, w_avg):
        images, w_avg = fakes(params, w_avg, arrays["in/z_G"])
        scores = d.apply({"params": d_params}, images, lod=lod)
        return jnp.mean(losses.g_logistic_nonsaturating(scores)), w_avg

    def apply(params, direction):
        return jax.tree.map(lambda p, u: p - rate * u, params, direction)

    @jax.jit
    def iterate(g_params, d_params, ema_params, w_avg, g_adam, d_adam):
        (loss_d, w_avg), gradients = jax.value_and_grad(d_loss, has_aux=True)(
            d_params, g_params, w_avg
        )
        direction, d_adam = adam.update(gradients, d_adam)
        d_params = apply(d_params, direction)
        ema_params = jax.tree.map(
            lambda old, new: new + (old - new) * beta, ema_params, g_params
        )
        ema_w_avg = w_avg
        (loss_g, w_avg), gradients = jax.value_and_grad(g_loss, has_aux=True)(
            g_params, d_params, w_avg
        )
        direction, g_adam = adam.update(gradients, g_adam)
        g_params = apply(g_params, direction)
        state = g_params, d_params, ema_params, w_avg, g_adam, d_adam
        return state, ema_w_avg, (loss_d, loss_g)

    initial = jax.jit(adam.init)
    g_params, d_params = g_vars["params"], d_vars["params"]
    current = (
        *(g_params, d_params, ema["params"], g_vars["stats"]["w_avg"]),
        *(initial(g_params), initial(d_params)),
    )
    for iteration in (1, 2, 3):
        current, ema_w_avg, found = iterate(*current)
        expected = arrays["out/losses_D_G_per_iteration"][iteration - 1]
        np.testing.assert_allclose(found, expected, rtol=2e-4)
        if iteration not in settings["steps"]:
            continue
        g_params, d_params, ema_params, w_avg, *_ = current
        after = {
            "G": (g, {**g_vars, "params": g_params, "stats": {"w_avg": w_avg}}),
            "D": (d, {**d_vars, "params": d_params}),
            "Gs": (g, {**ema, "params": ema_params, "stats": {"w_avg": ema_w_avg}}),
        }
        for net, (model, variables) in after.items():
            ours = interop.to_official(model, variables)
            before = averaged if net == "Gs" else goldens.below(arrays, f"vars/{net}/")
            expected = goldens.below(arrays, f"out/after_{iteration}/{net}/")
            assert len(expected) >= 20
            off = total = 0
            for name, value in expected.items():
                change = np.abs((ours[name] - before[name]) - (value - before[name]))
                # Allow rounding of stored values (mapping weights are about 100) and
                # 0.5% of a step. With beta1 = 0 a step is nearly the gradient's sign,
                # so a few entries with a gradient near zero may differ by more.
                allowed = 0.005 * rate * iteration + 3e-7 * np.abs(value)
                off += int(np.sum(change > allowed))
                total += change.size
            assert off <= 5e-4 * total, (net, iteration, off, total)
