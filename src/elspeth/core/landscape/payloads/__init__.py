"""What rows held, where it is too large for the database, and taking it away when its time is over."""
