"""Editors of pictures, and the segmenters that say where to edit.

Others give ``base.EditRequest`` to a ``base.Editor``: ``inpainting.Inpainting`` or ``instruct_edit.InstructEdit``.
Masks come from ``segmentation.masks`` with what ``segmentation.load_segmenter`` loads.
"""
