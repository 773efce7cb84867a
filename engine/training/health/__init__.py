"""Watches a training, and says early when it is unhealthy."""
