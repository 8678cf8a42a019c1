"""Which phrases of captions are spurious (ASPIRE), and the pictures that are made without them."""
