"""What the add-on, clients, servers and workers tell each other: the job folder, its events, settings and messages."""
