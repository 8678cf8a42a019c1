"""What is asked of a catalog: queries, and the story of a sample."""
