"""Seeds, truncation, synthesis, mixing and interpolation: arrays in, arrays out."""
