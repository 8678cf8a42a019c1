"""CLIP: loaded, checked against golden embeddings, and its scores."""
