"""CLIP: loaded, checked against golden embeddings, and its scores.

Others use ``clip_scorer.ClipScorer`` for scores of pictures and ``clip_model.ClipModel`` for embeddings.
"""
