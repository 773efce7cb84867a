"""The trainer: one loop, schedule, strategy, checkpoint and evaluation for every backend. Needs numpy alone."""
