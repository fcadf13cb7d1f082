"""One file per command; each has an ``app``, and its help text has an example."""
