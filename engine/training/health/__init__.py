"""Finds unhealthy trainings early."""
