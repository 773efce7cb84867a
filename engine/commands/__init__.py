"""The command line's verbs, one file a subject. Each is a shell over functions that work without it."""
