"""The built-in backend: C kernels, loaded with ctypes, that need nothing installed."""
