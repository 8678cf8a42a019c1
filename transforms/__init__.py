"""Beam PTransforms: tasks in, records of what was committed out.

Each only wires; the work is in plain functions that are tested without Beam. ``shards`` has the task and its commit,
``stage`` what all model stages share, ``sources`` the readers of datasets; the other rooms are the stages:
``pictures``, ``language``, ``edits``, ``records``.
"""
