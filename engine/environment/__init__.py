"""The full engine's own Python environment: what suits this computer, building it with uv, looking after it.

Standard library only, so that Blender's own Python runs it. A folder holds everything: environments, uv and its cache.
"""
