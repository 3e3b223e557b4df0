"""A mutation: in a file, an old text that is there exactly once, and a new one.

To add one, write an entry in the file of its kind and run it with
`python -m tests.mutations --only NAME`. A test that catches a mutation is about
behavior; none compares source text.
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


def mutations(kind: str, *entries: tuple[str, ...]) -> list[Mutation]:
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


# Files of the project, from `stylegan_jax/`, and of tests, from `tests/`.
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
BLOCKS, CONV_RESAMPLE = "layers/blocks.py", "layers/conv2d_resample.py"
MAPPING = "models/mapping.py"
G1 = D1 = "models/stylegan1.py"
G2 = D2 = "models/stylegan2.py"
LAYERS2, INTERFACE = "models/stylegan2_layers.py", "models/interface.py"
PIPELINE, TRANSFORMS = "data/pipeline.py", "augment/transforms.py"
UPDATES, LOOPS = "training/test_step_updates", "training/test_loop_schedule"
OBJECTIVES, ADAM = "training/test_phases", "training/test_optimizer_settings"
GOLDEN, GOLDEN2 = "layers/test_goldens", "layers/test_stylegan2_layers"
