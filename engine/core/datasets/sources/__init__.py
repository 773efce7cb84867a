"""Datasets as other programs write them: each reader finds its file in a folder and gives the same Dataset."""
