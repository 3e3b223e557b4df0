"""The directory of a run.

config.json       the experiment
data.json         facts about the data that networks depend on: classes, fingerprint
environment.json  versions, devices and command line of every start
checkpoints/  images/  tensorboard/  log.jsonl  metrics.jsonl  report.html
compilation_cache/  compiled programs of a run of several processes
"""

from stylegan_jax.workdir.description import (
    DataInfo,
    check_is_run,
    label_size,
    load_data_info,
    load_description,
    similar,
    split,
    write_description,
)
from stylegan_jax.workdir.generator import (
    TrainedGenerator,
    abstract_variables,
    load_generator,
    open_checkpoints,
)
from stylegan_jax.workdir.resuming import (
    CHANGEABLE_SETTINGS,
    HOST_SETTINGS,
    check_resumable,
    check_shared,
    data_difference,
    decoder_notice,
    facts,
    keep_from_run,
)
from stylegan_jax.workdir.state import RunState, run_state

__all__ = [
    "CHANGEABLE_SETTINGS",
    "HOST_SETTINGS",
    "DataInfo",
    "RunState",
    "TrainedGenerator",
    "abstract_variables",
    "check_is_run",
    "check_resumable",
    "check_shared",
    "data_difference",
    "decoder_notice",
    "facts",
    "keep_from_run",
    "label_size",
    "load_data_info",
    "load_description",
    "load_generator",
    "open_checkpoints",
    "run_state",
    "similar",
    "split",
    "write_description",
]
