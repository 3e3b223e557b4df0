"""Write `report.html` of a run: curves, images over time and settings in one file.

python -m stylegan_jax.report --workdir=runs/emoji
"""

from absl import app, flags

from stylegan_jax.report import page
from stylegan_jax.runtime import storage
from stylegan_jax.runtime.cli import reporting_errors

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Write the report and print its path."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}")
    print(f"wrote {page.write(storage.open_path(FLAGS.workdir))}")


def define_flags() -> None:
    """Define the command-line flags."""
    flags.DEFINE_string("workdir", None, "Directory of a run.")
    flags.mark_flag_as_required("workdir")


if __name__ == "__main__":
    define_flags()
    with reporting_errors(ValueError, OSError):
        app.run(main)
