"""Write `report.html` of a run: curves, images over time and settings in one file.

python -m stylegan_jax.report --workdir=runs/smileys
"""

from stylegan_jax.commands.report import COMMAND
from stylegan_jax.runtime.command import parse_or_exit

if __name__ == "__main__":  # before the imports that take seconds
    arguments = parse_or_exit(COMMAND)

from absl import app, flags

from stylegan_jax import workdir
from stylegan_jax.commands import network
from stylegan_jax.report import page
from stylegan_jax.runtime.cli import reporting_errors
from stylegan_jax.runtime.logger import LOG

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Write the report and print its path."""
    del argv
    directory, _ = workdir.split(network.reference(FLAGS))
    if not (directory / LOG).exists():
        workdir.check_is_run(directory)  # explains what else it is
    print(f"wrote {page.write(directory)}")


if __name__ == "__main__":
    with reporting_errors(ValueError, OSError):
        app.run(main, flags_parser=lambda argv: arguments)
