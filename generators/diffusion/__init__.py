"""Text to image: one pipeline, noise by sample, and what is followed while it samples.

Others give ``requests.ImageRequest`` to ``text_to_image.TextToImage``, or to ``phases.generate_pruned`` where
pictures are judged half-way. ``trajectory`` and ``predicted_x0`` follow any diffusers scheduler; ``prompt_length``
counts a prompt's tokens.
"""
