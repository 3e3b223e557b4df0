"""Training with a fault in one process.

python -m tests.faulty_train FAULT FLAGS_OF_TRAIN
"""

import runpy
import sys
import time

from stylegan_jax import workdir
from stylegan_jax.report import page
from stylegan_jax.training import setup
from tests.collective_worker import HEARTBEAT_SECONDS

PROBLEM = "the images of this host are not those of the run"


def slow_report() -> None:
    """Write the report, which process 0 does alone, for longer than a heartbeat."""
    write = page.write

    def slow(directory):
        time.sleep(HEARTBEAT_SECONDS + 3)
        return write(directory)

    page.write = slow


def wrong_setting() -> None:
    """Fail in process 1 alone, with an error that would be raised again."""

    def fail(*_):
        raise ValueError(PROBLEM)

    if "--process_id=1" in sys.argv:
        workdir.check_resumable = fail


def slow_setup() -> None:
    """Build the networks for longer than a test waits."""

    def slow(*_):
        print("building", flush=True)
        time.sleep(600)

    setup.build = slow


if __name__ == "__main__":
    fault = sys.argv.pop(1)
    {f.__name__: f for f in (slow_report, wrong_setting, slow_setup)}[fault]()
    runpy.run_module("stylegan_jax.train", run_name="__main__", alter_sys=True)
