"""Inversion: from images to latents, and generators tuned around them."""
