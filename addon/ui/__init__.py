"""What all of the interface shares: text in panels, pictures in the image editor, redrawing."""
