"""Open a network in a page of the web browser.

python -m stylegan_jax.explore --network=smileys64
"""

from stylegan_jax.commands.explore import COMMAND
from stylegan_jax.runtime.command import parse_or_exit

if __name__ == "__main__":  # before the imports that take seconds
    arguments = parse_or_exit(COMMAND)

import contextlib
import functools
import importlib.util
from collections.abc import Callable

import jax
from absl import app, flags

from stylegan_jax.checkpoint import CheckpointError
from stylegan_jax.commands import network as network_flags
from stylegan_jax.config import Run
from stylegan_jax.explorer.renderer import DoesNotFit, Renderer
from stylegan_jax.inversion import encoder as encoders
from stylegan_jax.networks import edits
from stylegan_jax.networks.references import open_network
from stylegan_jax.runtime import compilation_cache, malloc
from stylegan_jax.runtime.cli import is_out_of_memory, reporting_errors

FLAGS = flags.FLAGS
PACKAGES = ("starlette", "uvicorn")


def main(argv: list[str]) -> None:
    """Serve the page of `--network` until Ctrl-C."""
    del argv
    check_installed()
    from stylegan_jax.explorer import guard, server  # they import the extra's packages

    say = functools.partial(print, flush=True)
    with server.listening(FLAGS.host, FLAGS.port) as opened:
        malloc.keep_freed_memory_on_cpu()
        compilation_cache.use_unless_set(Run().compilation_cache)
        encoder = encoders.of_flag(FLAGS.encoder)
        renderer = prepare(say)
        if encoder is not None:
            encoder.check(renderer.network, FLAGS.resolution)
        if not guard.is_loopback(FLAGS.host):
            say(
                f"WARNING: with --host={FLAGS.host}, everybody who can reach this "
                "machine can use the page; there is no password"
            )
        say(f"{renderer.network.reference} is at {server.address(opened)}")
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again
            page = server.application(renderer, FLAGS.host, encoder)
            server.server(page).run(sockets=[opened])
        say("ended")


def check_installed() -> None:
    """Raise ValueError if a package of the extra is not installed."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f"explore needs packages that are not installed: {', '.join(missing)}; run "
            "`python -m pip install -e '.[explore]'`"
        )


def prepare(report: Callable[[str], None]) -> Renderer:
    """Open the network, and compile its programs.

    Args:
      report: called with messages about the progress.

    Raises:
      ValueError: there is no such network or direction, or it does not fit into
        memory.
    """
    reference = network_flags.reference(FLAGS)
    paths = edits.direction_paths(FLAGS.direction)
    try:
        network = open_network(reference, FLAGS.step)
        directions = [network.direction(path) for path in paths]
        renderer = Renderer(network, FLAGS.resolution, directions)
        renderer.compile(report)
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise DoesNotFit(
            f"{reference} does not fit into memory; close other programs, or use a "
            "machine with more memory"
        ) from error
    return renderer


if __name__ == "__main__":
    with reporting_errors(ValueError, CheckpointError, OSError):
        app.run(main, flags_parser=lambda argv: arguments)
