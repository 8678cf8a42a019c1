"""A class taught to a generator from a few pictures: textual inversion and DreamBooth LoRA.

Others use ``personalise.personalise`` with ``settings.PersonaliseSettings`` and a ``settings.Concept``.
"""
