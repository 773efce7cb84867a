"""Several captures and trainings, one after the other."""
