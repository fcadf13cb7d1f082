"""Clients of outside services that are useful without the pipeline engine."""
