"""Recipes: what a YAML file may say, held to declared types.

Others use ``base.RecipeBase``, from which a kind's recipe derives, and ``base.RecipeError``, which says every problem
at once; ``loading`` reads files. The other modules are sections of a recipe. Imports no torch.
"""
