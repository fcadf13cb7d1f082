"""Plugins for the services of one provider, each pack with an extra of its own."""
