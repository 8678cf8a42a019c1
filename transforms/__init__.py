"""Beam PTransforms. Each only wires; the work is in plain functions that are tested without Beam."""
