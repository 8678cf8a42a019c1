"""Text to image: one pipeline, noise by sample, and what is followed while it samples."""
