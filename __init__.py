"""Splatwright: train 3D Gaussian splats from inside Blender. Blender calls register() and unregister()."""


def register() -> None:
    from . import addon

    addon.register()


def unregister() -> None:
    from . import addon

    addon.unregister()
