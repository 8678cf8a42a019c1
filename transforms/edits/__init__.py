"""Edits of pictures, and the test of what a classifier says of them."""
