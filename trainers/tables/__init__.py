"""Bt-GAN's training: for a cohort, or for a data frame (``synthesizer``)."""
