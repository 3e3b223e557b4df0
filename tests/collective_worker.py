"""Worker of test_processes.py: one of two processes.

python -m tests.collective_worker MODE PORT PROCESS
"""

import sys
import time

from stylegan_jax.runtime import parallel, processes
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.watchdog import Watchdog

HEARTBEAT_SECONDS = 10
HANG_SECONDS = 1.0


def worker(mode: str, port: str, process: int) -> None:
    errors = reporting_errors(processes.ProcessLost, permanent=(ValueError,))
    with processes.ending_together(), errors:
        processes.initialize(f"127.0.0.1:{port}", 2, process, HEARTBEAT_SECONDS)
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
            with processes.explaining_lost_processes(HEARTBEAT_SECONDS):
                while True:
                    dog.watch("the round from step 8 on")
                    here.any_process(False)()
                    time.sleep(0.02)
        elif mode == "report":  # process 0 has more to do at the end
            if process == 0:
                time.sleep(HEARTBEAT_SECONDS + 2)
        elif mode == "wrong":  # process 1 fails, 0 waits for it in a collective
            if process == 1:
                raise ValueError("the images of this host are others")
            here.any_process(False)()
        elif mode == "crash":  # as "wrong", with an error that nobody expects
            if process == 0:
                raise KeyError("no such label")
            here.any_process(False)()
        elif mode == "late":  # process 0 has finished
            if process == 1:
                time.sleep(2)
                raise ValueError("the report cannot be read")
        elif mode == "stuck":  # process 1 is stopped
            if process == 0:
                time.sleep(0.5)
                raise ValueError("the labels are others")
            time.sleep(600)
        elif mode == "idle":
            time.sleep(600)
        processes.finish()


if __name__ == "__main__":
    worker(sys.argv[1], sys.argv[2], int(sys.argv[3]))
