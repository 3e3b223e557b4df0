"""The training programs trace and lower for hardware that is not there.

The devices are an abstract mesh, so nothing is placed, let alone executed.
"""

import re
import runpy
import time
from pathlib import Path

import jax
import pytest
from jax.sharding import AbstractMesh, AxisType

from stylegan_jax import config, models, parallel
from stylegan_jax.parallel import Parallel
from stylegan_jax.training import growth, recipes, step
from stylegan_jax.training import state as train_state
from stylegan_jax.training.growth import Stage
from stylegan_jax.training.programs import ProgramCache

PHASES = ("d_main", "g_main")
EIGHT_DEVICES = Parallel(AbstractMesh((8,), ("data",), (AxisType.Auto,)))


def small(dtype: str = "float32") -> config.Experiment:
    """All depths up to 64x64, few channels."""
    c = config.base()
    c.data.resolution = 64
    c.data.mirror = True
    c.model.z_dim = c.model.w_dim = c.model.mapping_features = 16
    c.model.mapping_layers = 2
    c.model.channel_base = 256
    c.model.channel_max = 16
    c.model.dtype = dtype
    c.training.initial_resolution = 32
    c.training.batch_size = 16
    return config.parse(c)


def ffhq() -> config.Experiment:
    """The official setting for eight GPUs."""
    file = runpy.run_path(str(Path(__file__).parent.parent / "configs" / "ffhq.py"))
    c = file["get_config"]()
    c.data.path = "not read"
    return config.parse(c)


def programs(e: config.Experiment, devices: Parallel) -> ProgramCache:
    generator, discriminator = models.build(e.model, e.data, 0)
    phases = recipes.build(e, generator, discriminator)
    assert tuple(p.name for p in phases) == PHASES
    state = jax.eval_shape(
        lambda: train_state.create(
            generator, discriminator, step.build_optimizers(e), PHASES, e.run.seed
        )
    )
    state = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=devices.replicated),
        state,
    )
    return ProgramCache(e, phases, devices, state, 0, lambda *_: None)


def stage_at(e: config.Experiment, resolution: int, fading: bool) -> Stage:
    (found,) = (
        s for s in growth.stages(e) if s.resolution == resolution and s.fading == fading
    )
    return found


def reused(state: train_state.TrainState, phase: str) -> list:
    """The arrays of the state that a phase may overwrite in place: all that it reads.

    The average of w beside the averaged generator is replaced without being read.
    """
    replaced = state.ema["stats"]["w_avg"] if phase == "d_main" else None
    return [x for x in jax.tree.leaves(state) if x is not replaced]


def check_module(
    text: str, e: config.Experiment, stage: Stage, phase: str, donated: int
) -> None:
    """What every program of a phase must and must not hold."""
    assert "mhlo.num_partitions = 8" in text and '"data"=8' in text
    size, channels = stage.resolution, e.data.channels
    reals = f"tensor<{stage.batch_size}x{size}x{size}x{channels}xui8>"
    assert (reals in text) == (phase == "d_main")
    found = re.findall(r"tf\.aliasing_output|jax\.buffer_donor", text)
    assert len(found) == donated
    assert text.count("stablehlo.convolution") >= 2 * 2 * (size.bit_length() - 2)
    assert "stablehlo.dot_general" in text
    assert "callback" not in text and "stablehlo.infeed" not in text
    # Parameters are arguments, not constants; FIR taps and the like are small.
    assert max(map(len, text.splitlines())) < 1_000_000
    assert not re.search(r"tensor<[^>]*f64>", text)
    for dilated in re.findall(r"(?:lhs|rhs)_dilat\w* = \[([^\]]*)\]", text):
        assert set(dilated.split(", ")) == {"1"}


@pytest.mark.parametrize("fading", [False, True], ids=["stable", "fading"])
@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_small_networks_lower(platform, fading):
    e = small()
    cache, stage = programs(e, EIGHT_DEVICES), stage_at(e, 64, fading)
    state = cache.arguments(stage)[0]
    for i, phase in enumerate(PHASES):
        text = cache.lower(stage, i, platform).as_text()
        check_module(text, e, stage, phase, len(reused(state, phase)))


def test_bfloat16_reaches_the_convolutions():
    e = small("bfloat16")
    cache, stage = programs(e, EIGHT_DEVICES), stage_at(e, 64, True)
    for i in range(len(PHASES)):
        text = cache.lower(stage, i, "tpu").as_text()
        types = re.findall(r"stablehlo.convolution.*-> tensor<[\dx]*(\w+)>", text)
        assert types.count("bf16") > 10
        # Above 4x4, where the discriminator's float32 head begins, there is no other.
        for shape in re.findall(
            r"stablehlo.convolution.*: \(tensor<([\dx]*)xf32>", text
        ):
            assert "x4x4x" in shape or "x6x6x" in shape, shape


@pytest.mark.slow
@pytest.mark.parametrize("fading", [False, True], ids=["stable", "fading"])
def test_ffhq_at_1024_lowers(fading):
    e = ffhq()
    cache, stage = programs(e, EIGHT_DEVICES), stage_at(e, 1024, fading)
    assert stage.batch_size == 32
    state = cache.arguments(stage)[0]
    sizes = {
        name: sum(x.size for x in jax.tree.leaves(params))
        for name, params in state.params.items()
    }
    assert sizes == {"generator": 26_219_627, "discriminator": 23_087_249}
    for platform in ("tpu", "cuda"):
        for i, phase in enumerate(PHASES):
            start = time.monotonic()
            text = cache.lower(stage, i, platform).as_text()
            seconds = time.monotonic() - start
            print(
                f"{stage.name} {phase} for {platform}: {seconds:.1f} s, "
                f"{len(text) / 1e6:.1f} MB of StableHLO, "
                f"{text.count('stablehlo.convolution')} convolutions"
            )
            check_module(text, e, stage, phase, len(reused(state, phase)))


def test_compiled_programs_overwrite_the_state_and_dilate_nothing():
    """Dilated convolutions are 20-40 times slower in the gradient on CPUs."""
    c = config.base()
    c.data.resolution = 8
    c.model.z_dim = c.model.w_dim = c.model.mapping_features = 8
    c.model.mapping_layers = 1
    c.model.channel_base = 64
    c.model.channel_max = 8
    c.training.initial_resolution = 4
    c.training.batch_size = 4
    e = config.parse(c)
    cache, stage = programs(e, parallel.data_parallel()), stage_at(e, 8, True)
    state = cache.arguments(stage)[0]
    for i, phase in enumerate(PHASES):
        compiled = cache.lower(stage, i).compile(
            {"xla_backend_optimization_level": 0}  # of machine code, not of the HLO
        )
        state_bytes = sum(x.size * x.dtype.itemsize for x in reused(state, phase))
        assert compiled.memory_analysis().alias_size_in_bytes == state_bytes, phase
        windows = re.findall(r"convolution\(.*window=\{([^}]*)\}", compiled.as_text())
        assert windows
        assert not [w for w in windows if "dilate" in w], phase
