"""How the pocket checkpoints were trained and measured.

For `python -m fairshards.pocket.train`; no run imports it.
"""
