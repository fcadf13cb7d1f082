"""Experiments: what was measured, how sure we are, and how to say it."""
