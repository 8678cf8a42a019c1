"""Pictures: generated, scored, and copied into curated shards."""
