"""Images, their labels and the input pipeline.

- `sources`: the data sets that training reads (`data.source`). To add one, see
  `sources/__init__.py`: a file there and a line in its table.
- `formats`: the files that `prepare` reads. To add one, see `formats/__init__.py`.
- `preparation`: how `prepare` turns a raw data set into one of a single image size.
- `images`, `decoding`: image geometry, and encoded files to pixels.
- `pipeline`: shuffled batches in an order that depends only on seed and position.
"""
