"""What a training will take: measured by a probe, forecast, and fitted to what is there."""
