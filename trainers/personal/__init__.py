"""A class taught to a generator from a few pictures: textual inversion and DreamBooth LoRA."""
