"""Images, their labels and the input pipeline.

- `sources`: the data sets that training reads (`data.source`). To add one, see
  `sources/__init__.py`: a file there and a line in its table.
- `formats`: the files that `prepare` reads. To add one, see `formats/__init__.py`.
- `preparation`: the conversion of a raw data set to a single image size.
- `images`, `decoding`: image geometry, and the decoding of image files.
- `pipeline`: shuffled batches in an order that depends only on seed and position.
"""
