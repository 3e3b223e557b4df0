"""Random transforms of the reals and fakes that the discriminator sees."""
