"""The sidebar tab "Splats". Panels draw what is known and never work."""
