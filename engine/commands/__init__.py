"""Verbs of the command line, one file a subject; cli.py registers them."""
