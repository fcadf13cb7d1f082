"""Azure virtual machines: a client that is useful without the pipeline engine."""
