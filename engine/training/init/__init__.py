"""The Gaussians that a training starts from."""
