"""A page about one training: everything in a single HTML file that any browser opens, made with the standard library and numpy."""
