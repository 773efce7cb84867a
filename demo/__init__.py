"""The sample scene and the demonstration of the whole way."""
