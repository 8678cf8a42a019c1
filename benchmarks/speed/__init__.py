"""Speed and memory, as ratios against bare loops and peers."""
