"""Bt-GAN against its peers."""
