"""Image files without packages: PNG, sizes, colour profiles."""
