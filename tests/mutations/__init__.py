"""Small wrong changes to the training's mathematics, which the tests must notice.

`table.py` gathers them; `python -m tests.mutations` makes each one in a copy of the
project and runs the tests that are named for it there.
"""
