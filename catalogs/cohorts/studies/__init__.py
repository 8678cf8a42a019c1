"""Tables whose meaning is known: MIMIC-III, SUPPORT2, Adult, COMPAS."""
