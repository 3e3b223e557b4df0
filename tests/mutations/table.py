"""The mutations: in a file, an old text that is there exactly once, and a new one.

To add one, write an entry below and `python -m tests.mutations --only NAME`. A test
that catches a mutation is about behaviour; none compares source text.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Mutation:
    """A small wrong change.

    Attributes:
      name: unique.
      kind: the part of the mathematics.
      file: path in the project.
      old: text that the file has exactly once.
      new: text in its place.
      tests: files with quick tests, one of which must fail.
    """

    name: str
    kind: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def _of(kind: str, *entries: tuple[str, ...]) -> list[Mutation]:
    """Return the mutations of a kind: (name, file, old, new, tests...).

    Files are named from `stylegan_jax/`, tests from `tests/` and without ".py".
    """
    return [
        Mutation(
            name,
            kind,
            f"stylegan_jax/{file}",
            old,
            new,
            tuple(f"tests/{test}.py" for test in tests),
        )
        for name, file, old, new, *tests in entries
    ]


STEP, PHASES, LOSSES = "training/step.py", "training/phases.py", "training/losses.py"
LOOP, SCHEDULE, STATE = "training/loop.py", "training/schedule.py", "training/state.py"
OPTIMIZER = "training/optimizer.py"
NOISE, LINEAR, MODULATION = (
    "layers/noise.py",
    "layers/linear.py",
    "layers/modulation.py",
)
STDDEV, NORMALIZATION = "layers/minibatch_stddev.py", "layers/normalization.py"
RESAMPLE, FIR, ACTIVATIONS = (
    "layers/resample.py",
    "layers/upfirdn2d.py",
    "layers/activations.py",
)
MAPPING = "models/mapping.py"
G1 = D1 = "models/stylegan1.py"
G2 = D2 = "models/stylegan2.py"
LAYERS2, INTERFACE = "models/stylegan2_layers.py", "models/interface.py"
PIPELINE, TRANSFORMS = "data/pipeline.py", "augment/transforms.py"
UPDATES, LOOPS = "training/test_step_updates", "training/test_loop_schedule"
OBJECTIVES, ADAM = "training/test_phases", "training/test_optimizer_settings"
GOLDEN, GOLDEN2 = "layers/test_goldens", "layers/test_stylegan2_layers"

MUTATIONS: tuple[Mutation, ...] = (
    *_of(
        "EMA order and ramp-up",
        (
            "ema-after-the-clock-phase",
            STEP,
            "if phase.ema:",
            "if index == clock:",
            UPDATES,
        ),
        (
            "ema-of-the-state-before",
            STEP,
            "update_ema(new, beta)",
            "update_ema(state, beta)",
            UPDATES,
        ),
        (
            "ema-lerp-swapped",
            STEP,
            "new + (old - new) * beta",
            "old + (new - old) * beta",
            UPDATES,
        ),
        (
            "ema-rampup-counts-the-step",
            STEP,
            "ema_beta(e, stage.batch_size, state.images_seen)",
            "ema_beta(e, stage.batch_size, state.images_seen + stage.batch_size)",
            UPDATES,
        ),
        (
            "ema-rampup-never-limits",
            STEP,
            "jnp.minimum(half_life, images_seen * e.training.ema_rampup)",
            "jnp.maximum(half_life, images_seen * e.training.ema_rampup)",
            UPDATES,
        ),
        (
            "ema-half-life-natural-base",
            STEP,
            "return 0.5 ** (batch_size / half_life)",
            "return 0.3679 ** (batch_size / half_life)",
            UPDATES,
        ),
        (
            "ema-w-avg-averaged-twice",
            STEP,
            '"stats": {"w_avg": state.w_avg}}',
            '"stats": {"w_avg": state.ema["stats"]["w_avg"] * beta + state.w_avg '
            "* (1 - beta)}}",
            UPDATES,
        ),
    ),
    *_of(
        "noise",
        (
            "noise-map-for-each-channel",
            NOISE,
            '(self.make_rng("noise"), (*x.shape[:3], 1))',
            '(self.make_rng("noise"), x.shape)',
            "layers/test_noise",
        ),
        (
            "noise-map-shared-by-the-batch",
            NOISE,
            '(self.make_rng("noise"), (*x.shape[:3], 1))',
            '(self.make_rng("noise"), (1, *x.shape[1:3], 1))',
            "layers/test_noise",
        ),
        (
            "noise-uniform",
            NOISE,
            'noise = jax.random.normal(self.make_rng("noise")',
            'noise = jax.random.uniform(self.make_rng("noise")',
            "layers/test_noise",
        ),
        (
            "noise-strength-starts-at-one",
            NOISE,
            '"strength", nn.initializers.zeros',
            '"strength", nn.initializers.ones',
            "layers/test_noise",
        ),
        (
            "noise-constant-while-training",
            PHASES,
            'noise="random",',
            'noise="const",',
            OBJECTIVES,
        ),
        (
            "noise-after-the-bias",
            G1,
            """            x = NoiseInjection(name="noise")(x, noise)
        x = Bias(name="bias")(x)
        x = ACTIVATIONS[o.nonlinearity].function(x)
""",
            """            pass
        x = Bias(name="bias")(x)
        x = ACTIVATIONS[o.nonlinearity].function(x)
        if o.noise:
            x = NoiseInjection(name="noise")(x, noise)
""",
            "models/test_layer_order",
        ),
        (
            "noise-after-the-activation-of-stylegan2",
            LAYERS2,
            """            x = NoiseInjection(per_channel=False, name="noise")(x, noise)
        x = Bias(name="bias")(x)
        return activate(x, o.activation, self.gain, o.conv_clamp)
""",
            """            pass
        x = Bias(name="bias")(x)
        x = activate(x, o.activation, self.gain, o.conv_clamp)
        return NoiseInjection(per_channel=False, name="noise")(x, noise)
""",
            "models/test_layer_order",
        ),
    ),
    *_of(
        "Adam's epsilon and moments",
        (
            "adam-of-signs",
            STEP,
            "optimizer.update(\n            gradients,",
            "optimizer.update(\n            jax.tree.map(jnp.sign, gradients),",
            UPDATES,
        ),
        (
            "adam-epsilon-in-the-root",
            OPTIMIZER,
            "/ (jnp.sqrt(v) + epsilon)",
            "/ jnp.sqrt(v + epsilon)",
            ADAM,
        ),
        (
            "adam-epsilon-of-the-other-family",
            OPTIMIZER,
            '{"stylegan1": "tensorflow", "stylegan2": "pytorch"}',
            '{"stylegan1": "pytorch", "stylegan2": "tensorflow"}',
            ADAM,
        ),
        (
            "adam-correction-without-root",
            OPTIMIZER,
            "jnp.sqrt(1 - beta2**t) / (1 - beta1**t)",
            "(1 - beta2**t) / (1 - beta1**t)",
            ADAM,
        ),
        (
            "adam-first-moment-not-corrected",
            OPTIMIZER,
            "jnp.sqrt(1 - beta2**t) / (1 - beta1**t)",
            "jnp.sqrt(1 - beta2**t)",
            ADAM,
        ),
        (
            "adam-second-moment-of-first-power",
            OPTIMIZER,
            "optax.tree.update_moment(gradients, state.nu, beta2, 2)",
            "optax.tree.update_moment(gradients, state.nu, beta2, 1)",
            ADAM,
        ),
        (
            "adam-counts-from-zero",
            OPTIMIZER,
            "count = state.count + 1\n        t = count",
            "count = state.count + 1\n        t = state.count",
            ADAM,
        ),
        (
            "adam-pytorch-epsilon-in-the-root",
            OPTIMIZER,
            "eps_in_sqrt=False",
            "eps_in_sqrt=True",
            ADAM,
        ),
        (
            "adam-pytorch-not-corrected",
            OPTIMIZER,
            "bias_correction=True",
            "bias_correction=False",
            ADAM,
        ),
        (
            "adam-betas-swapped",
            OPTIMIZER,
            "return scale_by_tensorflow_adam(beta1, beta2, epsilon)",
            "return scale_by_tensorflow_adam(beta2, beta1, epsilon)",
            ADAM,
        ),
    ),
    *_of(
        "lazy correction",
        (
            "lazy-beta1-not-corrected",
            OPTIMIZER,
            "e.training.adam_beta1 ** lazy_ratio(e, network),",
            "e.training.adam_beta1,",
            ADAM,
        ),
        (
            "lazy-beta2-not-corrected",
            OPTIMIZER,
            "e.training.adam_beta2 ** lazy_ratio(e, network),",
            "e.training.adam_beta2,",
            ADAM,
        ),
        (
            "lazy-rate-not-corrected",
            OPTIMIZER,
            "t, ratio = e.training, lazy_ratio(e, network)",
            "t, ratio = e.training, 1.0",
            ADAM,
        ),
        (
            "lazy-ratio-inverted",
            OPTIMIZER,
            "return k / (k + 1) if k else 1.0",
            "return (k + 1) / k if k else 1.0",
            ADAM,
        ),
        (
            "lazy-interval-of-the-other-network",
            OPTIMIZER,
            "k = t.g_reg_interval if network == GENERATOR else t.d_reg_interval",
            "k = t.d_reg_interval if network == GENERATOR else t.g_reg_interval",
            ADAM,
        ),
        (
            "lazy-r1-without-its-interval",
            PHASES,
            "loss = t.d_reg_interval * t.r1_gamma / 2 * penalty",
            "loss = t.r1_gamma / 2 * penalty",
            OBJECTIVES,
        ),
        (
            "lazy-path-length-without-its-interval",
            PHASES,
            "loss = t.g_reg_interval * t.path_length_weight * jnp.mean(penalty)",
            "loss = t.path_length_weight * jnp.mean(penalty)",
            OBJECTIVES,
        ),
        (
            "lazy-discriminator-rate-for-both",
            OPTIMIZER,
            "if network == DISCRIMINATOR and t.discriminator_learning_rate is not None",
            "if t.discriminator_learning_rate is not None",
            ADAM,
        ),
    ),
    *_of(
        "minibatch statistics per device",
        (
            "stddev-contiguous-groups",
            STDDEV,
            ".reshape(group, b // group, h, w, num_features, -1)",
            ".reshape(b // group, group, h, w, num_features, -1).swapaxes(0, 1)",
            "layers/test_minibatch_stddev",
        ),
        (
            "stddev-returned-to-other-images",
            STDDEV,
            "jnp.tile(y, (group, 1))",
            "jnp.repeat(y, group, axis=0)",
            "layers/test_minibatch_stddev",
        ),
        (
            "stddev-strided-features",
            STDDEV,
            "h, w, num_features, -1)\n    y = y - ",
            "h, w, -1, num_features).swapaxes(4, 5)\n    y = y - ",
            "layers/test_minibatch_stddev",
        ),
        (
            "stddev-of-a-sample",
            STDDEV,
            "jnp.sqrt(jnp.mean(jnp.square(y), axis=0) + EPSILON)",
            "jnp.sqrt(jnp.sum(jnp.square(y), axis=0) / max(group - 1, 1) + EPSILON)",
            "layers/test_minibatch_stddev",
        ),
        (
            "stddev-epsilon-outside-the-root",
            STDDEV,
            "jnp.sqrt(jnp.mean(jnp.square(y), axis=0) + EPSILON)",
            "jnp.sqrt(jnp.mean(jnp.square(y), axis=0)) + EPSILON",
            "layers/test_minibatch_stddev",
        ),
        (
            "stddev-averaged-after-the-root-only",
            STDDEV,
            "y = jnp.mean(y, axis=(1, 2, 4))",
            "y = jnp.sqrt(jnp.mean(jnp.square(y), axis=(1, 2, 4)))",
            "layers/test_minibatch_stddev",
        ),
        (
            "rounds-take-contiguous-rows",
            STEP,
            "x.reshape(len(x) // rounds, rounds, *x.shape[1:]).swapaxes(0, 1)",
            "x.reshape(rounds, len(x) // rounds, *x.shape[1:])",
            "training/test_stylegan2_step",
        ),
        (
            "rounds-are-added-up",
            STEP,
            "jax.tree.map(lambda x: x / rounds, sums)",
            "jax.tree.map(lambda x: x, sums)",
            UPDATES,
        ),
        (
            "stddev-of-stylegan1-switched-off",
            D1,
            "if self.mbstd_group_size > 1:",
            "if self.mbstd_group_size > 4:",
            "models/test_stylegan1",
        ),
    ),
    *_of(
        "R1, R2 and the gradient penalty",
        (
            "r1-lazy-whole-gamma",
            PHASES,
            "t.d_reg_interval * t.r1_gamma / 2 * penalty",
            "t.d_reg_interval * t.r1_gamma * penalty",
            OBJECTIVES,
        ),
        (
            "r1-whole-gamma",
            PHASES,
            "penalty + gamma / 2 * raw",
            "penalty + gamma * raw",
            OBJECTIVES,
        ),
        (
            "r2-on-reals",
            PHASES,
            "params, inputs, Stream.AUGMENT_FAKES, fakes, eager * t.r2_gamma",
            "params, inputs, Stream.AUGMENT_FAKES, inputs.reals, eager * t.r2_gamma",
            OBJECTIVES,
        ),
        (
            "r2-with-the-weight-of-r1",
            PHASES,
            '("r2", t.r2_gamma, r2)',
            '("r2", t.r1_gamma, r2)',
            OBJECTIVES,
        ),
        (
            "r1-eager-though-lazy",
            PHASES,
            "eager = not uses_gp and not t.d_reg_interval",
            "eager = not uses_gp",
            OBJECTIVES,
        ),
        (
            "penalties-shrink-by-the-side",
            PHASES,
            "(inputs.lod.resolution / self._discriminator.resolution) ** 2",
            "(inputs.lod.resolution / self._discriminator.resolution)",
            OBJECTIVES,
        ),
        (
            "r1-norm-not-squared",
            LOSSES,
            "return shrink * jnp.sum(jnp.square(gradients), axis=(1, 2, 3))",
            "return jnp.sqrt(shrink * jnp.sum(jnp.square(gradients), axis=(1, 2, 3)))",
            OBJECTIVES,
        ),
        (
            "r1-mean-over-pixels",
            LOSSES,
            "return shrink * jnp.sum(jnp.square(gradients), axis=(1, 2, 3))",
            "return shrink * jnp.mean(jnp.square(gradients), axis=(1, 2, 3))",
            OBJECTIVES,
        ),
        (
            "gp-divided-by-the-target",
            PHASES,
            "t.gp_weight / t.gp_target**2 * raw",
            "t.gp_weight / t.gp_target * raw",
            OBJECTIVES,
        ),
        (
            "gp-target-ignored",
            PHASES,
            "losses.unit_norm_penalty(gradients, self._shrink(inputs), t.gp_target)",
            "losses.unit_norm_penalty(gradients, self._shrink(inputs))",
            OBJECTIVES,
        ),
        (
            "gp-one-factor-for-the-batch",
            PHASES,
            "jax.random.uniform(inputs.key(Stream.INTERPOLATION), real.shape)",
            "jnp.full(real.shape, "
            "jax.random.uniform(inputs.key(Stream.INTERPOLATION), ()))",
            OBJECTIVES,
        ),
        (
            "gp-interpolation-reversed",
            LOSSES,
            "return reals + (fakes - reals) * factors",
            "return fakes + (reals - fakes) * factors",
            OBJECTIVES,
        ),
        (
            "gp-shrink-outside-the-root",
            LOSSES,
            "norm = jnp.sqrt(shrink * jnp.sum(jnp.square(gradients), axis=(1, 2, 3)))",
            "norm = shrink * jnp.sqrt(jnp.sum(jnp.square(gradients), axis=(1, 2, 3)))",
            OBJECTIVES,
        ),
        (
            "gp-of-too-short-gradients-only",
            LOSSES,
            "return jnp.square(norm - target)",
            "return jnp.square(jnp.minimum(norm - target, 0.0))",
            OBJECTIVES,
        ),
    ),
    *_of(
        "path length",
        (
            "path-mean-updated-after-its-use",
            LOSSES,
            """    mean = mean + decay * (jnp.mean(lengths) - mean)
    return jnp.square(lengths - mean), mean
""",
            """    before = mean
    mean = mean + decay * (jnp.mean(lengths) - mean)
    return jnp.square(lengths - before), mean
""",
            OBJECTIVES,
        ),
        (
            "path-mean-decay-complement",
            LOSSES,
            "mean + decay * (jnp.mean(lengths) - mean)",
            "mean + (1 - decay) * (jnp.mean(lengths) - mean)",
            OBJECTIVES,
        ),
        (
            "path-noise-by-the-height",
            LOSSES,
            "math.sqrt(noise.shape[1] * noise.shape[2])",
            "noise.shape[1]",
            OBJECTIVES,
        ),
        (
            "path-noise-by-the-number-of-pixels",
            LOSSES,
            "math.sqrt(noise.shape[1] * noise.shape[2])",
            "(noise.shape[1] * noise.shape[2])",
            OBJECTIVES,
        ),
        (
            "path-length-sum-over-layers",
            LOSSES,
            "jnp.mean(jnp.sum(jnp.square(gradients), axis=2), axis=1)",
            "jnp.sum(jnp.sum(jnp.square(gradients), axis=2), axis=1)",
            OBJECTIVES,
        ),
        (
            "path-labels-of-the-first-half",
            PHASES,
            "inputs.labels[:: t.path_length_batch_shrink][:batch]",
            "inputs.labels[:batch]",
            OBJECTIVES,
        ),
        (
            "path-length-of-the-whole-batch",
            PHASES,
            "len(inputs.reals) // t.path_length_batch_shrink",
            "len(inputs.reals) // 1",
            OBJECTIVES,
        ),
        (
            "path-decay-of-w",
            PHASES,
            "lengths, inputs.state.path_length_mean, t.path_length_decay",
            "lengths, inputs.state.path_length_mean, 1 - t.w_avg_beta",
            OBJECTIVES,
        ),
        (
            "path-mean-not-kept",
            PHASES,
            'averages |= {"path_length_mean": jax.lax.stop_gradient(mean)}',
            "averages |= {}",
            OBJECTIVES,
        ),
        (
            "path-mean-without-gradient",
            LOSSES,
            "    return jnp.square(lengths - mean), mean\n",
            "    return jnp.square(lengths - jax.lax.stop_gradient(mean)), mean\n",
            OBJECTIVES,
            "training/test_stylegan2_losses",
        ),
    ),
    *_of(
        "mixing cutoff",
        (
            "mixing-from-layer-zero",
            PHASES,
            "jax.random.randint(key_layer, (batch,), 1, layers)",
            "jax.random.randint(key_layer, (batch,), 0, layers)",
            OBJECTIVES,
        ),
        (
            "mixing-up-to-the-last-inclusive",
            PHASES,
            "jax.random.randint(key_layer, (batch,), 1, layers)",
            "jax.random.randint(key_layer, (batch,), 1, layers + 1)",
            OBJECTIVES,
        ),
        (
            "mixing-cutoff-of-the-batch",
            PHASES,
            "jax.random.randint(key_layer, (batch,), 1, layers)",
            "jax.random.randint(key_layer, (), 1, layers)",
            OBJECTIVES,
        ),
        (
            "mixing-decided-for-the-batch",
            PHASES,
            "jax.random.uniform(key_mix, (batch,)) < probability",
            "jax.random.uniform(key_mix, ()) < probability",
            OBJECTIVES,
        ),
        (
            "mixing-probability-complement",
            PHASES,
            "jax.random.uniform(key_mix, (batch,)) < probability",
            "jax.random.uniform(key_mix, (batch,)) >= probability",
            OBJECTIVES,
        ),
        (
            "mixing-over-all-layers",
            PHASES,
            "layers = g.num_ws_at(inputs.lod.resolution)",
            "layers = g.num_ws",
            OBJECTIVES,
        ),
        (
            "mixing-keeps-one-layer-more",
            MAPPING,
            "layers < jnp.reshape(cutoff, (-1, 1, 1))",
            "layers <= jnp.reshape(cutoff, (-1, 1, 1))",
            "models/test_mapping",
        ),
        (
            "mixing-coarse-and-fine-swapped",
            PHASES,
            "ws = mix_styles(ws, styles(Stream.MIXING_LATENT), cutoff)",
            "ws = mix_styles(styles(Stream.MIXING_LATENT), ws, cutoff)",
            OBJECTIVES,
        ),
    ),
    *_of(
        "w average",
        (
            "w-avg-beta-complement",
            MAPPING,
            "batch_mean + (w_avg - batch_mean) * beta",
            "w_avg + (batch_mean - w_avg) * beta",
            "models/test_mapping",
        ),
        (
            "w-avg-of-the-first-image",
            MAPPING,
            "batch_mean = jnp.mean(ws[:, 0], axis=0)",
            "batch_mean = ws[0, 0]",
            "models/test_mapping",
        ),
        (
            "w-avg-of-the-mixing-latent",
            PHASES,
            "w_avg = update_w_avg(inputs.state.w_avg, ws, t.w_avg_beta)",
            "w_avg = update_w_avg("
            "inputs.state.w_avg, styles(Stream.MIXING_LATENT), t.w_avg_beta)",
            OBJECTIVES,
        ),
        (
            "w-avg-of-every-round-from-the-start",
            STEP,
            "state=state.replace(**averages)",
            "state=state",
            UPDATES,
        ),
        (
            "w-avg-not-stored",
            STEP,
            "**{k: keep(v, getattr(state, k)) for k, v in averages.items()},",
            "**{k: getattr(state, k) for k, v in averages.items()},",
            UPDATES,
        ),
        (
            "w-avg-starts-at-one",
            G1,
            'self.variable("stats", "w_avg", jnp.zeros, (self.w_dim,))',
            'self.variable("stats", "w_avg", jnp.ones, (self.w_dim,))',
            "models/test_initialization",
        ),
    ),
    *_of(
        "truncation",
        (
            "truncation-above-the-cutoff",
            MAPPING,
            "jnp.where(layers < cutoff, psi, 1.0)",
            "jnp.where(layers >= cutoff, psi, 1.0)",
            "models/test_mapping",
        ),
        (
            "truncation-one-layer-more",
            MAPPING,
            "jnp.where(layers < cutoff, psi, 1.0)",
            "jnp.where(layers <= cutoff, psi, 1.0)",
            "models/test_mapping",
        ),
        (
            "truncation-lerp-swapped",
            MAPPING,
            "return w_avg + (ws - w_avg) * psi",
            "return ws + (w_avg - ws) * psi",
            "models/test_mapping",
        ),
        (
            "truncation-towards-zero",
            MAPPING,
            "return w_avg + (ws - w_avg) * psi",
            "return ws * psi",
            "models/test_mapping",
        ),
        (
            "truncation-cutoff-ignored-by-generators",
            INTERFACE,
            "return mapping.truncate(ws, self.w_avg.value, psi, cutoff)",
            "return mapping.truncate(ws, self.w_avg.value, psi)",
            "models/test_mapping",
        ),
    ),
    *_of(
        "fade in G, D and reals",
        (
            "fade-swapped-in-g",
            G1,
            "image + (below - image) * jnp.float32(1 - lod.fade)",
            "image + (below - image) * jnp.float32(lod.fade)",
            "models/test_fading",
        ),
        (
            "fade-swapped-in-growing-stylegan2",
            G2,
            "image + (below - image) * jnp.float32(1 - lod.fade)",
            "image + (below - image) * jnp.float32(lod.fade)",
            "models/test_fading",
        ),
        (
            "fade-swapped-in-d",
            D1,
            "x + (below - x) * jnp.asarray(1 - lod.fade, x.dtype)",
            "x + (below - x) * jnp.asarray(lod.fade, x.dtype)",
            "models/test_fading",
        ),
        (
            "fade-swapped-in-reals",
            STEP,
            "images + (blurred - images) * (1 - fade)",
            "images + (blurred - images) * fade",
            UPDATES,
        ),
        (
            "fade-of-reals-forgotten",
            STEP,
            "process_reals(images_uint8, flip, lod.fade)",
            "process_reals(images_uint8, flip)",
            UPDATES,
        ),
        (
            "fade-in-stages-that-do-not",
            STEP,
            "LevelOfDetail(stage.resolution, fade if stage.fading else 1.0)",
            "LevelOfDetail(stage.resolution, fade)",
            UPDATES,
        ),
        (
            "fade-d-without-activation",
            D1,
            "below = activation(self.from_rgb[i - 1](images))",
            "below = self.from_rgb[i - 1](images)",
            "models/test_fading",
        ),
        (
            "fade-d-from-the-nearest-pixel",
            D1,
            "images = resample.downscale2d(images)",
            "images = images[:, ::2, ::2]",
            "models/test_fading",
        ),
        (
            "fade-reals-by-shifted-blocks",
            STEP,
            "blurred = upscale2d(downscale2d(images))",
            "blurred = jnp.roll(upscale2d(downscale2d(images)), 1, 2)",
            UPDATES,
        ),
        (
            "fade-g-to-rgb-of-this-resolution-twice",
            G1,
            "below, image = image, None",
            "below, image = x, None",
            "models/test_fading",
        ),
        (
            "fade-of-the-stages-start",
            LOOP,
            "(np.float32(stage.fade(progress.images_seen)), np.float32(rate))",
            "(np.float32(stage.fade(stage.start_images)), np.float32(rate))",
            LOOPS,
        ),
    ),
    *_of(
        "growth schedule and learning rates",
        (
            "lod-phase-starts-with-the-fade",
            SCHEDULE,
            "max(kimg - phase * phase_kimg - t.stage_kimg, 0.0) / t.fade_kimg",
            "min((kimg - phase * phase_kimg) / t.fade_kimg, 1.0)",
            "training/test_schedule",
        ),
        (
            "lod-rounded",
            SCHEDULE,
            "return math.floor(lod), math.ceil(lod)",
            "return math.ceil(lod), math.ceil(lod)",
            "training/test_schedule",
        ),
        (
            "stage-a-round-too-long",
            SCHEDULE,
            "end = start + rounds * images",
            "end = start + (rounds + 1) * images",
            "training/test_schedule",
        ),
        (
            "stage-fade-inverted",
            SCHEDULE,
            "return 1.0 - (lod - own)",
            "return lod - own",
            "training/test_schedule",
        ),
        (
            "stage-batch-of-the-full-resolution",
            SCHEDULE,
            "e.training.batch_size_by_resolution, resolution, e.training.batch_size",
            "e.training.batch_size_by_resolution, e.data.resolution, "
            "e.training.batch_size",
            "training/test_schedule",
        ),
        (
            "rate-by-resolution-ignored",
            SCHEDULE,
            "t.learning_rate_by_resolution, stage.resolution, t.learning_rate",
            "(), stage.resolution, t.learning_rate",
            "training/test_schedule",
        ),
        (
            "rate-rampup-without-end",
            SCHEDULE,
            "min(images_seen / 1000.0 / t.learning_rate_rampup_kimg, 1.0)",
            "images_seen / 1000.0 / t.learning_rate_rampup_kimg",
            "training/test_schedule",
        ),
        (
            "rate-of-the-stages-start",
            LOOP,
            "rate = schedule.learning_rate(self._e, stage, progress.images_seen)\n",
            "rate = schedule.learning_rate(self._e, stage, stage.start_images)\n",
            LOOPS,
        ),
        (
            "rate-against-the-gradient-reversed",
            STEP,
            "optax.tree.scale(-learning_rate, direction)",
            "optax.tree.scale(learning_rate, direction)",
            UPDATES,
        ),
        (
            "lazy-phases-run-a-step-later",
            LOOP,
            "if progress.step % phase.interval == 0:",
            "if (progress.step + 1) % phase.interval == 0:",
            LOOPS,
        ),
        (
            "growth-starts-a-resolution-late",
            SCHEDULE,
            "math.log2(e.data.resolution // t.initial_resolution) - phase",
            "math.log2(e.data.resolution // t.initial_resolution) - max(phase - 1, 0)",
            "training/test_schedule",
        ),
    ),
    *_of(
        "optimizer reset",
        (
            "optimizer-not-reset-at-a-stage",
            LOOP,
            "if progress.images_seen == stage.start_images:",
            "if progress.images_seen == 0:",
            LOOPS,
        ),
        (
            "optimizer-reset-at-a-resume",
            LOOP,
            "if progress.images_seen == stage.start_images:",
            "if progress.images_seen >= stage.start_images:",
            LOOPS,
        ),
        (
            "optimizer-of-the-generator-only",
            STATE,
            "optimizer={name: optimizers[name].init(p) for name, p in "
            "state.params.items()}\n    )",
            "optimizer=state.optimizer | {\n"
            "            GENERATOR: optimizers[GENERATOR].init(state.params[GENERATOR])"
            "\n        }\n    )",
            ADAM,
        ),
        (
            "optimizer-reset-after-every-round",
            LOOP,
            "self._round(state, stage, programs, batches, progress)\n",
            "self._reset(\n"
            "                self._round(state, stage, programs, batches, progress)\n"
            "            )\n",
            LOOPS,
        ),
    ),
    *_of(
        "labels",
        (
            "labels-of-other-images-for-d",
            PHASES,
            '{"params": params}, images, inputs.labels, lod=inputs.lod',
            '{"params": params}, images, '
            "None if inputs.labels is None else inputs.labels[::-1], lod=inputs.lod",
            OBJECTIVES,
        ),
        (
            "labels-of-other-images-for-g",
            PHASES,
            'variables, inputs.shard_batch(z), inputs.labels, method="map"',
            "variables, inputs.shard_batch(z), "
            'None if inputs.labels is None else inputs.labels[::-1], method="map"',
            OBJECTIVES,
        ),
        (
            "labels-not-split-with-the-images",
            STEP,
            "xs = (jnp.arange(rounds), split(reals), split(labels))",
            "xs = (jnp.arange(rounds), split(reals), "
            "labels.reshape(rounds, -1, labels.shape[1]))",
            UPDATES,
        ),
        (
            "label-embedding-normalised-by-itself",
            MAPPING,
            "x = jnp.concatenate([x, embedded], axis=-1)",
            "x = jnp.concatenate([x, pixel_norm(embedded)], axis=-1)",
            "models/test_mapping",
        ),
        (
            "label-embedding-of-stylegan2-not-normalised",
            MAPPING,
            "inputs.append(pixel_norm(embed(labels.astype(jnp.float32))))",
            "inputs.append(embed(labels.astype(jnp.float32)))",
            "models/test_mapping",
        ),
        (
            "label-projection-not-scaled",
            D2,
            "jnp.sum(out * embedded, axis=1) / math.sqrt(self.embedding_size)",
            "jnp.sum(out * embedded, axis=1)",
            "models/test_stylegan2",
        ),
        (
            "label-projection-of-stylegan1-averaged",
            D1,
            "jnp.sum(logits * labels.astype(jnp.float32), axis=1)",
            "jnp.mean(logits * labels.astype(jnp.float32), axis=1)",
            "models/test_stylegan1",
        ),
    ),
    *_of(
        "mirror",
        (
            "mirror-the-whole-batch",
            STEP,
            "jax.random.uniform(key, (stage.batch_size,)) >= 0.5",
            "jnp.full((stage.batch_size,), jax.random.uniform(key, ()) >= 0.5)",
            UPDATES,
        ),
        (
            "mirror-other-images-in-every-phase",
            STEP,
            "rngs.key(e.run.seed, rngs.Stream.MIRROR, step)",
            "rngs.key(e.run.seed, rngs.Stream.MIRROR, step, index)",
            UPDATES,
        ),
        (
            "mirror-in-one-phase-only",
            STEP,
            "if e.data.mirror:",
            "if e.data.mirror and index == 0:",
            UPDATES,
        ),
        (
            "mirror-upside-down",
            STEP,
            "mirrored = images[:, :, ::-1]",
            "mirrored = images[:, ::-1]",
            UPDATES,
        ),
        (
            "mirror-a-quarter",
            STEP,
            "jax.random.uniform(key, (stage.batch_size,)) >= 0.5",
            "jax.random.uniform(key, (stage.batch_size,)) >= 0.75",
            UPDATES,
        ),
        (
            "mirror-the-same-at-every-step",
            STEP,
            "rngs.key(e.run.seed, rngs.Stream.MIRROR, step)",
            "rngs.key(e.run.seed, rngs.Stream.MIRROR)",
            UPDATES,
        ),
    ),
    *_of(
        "random stream reuse",
        (
            "key-without-step",
            "rngs.py",
            "for part in (step, phase, round_index, int(stream)):",
            "for part in (phase, round_index, int(stream)):",
            "test_rngs",
        ),
        (
            "key-without-phase",
            "rngs.py",
            "for part in (step, phase, round_index, int(stream)):",
            "for part in (step, round_index, int(stream)):",
            "test_rngs",
        ),
        (
            "key-without-stream",
            "rngs.py",
            "for part in (step, phase, round_index, int(stream)):",
            "for part in (step, phase, round_index):",
            "test_rngs",
        ),
        (
            "key-of-a-sum",
            "rngs.py",
            "for part in (step, phase, round_index, int(stream)):",
            "for part in (step + phase, round_index, int(stream)):",
            "test_rngs",
        ),
        (
            "key-of-one-seed",
            "rngs.py",
            "out = jax.random.key(seed)",
            "out = jax.random.key(0)",
            "test_rngs",
        ),
        (
            "streams-of-equal-number",
            "rngs.py",
            "MIXING_LATENT = 1",
            "MIXING_LATENT = 0",
            "test_rngs",
        ),
        (
            "rounds-share-a-key",
            STEP,
            "e.run.seed, stream, step, index, round_index",
            "e.run.seed, stream, step, index",
            UPDATES,
        ),
        (
            "phases-share-a-key",
            STEP,
            "e.run.seed, stream, step, index, round_index",
            "e.run.seed, stream, step, 0, round_index",
            UPDATES,
        ),
        (
            "mixing-latent-is-the-latent",
            PHASES,
            "mix_styles(ws, styles(Stream.MIXING_LATENT), cutoff)",
            "mix_styles(ws, styles(Stream.LATENT), cutoff)",
            OBJECTIVES,
        ),
        (
            "noise-of-the-latents-key",
            PHASES,
            'rngs={"noise": inputs.key(Stream.NOISE)},',
            'rngs={"noise": inputs.key(Stream.LATENT)},',
            OBJECTIVES,
        ),
        (
            "path-noise-of-the-noise-key",
            PHASES,
            "jax.random.normal(inputs.key(Stream.PATH_NOISE), images.shape)",
            "jax.random.normal(inputs.key(Stream.NOISE), images.shape)",
            OBJECTIVES,
        ),
        (
            "interpolation-of-the-cutoffs-key",
            PHASES,
            "inputs.key(Stream.INTERPOLATION), real.shape",
            "inputs.key(Stream.MIXING_CUTOFF), real.shape",
            OBJECTIVES,
        ),
        (
            "reals-and-fakes-augmented-alike",
            PHASES,
            "params, inputs, Stream.AUGMENT_FAKES, fakes, eager",
            "params, inputs, Stream.AUGMENT_REALS, fakes, eager",
            OBJECTIVES,
        ),
    ),
    *_of(
        "data position on resume",
        (
            "finished-stage-entered-again",
            LOOP,
            "                if progress.images_seen < stage.end_images:\n",
            "                if progress.images_seen <= stage.end_images:\n",
            LOOPS,
        ),
        (
            "resumed-at-another-step",
            LOOP,
            'return items["training"].replace(ema=items["ema"]), Progress(**meta)',
            'meta["step"] = 0\n'
            '    return items["training"].replace(ema=items["ema"]), '
            "Progress(**meta)",
            "training/test_restore",
        ),
        (
            "data-of-the-stages-start",
            LOOP,
            "self._hooks.batches(stage, progress.images_seen)",
            "self._hooks.batches(stage, stage.start_images)",
            LOOPS,
        ),
        (
            "data-a-batch-late",
            LOOP,
            "self._hooks.batches(stage, progress.images_seen)",
            "self._hooks.batches(stage, progress.images_seen + stage.batch_size)",
            LOOPS,
        ),
        (
            "data-from-the-beginning",
            "train.py",
            "        start_images=start_images,\n",
            "        start_images=0,\n",
            "test_train_data",
        ),
        (
            "data-same-order-in-every-epoch",
            PIPELINE,
            "seed=tf.stack([*seeds, epochs], -1)",
            "seed=tf.stack([*seeds, epochs * 0], -1)",
            "data/test_pipeline",
        ),
        (
            "data-order-of-one-seed",
            PIPELINE,
            "np.random.SeedSequence(seed)",
            "np.random.SeedSequence(0)",
            "data/test_pipeline",
        ),
        (
            "data-position-of-the-process",
            PIPELINE,
            "first = start_images + process_index * share",
            "first = start_images + process_index * batch_size",
            "data/test_pipeline",
        ),
        (
            "data-position-forgotten-by-the-pipeline",
            PIPELINE,
            "first = start_images + process_index * share",
            "first = process_index * share",
            "data/test_pipeline",
        ),
        (
            "data-skips-the-rest-of-a-batch",
            PIPELINE,
            "positions = first + batch * batch_size + tf.range(share",
            "positions = first + batch * share + tf.range(share",
            "data/test_pipeline",
        ),
        (
            "clock-of-steps",
            STEP,
            "images_seen=state.images_seen + stage.batch_size",
            "images_seen=state.images_seen + 1",
            UPDATES,
        ),
    ),
    *_of(
        "skipped updates",
        (
            "skip-by-gradients-only",
            STEP,
            "finite = all_finite((gradients, averages))",
            "finite = all_finite(gradients)",
            UPDATES,
        ),
        (
            "skip-by-averages-only",
            STEP,
            "finite = all_finite((gradients, averages))",
            "finite = all_finite(averages)",
            UPDATES,
        ),
        (
            "skip-by-nan-only",
            STEP,
            "jnp.all(jnp.isfinite(x))",
            "jnp.all(~jnp.isnan(x))",
            UPDATES,
        ),
        (
            "skip-parameters-only",
            STEP,
            "{phase.network: keep(optimizer_state, state.optimizer[phase.network])}",
            "{phase.network: optimizer_state}",
            UPDATES,
        ),
        (
            "skip-not-the-averages",
            STEP,
            "**{k: keep(v, getattr(state, k)) for k, v in averages.items()},",
            "**averages,",
            UPDATES,
        ),
        (
            "skipped-streak-never-ends",
            STEP,
            "jnp.where(finite, 0, state.skipped[phase.name] + 1)",
            "state.skipped[phase.name] + ~finite",
            "training/test_skipped_updates",
        ),
        (
            "skipped-total-not-counted",
            STEP,
            "total = state.skipped_total[phase.name] + ~finite",
            "total = state.skipped_total[phase.name]",
            UPDATES,
        ),
        (
            "clock-stands-while-skipping",
            STEP,
            "step=state.step + 1, images_seen",
            "step=state.step + finite, images_seen",
            UPDATES,
        ),
        (
            "divergence-one-later",
            LOOP,
            "if streak >= self._e.training.nonfinite_limit:",
            "if streak > self._e.training.nonfinite_limit:",
            LOOPS,
        ),
        (
            "skipping-states-are-saved",
            LOOP,
            "not (is_skipping or is_last or self._stopping)",
            "not (is_last or self._stopping)",
            LOOPS,
        ),
        (
            "skipping-phases-only-if-all",
            LOOP,
            "return any(streak > 0 for streak in skipped.values())",
            "return all(streak > 0 for streak in skipped.values())",
            LOOPS,
        ),
    ),
    *_of(
        "demodulation",
        (
            "demodulation-of-inputs-by-the-wrong-axis",
            MODULATION,
            "energy = jnp.sum(jnp.square(kernel), axis=(0, 1))",
            "energy = jnp.mean(jnp.square(kernel), axis=(0, 1))",
            "layers/test_modulation",
        ),
        (
            "demodulation-of-the-style-not-squared",
            MODULATION,
            "jnp.matmul(jnp.square(style), energy",
            "jnp.matmul(jnp.abs(style), energy",
            "layers/test_modulation",
        ),
        (
            "demodulation-epsilon-too-large",
            MODULATION,
            "EPSILON = 1e-8",
            "EPSILON = 1e-3",
            "layers/test_modulation",
        ),
        (
            "demodulation-without-epsilon",
            MODULATION,
            "jax.lax.rsqrt(norm + EPSILON)",
            "jax.lax.rsqrt(norm)",
            "layers/test_modulation",
        ),
        (
            "demodulated-to-rgb",
            LAYERS2,
            "conv2d, demodulate=False",
            "conv2d, demodulate=True",
            "models/test_layer_order",
        ),
        (
            "to-rgb-style-not-scaled",
            LAYERS2,
            "x, kernel, style / math.sqrt(inputs), conv2d",
            "x, kernel, style, conv2d",
            "models/test_layer_order",
        ),
        (
            "style-starts-at-zero",
            LAYERS2,
            'style = Dense(x.shape[-1], gain=1.0, bias_init=1.0, name="affine")(w)',
            'style = Dense(x.shape[-1], gain=1.0, bias_init=0.0, name="affine")(w)',
            "models/test_initialization",
        ),
        (
            "style-of-stylegan1-without-one",
            NORMALIZATION,
            "x * spread(scale + 1, x) + spread(shift, x)",
            "x * spread(scale, x) + spread(shift, x)",
            "models/test_layer_order",
        ),
    ),
    *_of(
        "filters' gain and phase",
        (
            "upsampling-gain-of-one",
            FIR,
            "flip, gain * ups[0] * ups[1])",
            "flip, gain)",
            "layers/test_upfirdn2d",
        ),
        (
            "upsampling-gain-of-one-axis",
            FIR,
            "flip, gain * ups[0] * ups[1])",
            "flip, gain * ups[0])",
            "layers/test_upfirdn2d",
        ),
        (
            "up-convolution-gain-of-two",
            FIR,
            "padding=padding, gain=4.0",
            "padding=padding, gain=2.0",
            "layers/test_upfirdn2d",
        ),
        (
            "upsampling-a-pixel-off",
            FIR,
            "(before + (k + up - 1) // 2, after + (k - up) // 2)",
            "(before + (k - up) // 2, after + (k + up - 1) // 2)",
            "layers/test_upfirdn2d",
        ),
        (
            "downsampling-a-pixel-off",
            FIR,
            "(before + (k - down + 1) // 2, after + (k - down) // 2)",
            "(before + (k - down) // 2, after + (k - down + 1) // 2)",
            "layers/test_upfirdn2d",
        ),
        (
            "filter-correlates",
            FIR,
            "f = f if flip else np.flip(f)",
            "f = np.flip(f) if flip else f",
            "layers/test_upfirdn2d",
        ),
        (
            "filter-not-normalised",
            FIR,
            "if normalize:\n        f = f / f.sum()",
            "if not normalize:\n        f = f / f.sum()",
            "layers/test_upfirdn2d",
        ),
        (
            "blur-a-pixel-off",
            RESAMPLE,
            "before = (len(taps) - 1) // 2",
            "before = len(taps) - 1",
            "layers/test_resample",
        ),
        (
            "box-sum-for-average",
            RESAMPLE,
            "return x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))",
            "return x.reshape(b, h // 2, 2, w // 2, 2, c).sum((2, 4))",
            GOLDEN,
        ),
        (
            "fused-upscale-phase",
            RESAMPLE,
            "[[[1, 1, 0], [1, 0, 0]], [[0, 0, 1], [0, 1, 1]]]",
            "[[[1, 0, 0], [1, 1, 0]], [[0, 1, 1], [0, 0, 1]]]",
            "layers/test_resample",
        ),
        (
            "blur-forgotten-by-up-layers",
            G1,
            "x = resample.blur2d(x, o.blur_filter)",
            "x = resample.blur2d(x, ())",
            "models/test_stylegan1",
        ),
    ),
    *_of(
        "equalized learning rates",
        (
            "equalized-without-root-two",
            LINEAR,
            "GAIN_LRELU = math.sqrt(2.0)",
            "GAIN_LRELU = 1.0",
            "layers/test_linear",
        ),
        (
            "equalized-fan-out",
            LINEAR,
            "math.sqrt(math.prod(self.shape[:-1]))",
            "math.sqrt(math.prod(self.shape[1:]))",
            "layers/test_linear",
        ),
        (
            "equalized-fan-in-without-the-window",
            LINEAR,
            "math.sqrt(math.prod(self.shape[:-1]))",
            "math.sqrt(self.shape[-2])",
            "layers/test_linear",
        ),
        (
            "equalized-weights-stored-small",
            LINEAR,
            "nn.initializers.normal(1.0 / self.lr_multiplier)",
            "nn.initializers.normal(1.0)",
            "layers/test_linear",
        ),
        (
            "equalized-multiplier-not-applied",
            LINEAR,
            "math.sqrt(math.prod(self.shape[:-1])) * self.lr_multiplier",
            "math.sqrt(math.prod(self.shape[:-1]))",
            "layers/test_linear",
        ),
        (
            "equalized-bias-without-multiplier",
            LINEAR,
            "return x + spread(bias * self.lr_multiplier, x)",
            "return x + spread(bias, x)",
            "layers/test_linear",
        ),
        (
            "equalized-gain-of-the-activation-twice",
            LAYERS2,
            "kernel = EqualizedKernel(shape, gain=1.0, frozen=self.frozen",
            "kernel = EqualizedKernel(shape, frozen=self.frozen",
            GOLDEN2,
        ),
        (
            "equalized-to-rgb-gain",
            G1,
            "Conv(self.image_channels, kernel_size=1, gain=1.0)",
            "Conv(self.image_channels, kernel_size=1)",
            "models/test_stylegan1",
        ),
        (
            "mapping-multiplier-forgotten",
            MAPPING,
            'features, lr_multiplier=self.lr_multiplier, name=f"dense{i}"\n',
            'features, name=f"dense{i}"\n',
            "models/test_initialization",
        ),
        (
            "activation-gain-forgotten",
            ACTIVATIONS,
            '"lrelu": Activation(leaky_relu, math.sqrt(2.0))',
            '"lrelu": Activation(leaky_relu)',
            "layers/test_activations",
        ),
    ),
    *_of(
        "augmentation",
        (
            "augmentation-policy-of-other-transforms",
            "augment/policies.py",
            '"bg": Policy.of(*PIXEL, *AFFINE),',
            '"bg": Policy.of(*PIXEL, *COLOR),',
            "augment/test_policies",
        ),
        (
            "augmentation-probability-of-the-settings",
            PHASES,
            "inputs.state.augment_probability,",
            "self._training.augment_probability,",
            OBJECTIVES,
        ),
        (
            "augmentation-probability-ignored",
            TRANSFORMS,
            "rate = jnp.clip(policy.multiplier(name) * probability, 0, 1)",
            "rate = jnp.clip(policy.multiplier(name) + 0 * probability, 0, 1)",
            "augment/test_transforms",
        ),
        (
            "augmentation-rotates-too-often",
            TRANSFORMS,
            "rate = 1 - jnp.sqrt(1 - rate)",
            "rate = rate",
            "augment/test_transforms",
        ),
        (
            "augmentation-gates-of-the-values",
            TRANSFORMS,
            "gates[name] = jax.random.uniform(of_gate, shape[:1] + bands)",
            "gates[name] = jax.random.uniform(of_value, shape[:1] + bands)",
            "augment/test_transforms",
        ),
        (
            "augmentation-one-gate-for-the-batch",
            TRANSFORMS,
            "gates[name] = jax.random.uniform(of_gate, shape[:1] + bands)",
            "gates[name] = jnp.broadcast_to("
            "jax.random.uniform(of_gate, (1, *bands)), shape[:1] + bands)",
            "augment/test_transforms",
        ),
    ),
)
