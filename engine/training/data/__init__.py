"""Images and maps of a dataset as training targets."""
