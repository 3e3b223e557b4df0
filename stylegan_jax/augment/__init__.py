"""What the discriminator sees: random transforms of reals and fakes."""
