"""Rounds of plan, generate, score and decide until each group has its quota; then curated shards."""
