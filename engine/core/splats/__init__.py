"""Gaussians as arrays, and their mathematics."""
