"""The pocket checkpoints' architectures, and how they are exported.

For the training and the benchmarks: a run loads the checkpoints as it loads any other model.
"""
