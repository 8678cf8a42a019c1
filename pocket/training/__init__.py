"""How the pocket checkpoints were trained and measured."""
