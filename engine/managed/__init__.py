"""Trainings that a service runs in a container: input, settings, checkpoints, result and failure where the service has them."""
