"""Model folders: what they hold, checked without torch, and how they are loaded."""
