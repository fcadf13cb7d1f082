"""ELSPETH: auditable Sense/Decide/Act pipelines."""

__version__ = "0.1.0"
