"""From the scene to a dataset: rigs, renders, depth, start points."""
