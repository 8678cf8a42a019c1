"""Rows of a table: sampled, scored, and copied into curated shards."""
