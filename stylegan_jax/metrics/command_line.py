"""The flags of `stylegan_jax.evaluate`, and which of them belong together."""

from absl import flags

from stylegan_jax.metrics import opening
from stylegan_jax.metrics.networks.detectors import KINDS

FLAGS = flags.FLAGS
# Flag -> flags of which one has to be there, too; without them it says nothing.
NEEDS = {
    "images_a": ("images_b",),
    "images_b": ("images_a",),
    "size": ("images_a",),
    "fit": ("images_a", "data"),
    "data": ("workdir",),
    "step": ("workdir",),
    "truncation_psi": ("workdir",),
    "noise": ("workdir",),
    "num_processes": ("coordinator",),
    "process_id": ("coordinator",),
}
EXCLUDES = {"workdir": ("images_a", "images_b", "size")}


def define() -> None:
    """Declares the command line."""
    flags.DEFINE_string("workdir", None, "Directory of a run or of a conversion.")
    flags.DEFINE_string("images_a", None, "Folder, zip or prepared set: the reals.")
    flags.DEFINE_string("images_b", None, "Another, to be compared with them.")
    flags.DEFINE_list("metrics", ["swd", "msssim"], "Names; a wrong one lists all.")
    flags.DEFINE_integer(
        "images", None, "Generated images; default: the metric's own.", lower_bound=2
    )
    flags.DEFINE_enum("features", "inception", list(KINDS), "Network of features.")
    flags.DEFINE_string("detector", None, "Its weights; default: found or fetched.")
    flags.DEFINE_string("vgg16", None, "VGG16's weights, for LPIPS; likewise.")
    flags.DEFINE_string("attributes", None, "For ls: package.module:function.")
    flags.DEFINE_integer("seed", 0, "Of all that is drawn.", lower_bound=0)
    flags.DEFINE_float("truncation_psi", 1.0, "1 is all variety, as papers have it.")
    flags.DEFINE_enum(
        "noise", "random", ["const", "random", "none"], "Per-pixel noise."
    )
    flags.DEFINE_integer("step", None, "Number of the checkpoint; default: the newest.")
    flags.DEFINE_string("data", None, "Other reals for --workdir: as --images_a.")
    flags.DEFINE_bool("mirror_reals", False, "Flip half of the reals left-right.")
    flags.DEFINE_string(
        "size", None, "SIDE or HEIGHTxWIDTH that images are brought to."
    )
    flags.DEFINE_enum("fit", "exact", ["exact", "crop"], "How they are brought to it.")
    flags.DEFINE_integer("batch_size", 32, "Images at once.", lower_bound=2)
    flags.DEFINE_string("cache", opening.CACHE, "Of real statistics; empty: none.")
    flags.DEFINE_string("out", None, "File to append to; default: metrics.jsonl.")
    flags.DEFINE_bool("distributed", False, "One of several processes.")
    flags.DEFINE_string("coordinator", None, "host:port of process 0; default: found.")
    flags.DEFINE_integer("num_processes", None, "With --coordinator: how many.")
    flags.DEFINE_integer("process_id", None, "With --coordinator: which one this is.")


def contradictions(given: set[str]) -> list[str]:
    """What is wrong with the flags that were given, by name: what, and the remedy."""
    problems = []
    if not given & {"workdir", "images_a", "images_b"}:
        problems.append("give --workdir, or both --images_a and --images_b")
    for flag, others in EXCLUDES.items():
        clashing = [f"--{x}" for x in others if {flag, x} <= given]
        if clashing:
            problems.append(
                f"--{flag} and {', '.join(clashing)} exclude each other: leave out "
                "either"
            )
    for flag, others in NEEDS.items():
        excluded = any(flag in EXCLUDES.get(x, ()) for x in given)
        if flag in given and not excluded and not given & set(others):
            needed = " or ".join(f"--{x}" for x in others)
            problems.append(
                f"--{flag} says nothing without {needed}: give that too, or leave out "
                f"--{flag}"
            )
    return problems


def given() -> set[str]:
    """Names of the flags that the command line has, with a value."""
    return {
        name
        for name in FLAGS
        if FLAGS[name].present and FLAGS[name].value not in (None, "")
    }
