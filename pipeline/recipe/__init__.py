"""Recipes: what a YAML file may say, held to declared types."""
