"""Seeds, truncation, mixing, interpolation: arrays in, arrays out."""
