"""What of a scene images show: everything that renders, hidden originals of earlier splats too, but no splats."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import bpy

from ...engine.core.text import named
from ..splats.instances import objects_with_splats
from ..splats.originals import originals_visible, rendered_objects
from ..splats.splat_object import is_splat_object
from ..translations import tr
from ..typed import Context
from .render_settings import overriding


@contextmanager
def rendered_subjects(context: Context, warn: Callable[[str], None] = lambda _: None) -> Iterator[list[str]]:
    """The full names of the objects that renders show inside this context. Splats are not rendered meanwhile: they would become splats
    of splats. `warn` hears of objects that are left out because they make instances of splats."""
    with ExitStack() as stack:
        stack.enter_context(originals_visible(context))
        depsgraph = context.evaluated_depsgraph_get()
        splats = [found for found in bpy.data.objects if is_splat_object(found)]
        makers = [found for found in objects_with_splats(depsgraph) if found not in splats and found.instance_collection is None]
        if makers:
            warn(tr("Not captured, for they make instances of splats: {names}.", names=named(sorted(found.name for found in makers))))
        for found in (*splats, *makers):
            stack.enter_context(overriding(found, {"hide_render": True}))
        yield [found.name_full for found in rendered_objects(context.view_layer, depsgraph)]
