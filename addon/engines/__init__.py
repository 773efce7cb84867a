"""What trains: the built-in and the full engine, engines on other computers, and where their folders are."""
