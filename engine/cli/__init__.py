"""The command line: one file a verb; main.py registers them."""
