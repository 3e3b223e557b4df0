"""Weak scaling of the training step, measured by compiling it without running it.

    python -m benchmarks.weak_scaling --devices=1,2,4,8,64,256 --out=weak_scaling.json

For each number of (simulated CPU) devices, at a constant batch per device, it reports
the floating-point operations per device and the bytes that a device exchanges, both of
the compiled program, and compares these bytes with a prediction from the size of the
gradients. Each number of devices runs in a separate process, because JAX fixes it at
startup.

The gradients of the discriminator are summed over the devices once for the real and
once for the generated images, because XLA's CPU compiler does not merge these sums.
"""

import json
import math
import re
import subprocess
import sys
import time

import jax
from absl import app, flags

from benchmarks.hlo import ITEM_BYTES
from stylegan_jax import config
from stylegan_jax.runtime import parallel
from stylegan_jax.training import setup
from stylegan_jax.training import state as train_state
from stylegan_jax.training.compilation import ProgramCache

FLAGS = flags.FLAGS
PHASES = {
    "d_main": train_state.DISCRIMINATOR,
    "g_main": train_state.GENERATOR,
    "g_path": train_state.GENERATOR,
}
# Backward passes whose gradients are summed.
PASSES = {"d_main": 2, "g_main": 1, "g_path": 1}
COLLECTIVES = (
    "all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute|"
    "collective-broadcast"
)
FLOAT32_BYTES = 4


def experiment(
    devices: int, batch_per_device: int, shard_optimizer: bool
) -> config.Experiment:
    """Return StyleGAN2 at 32x32 with narrow networks, which compile quickly."""
    c = config.base()
    c.data.resolution = 32
    c.model.family = "stylegan2"
    c.model.g_architecture, c.model.d_architecture = "skip", "resnet"
    c.model.z_dim = c.model.w_dim = c.model.mapping_features = 64
    c.model.mapping_layers = 2
    c.model.channel_base = 1024
    c.model.channel_max = 64
    c.training.batch_size = devices * batch_per_device
    c.training.path_length_weight = 2.0
    c.training.g_reg_interval, c.training.d_reg_interval = 4, 16
    c.run.shard_optimizer = shard_optimizer
    return config.parse(c)


def collective_bytes(hlo: str) -> dict[str, int]:
    """Count the bytes of the results of a program's collectives on one device, by kind.

    Args:
      hlo: the text of the compiled (partitioned) program.
    """
    out: dict[str, int] = {}
    for result, kind in re.findall(rf"= (.*?) ({COLLECTIVES})\(", hlo):
        for dtype, dimensions in re.findall(r"(\w+)\[([\d,]*)\]", result):
            elements = math.prod(int(d) for d in dimensions.split(",") if d)
            out[kind] = out.get(kind, 0) + elements * ITEM_BYTES[dtype]
    return out


def measure(e: config.Experiment) -> dict[str, dict]:
    """Measure the programs of the phases on all devices."""
    here = parallel.data_parallel()
    training = setup.build(e, here)
    names, state = training.phase_names, training.abstract_state
    cache = ProgramCache(training)
    (stage,) = training.stages
    out = {}
    for phase, network in PHASES.items():
        start = time.monotonic()
        compiled = cache.lower(stage, names.index(phase)).compile()
        parameters = sum(x.size for x in jax.tree.leaves(state.params[network]))
        exchanged = collective_bytes(compiled.as_text())
        predicted = {}
        if here.num_devices > 1:
            predicted["all-reduce"] = FLOAT32_BYTES * parameters * PASSES[phase]
            if e.run.shard_optimizer:
                predicted["all-gather"] = FLOAT32_BYTES * parameters
        out[phase] = {
            "flops_per_device": compiled.cost_analysis()["flops"],
            "bytes_per_device": exchanged,
            "predicted_bytes": predicted,
            "compile_seconds": round(time.monotonic() - start, 1),
        }
    cache.close()
    return out


def measure_in_process(devices: int) -> dict[str, dict]:
    """Run `measure` in a process with `devices` devices."""
    code = (
        "import json, jax\n"
        "jax.config.update('jax_platforms', 'cpu')\n"
        f"jax.config.update('jax_num_cpu_devices', {devices})\n"
        "from benchmarks import weak_scaling as w\n"
        f"e = w.experiment({devices}, {FLAGS.batch_per_device}, "
        f"{FLAGS.shard_optimizer})\n"
        "print(json.dumps(w.measure(e)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def row(phase: str, devices: int, found: dict, first: dict) -> str:
    """Format a row: FLOPs relative to `first`, bytes relative to the prediction."""
    kinds = found["bytes_per_device"]
    exchanged = sum(kinds.values())
    predicted = sum(found["predicted_bytes"].values())
    texts = ", ".join(f"{kind} {size:,}" for kind, size in kinds.items())
    ratio = f"{exchanged / predicted:.3f}" if predicted else "-"
    return (
        f"| {phase} | {devices} | {found['flops_per_device'] / 1e6:,.1f} | "
        f"{found['flops_per_device'] / first['flops_per_device']:.4f} | "
        f"{texts or '0'} | {predicted:,} | {ratio} | "
        f"{found['compile_seconds']} |"
    )


HEAD = """\
| phase | devices | MFLOP per device | relative | bytes exchanged per device \
| predicted | ratio | compile s |
|---|---|---|---|---|---|---|---|"""


def main(argv: list[str]) -> None:
    """Run the benchmark, print a Markdown table and write JSON."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}")
    counts = [int(n) for n in FLAGS.devices]
    found = {n: measure_in_process(n) for n in counts}
    print(HEAD)
    for phase in PHASES:
        for n in counts:
            print(row(phase, n, found[n][phase], found[counts[0]][phase]))
    if FLAGS.out is not None:
        with open(FLAGS.out, "w") as file:
            settings = {
                "batch_per_device": FLAGS.batch_per_device,
                "shard_optimizer": FLAGS.shard_optimizer,
                "jax": jax.__version__,
            }
            json.dump(settings | {"devices": found}, file, indent=2)


if __name__ == "__main__":
    flags.DEFINE_list(
        "devices", ["1", "2", "4", "8", "64", "256"], "Numbers of devices."
    )
    flags.DEFINE_integer("batch_per_device", 4, "Images per device and step.")
    flags.DEFINE_bool(
        "shard_optimizer", False, "Shard the optimizer, as `run.shard_optimizer`."
    )
    flags.DEFINE_string("out", None, "File to write the figures to, as JSON.")
    app.run(main)
