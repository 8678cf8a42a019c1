"""Editors of pictures, and the segmenters that say where to edit."""
