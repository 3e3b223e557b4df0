"""Settings of the outputs, devices and limits of a run."""

import dataclasses

from stylegan_jax.config.setting import (
    BY_RESOLUTION,
    NON_NEGATIVE,
    POSITIVE,
    RESOLUTION,
    SEED,
    ByResolution,
    setting,
)


@dataclasses.dataclass(frozen=True)
class Run:
    """The seed, the intervals and the outputs of a run.

    The settings of this section do not change what is learned, except for `seed`, and
    for `device_memory_gib` if `training.accumulation_rounds` is None.
    """

    seed: int = setting(0, "Random seed.", rule=SEED)
    time_limit_minutes: float = setting(
        0.0,
        "Time limit of the process, including compilation, after which it saves and "
        "exits as on a signal; the same command resumes the run. 0: no limit.",
        unit="minutes",
        rule=NON_NEGATIVE,
    )
    tick_kimg: float = setting(
        40.0,
        "Length of a tick, which ends with a progress line and, by default, a grid of "
        "samples.",
        unit="thousands of real images",
        rule=POSITIVE,
    )
    tick_kimg_by_resolution: ByResolution = setting(
        (),
        "Tick lengths at individual resolutions, in place of `tick_kimg`.",
        unit="thousands of real images",
        rule=BY_RESOLUTION,
    )
    checkpoint_every_ticks: int = setting(
        5, "Interval between checkpoints.", unit="ticks", rule=POSITIVE
    )
    keep_checkpoints: int = setting(
        3, "Number of the newest checkpoints to keep.", rule=POSITIVE
    )
    grid_every_ticks: int = setting(
        1,
        "Interval between grids of samples; a run also writes one when it finishes.",
        unit="ticks",
        rule=POSITIVE,
    )
    grid_rows: int = setting(4, "Number of rows of the grid of samples.", rule=POSITIVE)
    grid_columns: int = setting(
        8, "Number of columns of the grid of samples.", rule=POSITIVE
    )
    grid_truncation_psi: float = setting(1.0, "Truncation psi of the grid of samples.")
    compilation_cache: str | None = setting(
        "~/.cache/stylegan_jax/xla",
        "Directory of the compilation cache. With several processes, which must share "
        "it, the default is replaced by `compilation_cache` in the run's directory. "
        "None leaves it to JAX's own settings (`JAX_ENABLE_COMPILATION_CACHE=0` turns "
        "off every cache).",
    )
    share_programs: bool = setting(
        False,
        "Use the program of a resolution's fading stage for its stable stage, too, "
        "with a fade of 1: less to compile, a little more to compute (growing "
        "networks).",
    )
    # Many devices and processes.
    shard_optimizer: bool = setting(
        False,
        "Shard the moments of the optimizer and the averaged generator over all "
        "devices.",
    )
    height_devices: int = setting(
        1,
        "Number of devices over which the rows of an image are sharded, for batches "
        "smaller than the number of devices.",
        rule=POSITIVE,
    )
    height_min_resolution: int = setting(
        256,
        "Lowest resolution of the layers whose rows are sharded.",
        unit="pixels",
        rule=RESOLUTION,
    )
    device_memory_gib: float | None = setting(
        None,
        "Memory of each device that training may use; None: what the device reports. "
        "Where it is known, programs that exceed it are reported before they run.",
        unit="GiB",
        rule=POSITIVE,
    )
    heartbeat_seconds: int = setting(
        60,
        "Time without a heartbeat after which a process is considered dead.",
        unit="seconds",
        rule=POSITIVE,
    )
    hang_report_seconds: float = setting(
        300.0,
        "Time after which a round, a compilation, etc. is reported as hanging.",
        unit="seconds",
        rule=POSITIVE,
    )
