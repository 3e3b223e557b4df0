"""Run the mutations: `python -m tests.mutations [--only NAME ...] [--jobs N]`."""

import argparse
import sys

from tests.mutations.runner import ERROR, BrokenMutation, main

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.mutations")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="run these only"
    )
    parser.add_argument("--jobs", type=int, default=1, help="mutations at once")
    parser.add_argument(
        "--no-baseline",
        action="store_true",
        help="do not run the tests on the unchanged project first",
    )
    flags = parser.parse_args()
    try:
        # The page shows all of them; a part is printed only.
        status = main(flags.only, flags.jobs, not flags.no_baseline, not flags.only)
    except BrokenMutation as error:
        print(f"error: {error}", file=sys.stderr)
        status = ERROR
    sys.exit(status)
