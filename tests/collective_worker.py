"""Worker of test_processes.py: one of two processes that vote repeatedly.

python -m tests.collective_worker MODE PORT PROCESS
"""

import sys
import time

from stylegan_jax.runtime import parallel
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.watchdog import Watchdog

HEARTBEAT_SECONDS = 10
HANG_SECONDS = 1.0


def worker(mode: str, port: str, process: int) -> None:
    with reporting_errors(ValueError, parallel.ProcessLost):
        parallel.initialize(f"127.0.0.1:{port}", 2, process, HEARTBEAT_SECONDS)
        here = parallel.data_parallel()
        facts = {"jax": "1.2.3", "training.r1_gamma": "10.0", "data": "seven images"}
        here.check_agreement(facts)
        print("agreed", flush=True)
        if mode == "differ":
            facts["data"] += f" and {process}"
            if process == 1:
                facts["jax"] = "a much longer version, of other bytes: \u00e4\u00f6"
            here.check_agreement(facts)
        elif mode == "forever":
            dog = Watchdog(HANG_SECONDS, f"process {process} of 2")
            with parallel.explaining_lost_processes(HEARTBEAT_SECONDS):
                while True:
                    dog.watch("the round from step 8 on")
                    here.any_process(False)()
                    time.sleep(0.02)


if __name__ == "__main__":
    worker(sys.argv[1], sys.argv[2], int(sys.argv[3]))
