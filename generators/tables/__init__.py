"""Bt-GAN's generator: encoding of tables, networks, sampling, rejection."""
