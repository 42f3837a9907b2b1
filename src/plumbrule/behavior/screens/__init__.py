"""Screens: cheap looks at two models that say where it is worth spending texts."""
