"""fairshards: balanced, spurious-free synthetic shards from a biased dataset, and the trainers that use them."""
