r"""Comparison of methods for small data sets at equal numbers of images seen.

    python -m benchmarks.small_data --out=runs/small --kimg=40
    python -m benchmarks.small_data --out=runs/emoji --data=emoji64.zip --kimg=40
    python -m benchmarks.small_data --out=runs/small --runs=none,ada --kimg=6
    python -m benchmarks.small_data --out=runs/small --kimg=0

Trains one run after another, each in a directory of its name under --out:

    none         the config, without augmentation
    ada          with the transforms `bgc` at an adaptive probability, which can rise by
                 1 in a hundred passes over the images
    diffaugment  with all transforms of DiffAugment
    autopilot    the settings of `configs/small.py`

They share the images, the resolution, the seed and the evaluations; the flags of --more
are added to the command of each. The same command resumes interrupted runs, and
--kimg=0 trains nothing. Two processes with different --runs can train at the same time.
Writes `curves.html`, with a line for each run in --out, and prints a table of the last
values.
"""

import math
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from absl import app, flags
from etils import epath

from stylegan_jax.config.sections.data import Data
from stylegan_jax.data import survey
from stylegan_jax.data.sources.builtin import SMILEYS
from stylegan_jax.presets import Survey
from stylegan_jax.presets.small import PASSES
from stylegan_jax.report import charts, page
from stylegan_jax.report.charts import Mark, Series

FLAGS = flags.FLAGS
METRIC = "kid_efficientnet"
R_V, UNCERTAIN = "overfitting/r_v", 0.5
AUTOPILOT = "autopilot"
RUNS = {
    "none": {},
    "ada": {"training.augment": "bgc"},
    "diffaugment": {"training.augment": "color,translation,cutout"},
    AUTOPILOT: {},
}
# Title of a chart -> name of a scalar in the logs.
CURVES = {
    "KID (EfficientNet-Lite0) to training images": f"metrics/{METRIC}",
    "r_v (1: held-out images score like fakes)": R_V,
    "Nearest training image (0: copies)": "overfitting/nearest",
    "Variety (0: all alike)": "overfitting/variety",
    "p, probability of the augmentations": "progress/augment_probability",
    "r_t, mean sign of the scores of reals": "d_main/sign_real",
}


def main(argv: list[str]) -> None:
    """Train, and compare the available runs."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}")
    out = Path(FLAGS.out)
    unknown = set(FLAGS.runs) - set(RUNS)
    if unknown:
        raise app.UsageError(
            f"--runs contains {sorted(unknown)}; the choices are {list(RUNS)}"
        )
    if FLAGS.kimg:
        found = survey.survey(FLAGS.data or str(SMILEYS))
        for name in FLAGS.runs:
            command = training_command(name, out, found, shlex.split(FLAGS.more))
            print(shlex.join(command), flush=True)
            subprocess.run(command, check=True)
    rows = {name: page.read_rows(epath.Path(out / name / "log.jsonl")) for name in RUNS}
    rows = {k: found for k, found in rows.items() if any("tick" in x for x in found)}
    if not rows:
        raise app.UsageError(
            f"--out (={out}) has no run of {list(RUNS)} with a tick; give --kimg"
        )
    (out / "curves.html").write_text(curves(rows))
    print(table(rows))
    print(f"wrote {out / 'curves.html'}")


def training_command(name: str, out: Path, found: Survey, more: list[str]) -> list[str]:
    """Return the command that trains a run on the images of a survey."""
    settings = {
        "data.held_out": FLAGS.held_out,
        "training.total_kimg": FLAGS.kimg,
        "run.time_limit_minutes": 0,
        "evaluation.metrics": f"{METRIC},msssim",
        "evaluation.every_kimg": FLAGS.every_kimg,
        "evaluation.images": FLAGS.evaluated,
    }
    if name == AUTOPILOT:
        config = f"configs/small.py:{FLAGS.data},{FLAGS.resolution}"
    else:
        config = FLAGS.config
        settings |= {"data.resolution": FLAGS.resolution, **RUNS[name]}
        if FLAGS.data:
            settings |= {
                "data.source": "auto",
                "data.builtin": Data.builtin,  # the defaults, as they are not read
                "data.builtin_classes": Data.builtin_classes,
                "data.path": FLAGS.data,
                "data.fit": "crop",
                "data.channels": found.channels,
            }
    if name == "ada":
        images = round(found.images * (1 - FLAGS.held_out))
        settings["training.augment_speed_kimg"] = PASSES * images / 1000
    return [
        *(sys.executable, "-m", "stylegan_jax.train", f"--config={config}"),
        f"--workdir={out / name}",
        *(f"--config.{setting}={value}" for setting, value in settings.items()),
        *more,
    ]


def series(rows: list[dict[str, Any]], name: str) -> list[tuple[float, float]]:
    """Return (kimg, value) of a scalar; if points repeat, the last ones are kept.

    Values of r_v whose standard error is at least `UNCERTAIN` are left out.
    """
    if name == R_V:
        rows = [row for row in rows if row.get(f"{R_V}_error", 0) < UNCERTAIN]
    found = {row["kimg"]: float(row[name]) for row in rows if name in row}
    return sorted(found.items())


def warnings(rows: list[dict[str, Any]]) -> list[tuple[float, str]]:
    """Return (kimg, message) of the warnings of a log."""
    found = [row for row in rows if row.get("event") == "warning"]
    return [(row["kimg"], row["message"]) for row in found]


def curves(rows: dict[str, list[dict[str, Any]]]) -> str:
    """Return a page with a chart for each of `CURVES`, and the warnings of the runs.

    Args:
      rows: rows of the log of each run.
    """
    parts, items = [], []
    marks = [
        Mark(kimg, f"{name}: warning")
        for name in rows
        for kimg, _ in warnings(rows[name])
    ]
    for title, scalar in CURVES.items():
        lines = [Series(name, series(rows[name], scalar)) for name in rows]
        if any(math.isfinite(y) for line in lines for _, y in line.points):
            parts.append(charts.chart(title, lines, marks))
    for name in rows:
        items += [f"<li>{name}, {k:g} kimg: {m}</li>" for k, m in warnings(rows[name])]
    return page.document(
        "Few images",
        f'<h1>Few images</h1><div class="charts">{"".join(parts)}</div>'
        f"<h2>Warnings</h2><ul>{''.join(items) or '<li>none</li>'}</ul>",
    )


def table(rows: dict[str, list[dict[str, Any]]]) -> str:
    """Return a Markdown table of the last values, and of the first warning."""
    names = [scalar for scalar in CURVES.values()]
    lines = [
        "| run | kimg | "
        + " | ".join(n.partition("/")[2] for n in names)
        + " | first warning |",
        "|---" * (len(names) + 3) + "|",
    ]
    for run, found in rows.items():
        last = [series(found, name)[-1:] for name in names]
        kimg = max((row["kimg"] for row in found if "tick" in row), default=0.0)
        warned = warnings(found)
        first = (
            f"{warned[0][0]:g} kimg: {warned[0][1].partition(':')[0]}"
            if warned
            else "none"
        )
        values = [f"{value[0][1]:.3f}" if value else "" for value in last]
        lines.append(f"| {run} | {kimg:g} | {' | '.join(values)} | {first} |")
    return "\n".join(lines)


if __name__ == "__main__":
    flags.DEFINE_string("out", None, "Directory of the runs.")
    flags.DEFINE_string(
        "data", "", "Folder or archive of images [default: the built-in smileys]."
    )
    flags.DEFINE_list("runs", list(RUNS), "Runs to train.")
    flags.DEFINE_string("config", "configs/smileys.py", "Config of all but autopilot.")
    flags.DEFINE_float("kimg", 40.0, "Length of each run; 0 only compares.")
    flags.DEFINE_float(
        "held_out",
        0.1,
        "Share of the images that is held out; the choices of autopilot are for 0.1.",
    )
    flags.DEFINE_string("more", "", "Flags that are added to every training.")
    flags.DEFINE_integer("resolution", 32, "Resolution of all runs.")
    flags.DEFINE_float("every_kimg", 10.0, "Interval of the evaluations.")
    flags.DEFINE_integer("evaluated", 512, "Images that an evaluation generates.")
    flags.mark_flag_as_required("out")
    app.run(main)
