"""Edits of pictures, and the test of what a classifier says of them.

Others use ``edit.Edit`` and ``edit_test.EditTest`` with the specs in ``specs``.
"""
