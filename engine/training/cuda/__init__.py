"""The full engine's backend: torch, and gsplat's rasterizer on an NVIDIA GPU. Importing this package costs nothing."""
