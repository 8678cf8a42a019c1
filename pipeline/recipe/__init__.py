"""Recipes: what a YAML file may say, held to declared types.

Others use ``pictures.load_recipe``, or ``records.load_any`` for either kind; both raise ``pictures.RecipeError`` with
every problem at once. The other modules are sections of a recipe. Imports no torch.
"""
