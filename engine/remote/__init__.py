"""An engine on another computer, with the standard library alone."""
