"""How a program ends that is compiling in the background."""

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from typing import NoReturn

import jax

from stylegan_jax.training import compilation


@contextlib.contextmanager
def exit_without_waiting() -> Iterator[None]:
    """Lets `sys.exit` within the block end the program though it is compiling.

    Python waits for its threads before it exits, and a compilation, which may take
    minutes, cannot be interrupted: a scheduler would kill the process meanwhile, and
    the status be lost that says that it has saved. All files must be closed by then.
    """
    try:
        yield
    except SystemExit as request:
        if compilation.compiling():
            _leave(request.code)
        raise


def _leave(code: object) -> NoReturn:
    """Ends the process without taking down what the compiler still uses."""
    status = code if isinstance(code, int) else int(code is not None)
    if isinstance(code, str):
        print(code, file=sys.stderr)
    try:
        # As JAX does at exit; the other processes wait for it.
        jax.distributed.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    except Exception:  # told, as of what fails at exit
        traceback.print_exc()
    finally:
        os._exit(status)
