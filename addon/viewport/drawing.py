"""What happens when Blender draws a viewport."""

from __future__ import annotations

from collections.abc import Hashable
from concurrent.futures import Executor, ThreadPoolExecutor

import bpy
import gpu
import numpy as np

from ..splats.instances import may_show_splats
from ..typed import Context, untyped
from .canvas import Canvas, Eye, Outline, Painter, Scenery, depth_texture, entries_texture, marked
from .cloud import Cloud, CloudLoading, read_rows
from .footprints import Footprints, PlacedSplats, footprints
from .order import DepthSorter, Order
from .picking import Area, Picked
from .selection_box import SelectionBoxes
from .stage import Changes, DrawnScene, collect_scene

STEP_SECONDS = 0.01
"""How long a redraw brings splats to the graphics card before it lets Blender go on; a step more may follow."""

MOST_VIEWPORTS = 16
"""Viewports whose state is kept; those closed long ago fall out."""


class Viewport:
    """What belongs to one region."""

    def __init__(self, executor: Executor):
        self.sorter = DepthSorter(executor)
        self.order: Order | None = None
        self._entries: gpu.types.GPUTexture | None = None
        self._canvas: Canvas | None = None
        self._painted: tuple[Hashable, ...] = ()
        self.is_shown = False
        """Whether the canvas is what the region showed when it was drawn last."""

    def canvas(self, eye: Eye) -> Canvas:
        """The canvas of the region's size, made anew when that has changed."""
        if self._canvas is None or self._canvas.size != (eye.width, eye.height):
            self._canvas, self._painted = Canvas(eye.width, eye.height), ()
        return self._canvas

    @property
    def is_empty(self) -> bool:
        """Whether nothing was painted on the canvas yet."""
        return not self._painted

    def is_painted(self, *what: Hashable) -> bool:
        """Whether the canvas shows just this already; what is asked for is what it will show."""
        before, self._painted = self._painted, what
        return before == what

    def picked(self, area: Area) -> Picked | None:
        """What of the splats is seen in a part of the region; None where it shows none."""
        if self._canvas is None or not self.is_shown or self.is_empty:
            return None
        clipped = area.clipped(*self._canvas.size)
        return Picked(self._canvas.owners, clipped, self._canvas.read_picked(clipped)) if clipped.width and clipped.height else None

    def entries(self, order: Order) -> gpu.types.GPUTexture:
        """The order, on the graphics card."""
        if order is not self.order or self._entries is None:
            self.order, self._entries = order, entries_texture(order)
        return self._entries


class ViewportDrawing:
    """Everything that lives as long as the drawing is switched on."""

    def __init__(self) -> None:
        self.failure = ""
        self.changes = Changes()
        self.viewports: dict[int, Viewport] = {}
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="splatwright-sort")
        self._painter = Painter()
        self._boxes = SelectionBoxes()
        self._stages: dict[Hashable, DrawnScene] = {}
        self._clouds: dict[Hashable, tuple[DrawnScene, Cloud]] = {}
        self._loading: dict[Hashable, CloudLoading] = {}
        self._updates = 0

    def draw(self, context: Context) -> None:
        """Draw the splats that the viewport of `context` sees, and boxes of selected ones; once it has failed, nothing."""
        if (before := self.viewports.get(untyped(context).region.as_pointer())) is not None:
            before.is_shown = False
        if self.failure:
            return
        if shows_splats(context.scene, context.space_data):
            self._draw_splats(context)
        if any(map(may_show_splats, context.view_layer.objects.selected)):
            stage = self._stage(context)
            self._boxes.draw(context, [found for found in stage.placements if found.is_visible(context.space_data)], stage.sources)

    def has_splats(self, context: Context) -> bool:
        """Whether there are splats in the viewport of `context`, whoever draws them."""
        space = context.space_data
        return space.show_object_viewport_pointcloud and any(found.is_visible(space) for found in self._stage(context).placements)

    def picked(self, context: Context, area: Area) -> Picked | None:
        """What of the splats is seen in a part of the region of `context`; None where splats are not drawn. Needs a graphics context."""
        viewport = self.viewports.get(untyped(context).region.as_pointer())
        if viewport is None or self.failure or not shows_splats(context.scene, context.space_data):
            return None
        return viewport.picked(area)

    def footprints(self, context: Context, area: Area) -> Footprints | None:
        """What of the splats lies in a part of the region of `context`; None where Blender does not draw them with their material."""
        if not renders_splats(context.scene, context.space_data):
            return None
        region, stage = untyped(context.region), self._stage(context)
        clipped, rows = area.clipped(region.width, region.height), [read_rows(source) for source in stage.sources]
        parts = [PlacedSplats(placement, rows[placement.source]) for placement in stage.placements
                 if placement.is_selectable and placement.is_visible(context.space_data)]
        return footprints(parts, eye_of(region, context.region_data), clipped) if parts and clipped.width and clipped.height else None

    def busy_sorters(self) -> list[DepthSorter]:
        """Those with a sort under way."""
        return [viewport.sorter for viewport in self.viewports.values() if viewport.sorter.is_busy]

    def _draw_splats(self, context: Context) -> None:
        stage, cloud = self._stage_and_cloud(context)
        visible = tuple(placement for placement in stage.placements if placement.is_visible(context.space_data))
        if visible and cloud is not None:
            self._draw_scenery(context, Scenery(cloud, visible, *marked(visible, context.view_layer.objects.active)))

    @property
    def is_loading(self) -> bool:
        """Whether splats are on their way to the graphics card: every redraw takes a step."""
        return bool(self._loading)

    def forget_stages(self) -> None:
        """Objects moved, came, went or changed."""
        self._stages.clear()
        self._updates += 1

    def close(self) -> None:
        """Free the graphics card's memory and end the thread."""
        self._executor.shutdown(cancel_futures=True)
        for kept in (self._stages, self._clouds, self._loading, self.viewports):
            kept.clear()

    def _draw_scenery(self, context: Context, scenery: Scenery) -> None:
        region: bpy.types.Region = untyped(context).region  # the one that Blender draws
        eye, viewport = eye_of(region, context.region_data), self._viewport(region)
        canvas, order = viewport.canvas(eye), viewport.sorter.newest(scenery.sort_request(eye))
        if order is None:  # the first sort is under way: what stood there before stays for a moment
            if not viewport.is_empty:
                self._painter.composite(canvas, outline_of(context))
                viewport.is_shown = True
            return
        looks = looks_of(context.space_data, context.region_data)
        if not viewport.is_painted(eye.key, scenery.cloud, scenery.rows(eye).tobytes(), order, self._updates, looks):
            depths = untyped(gpu.state).active_framebuffer_get().read_depth(0, 0, eye.width, eye.height)
            self._painter.paint(canvas, scenery, len(order.entries), viewport.entries(order), eye, depth_texture(depths, eye))
        self._painter.composite(canvas, outline_of(context))
        viewport.is_shown = True

    def _stage(self, context: Context) -> DrawnScene:
        key = _layer_key(context)
        if key not in self._stages:
            self._stages[key] = collect_scene(context.evaluated_depsgraph_get(), self.changes)
            self._boxes.keep_only([source for stage in self._stages.values() for source in stage.sources])
        return self._stages[key]

    def _stage_and_cloud(self, context: Context) -> tuple[DrawnScene, Cloud | None]:
        """What is drawn: the scene as it is, or, while its splats are on their way to the graphics card, what of it is there, or was."""
        key, stage = _layer_key(context), self._stage(context)
        wanted = tuple(source.key for source in stage.sources)
        before, cloud = self._clouds.get(key, (stage, None))
        if cloud is not None and cloud.keys == wanted:
            self._loading.pop(key, None)
        elif stage.placements:
            shown, cloud = cloud, self._loaded(key, stage, wanted, cloud.keys if cloud is not None else ())
            if cloud is None and self._loading[key].partial is not None:
                return stage, self._loading[key].partial
            if cloud is None:
                return before, shown
        self._clouds |= {key: (stage, cloud)} if cloud is not None else {}
        return stage, cloud

    def _loaded(self, key: Hashable, stage: DrawnScene, wanted: tuple[Hashable, ...], shown: tuple[Hashable, ...]) -> Cloud | None:
        """The cloud of the stage's sources when it is whole; each call takes a step towards it from what is shown."""
        if key not in self._loading or self._loading[key].keys != wanted:
            self._loading[key] = CloudLoading(stage.sources, shown)
        cloud = self._loading[key].advance(STEP_SECONDS)
        if cloud is not None:
            del self._loading[key]
        return cloud

    def _viewport(self, region: bpy.types.Region) -> Viewport:
        key = region.as_pointer()
        found = self.viewports.pop(key, None) or Viewport(self._executor)
        self.viewports[key] = found  # the newest at the end
        if len(self.viewports) > MOST_VIEWPORTS:
            del self.viewports[next(iter(self.viewports))]
        return found


def shows_splats(scene: bpy.types.Scene, space: bpy.types.SpaceView3D) -> bool:
    """Whether splats are drawn in a viewport: not where EEVEE or Cycles draw them with their material."""
    workbench = scene.render.engine == "BLENDER_WORKBENCH" and space.shading.type == "RENDERED"
    return space.show_object_viewport_pointcloud and (workbench or space.shading.type in ("SOLID", "WIREFRAME"))


def renders_splats(scene: bpy.types.Scene, space: bpy.types.SpaceView3D) -> bool:
    """Whether EEVEE or Cycles draw splats with their material in a viewport."""
    return space.show_object_viewport_pointcloud and not shows_splats(scene, space)


def eye_of(region: bpy.types.Region, view: bpy.types.RegionView3D) -> Eye:
    """The camera of a viewport."""
    return Eye(np.array(view.view_matrix, float), np.array(view.window_matrix, float), region.width, region.height)


def looks_of(space: bpy.types.SpaceView3D, view: bpy.types.RegionView3D) -> Hashable:
    """What else than the scene and the camera decides on what a viewport shows before and behind splats."""
    shading, kinds = space.shading, [name for name in dir(space) if name.startswith("show_object_viewport_")]
    clipping = tuple(tuple(plane) for plane in untyped(view).clip_planes) if getattr(view, "use_clip_planes", False) else ()
    return (shading.type, shading.show_xray, shading.show_xray_wireframe, shading.xray_alpha, shading.show_backface_culling,
            space.overlay.show_overlays, space.local_view is not None, clipping, tuple(getattr(space, name) for name in kinds))


def outline_of(context: Context) -> Outline:
    """Colours and width of the outline by theme and overlay settings."""
    overlay, theme = context.space_data.overlay, untyped(context.preferences.themes[0]).view_3d
    width = max(1, round(context.preferences.system.pixel_size)) if overlay.show_overlays and overlay.show_outline_selected else 0
    return Outline(tuple(theme.object_selected), tuple(theme.object_active), width)


def _layer_key(context: Context) -> Hashable:
    return context.scene.session_uid, context.view_layer.name
