"""Check the flags of many command lines without running the programs.

Reads a JSON list of [module, arguments] from standard input and writes a JSON list of
[exit status, output]. Each program parses its flags and exits (--only_check_args of
absl), in a fork of this process, so that the shared imports happen once.
"""

import importlib
import json
import os
import runpy
import sys
import tempfile

# Programs that define no flags when imported; a fork would define those twice.
PRELOADED = (
    "train",
    "prepare",
    "evaluate",
    "generate",
    "interpolate",
    "mix",
    "figures",
    "convert",
    "ema",
    "explore",
    "export",
    "inspect",
    "directions",
    "project",
    "tune",
)


def check(module: str, arguments: list[str]) -> tuple[int, str]:
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            sys.argv = [module, *arguments, "--only_check_args"]
            status = 1
            try:
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else int(bool(end.code))
            except BaseException as error:
                print(repr(error), file=sys.stderr)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        return status, output.read().decode()


if __name__ == "__main__":
    for name in PRELOADED:
        importlib.import_module(f"stylegan_jax.{name}")
    json.dump([check(*command) for command in json.load(sys.stdin)], sys.stdout)
