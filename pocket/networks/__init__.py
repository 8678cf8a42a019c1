"""The pocket checkpoints' architectures, and how they are exported."""
