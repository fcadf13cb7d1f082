"""Experiments on record: which row met which variant, and what came of it."""
