"""How well filters' statistics find pictures that are off support."""
