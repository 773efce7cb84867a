"""Painting splats with the graphics card. Everything in here needs a graphics context."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader
from mathutils import Matrix

from ..typed import untyped
from .cloud import Cloud, texture
from .order import Order, SortedPart, SortRequest
from .picking import HIDDEN, Area
from .shaders import composite_shader, splat_shader
from .stage import Placement

FOV_MARGIN = 0.3
"""The Jacobian is taken no farther outside the image than this share of its half, as in training."""

CORNERS = ((-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0))


@dataclass(frozen=True)
class Eye:
    """A camera in OpenGL's convention, and the size of its image."""

    view: np.ndarray  # [4, 4] world to camera, which looks along -z
    projection: np.ndarray  # [4, 4]
    width: int
    height: int

    @property
    def key(self) -> Hashable:
        """The same for eyes that see the same."""
        return self.view.tobytes(), self.projection.tobytes(), self.width, self.height

    @property
    def perspective(self) -> bool:
        return bool(self.projection[3, 3] == 0.0)

    @property
    def focal(self) -> tuple[float, float]:
        """Pixels for a unit at depth 1, or in an orthographic view anywhere."""
        return 0.5 * self.width * self.projection[0, 0], 0.5 * self.height * self.projection[1, 1]

    @property
    def limits(self) -> tuple[float, float, float, float]:
        """Least x/depth and y/depth, greatest x/depth and y/depth that the Jacobian is taken at."""
        shift, size = self.projection[:2, 2], self.projection[[0, 1], [0, 1]]
        low, high = (shift - 1 - FOV_MARGIN) / size, (shift + 1 + FOV_MARGIN) / size
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


@dataclass(frozen=True)
class Outline:
    """Around selected splats: display colours, and pixels."""

    selected: tuple[float, float, float] = (1.0, 1.0, 1.0)
    active: tuple[float, float, float] = (1.0, 1.0, 1.0)
    width: int = 0


@dataclass(frozen=True)
class Scenery:
    """What one viewport shows: the placements that it sees, of the splats in the cloud, and which of them are marked."""

    cloud: Cloud
    placements: tuple[Placement, ...]
    selected: tuple[bool, ...]
    active: tuple[bool, ...]

    def sort_request(self, eye: Eye) -> SortRequest:
        """What to sort for this view."""
        blocks = [self.cloud.blocks[placement.source] for placement in self.placements]
        rows = [-(eye.view @ placement.matrix)[2] for placement in self.placements]
        parts = tuple(SortedPart(block.means, block.first_row, row) for block, row in zip(blocks, rows, strict=True))
        layout = (self.cloud.keys, tuple((placement.key, placement.source) for placement in self.placements))
        return SortRequest(layout, parts, eye.perspective)

    def rows(self, eye: Eye) -> np.ndarray:
        """Six texels for each placement [P, 6, 4]: to the camera; from the camera to the harmonics' frame, and in the last column
        1 for selected or 2 for active, the number that picking reads or 0, antialiased."""
        rows = np.zeros((len(self.placements), 6, 4), np.float32)
        for number, (row, placement) in enumerate(zip(rows, self.placements, strict=True), start=1):
            row[:3] = (eye.view @ placement.matrix)[:3]
            row[3:, :3] = placement.turn.T @ eye.view[:3, :3].T
            mark = int(self.selected[number - 1]) + int(self.active[number - 1])
            row[3:, 3] = mark, number if placement.is_selectable and number < HIDDEN else 0, placement.antialiased
        return rows


class Canvas:
    """Textures of a viewport's size to paint on: display colours, so that splats mix as they did in training, and what is seen where."""

    def __init__(self, width: int, height: int):
        self.size = (width, height)
        self.painted = untyped(gpu.types).GPUTexture(self.size, format="RGBA16F")  # premultiplied
        self.marked = untyped(gpu.types).GPUTexture(self.size, format="RG8")
        self.picked = untyped(gpu.types).GPUTexture(self.size, format="RGBA8")
        self.framebuffer = untyped(gpu.types).GPUFrameBuffer(color_slots=(self.painted, self.marked, self.picked))
        self.owners: tuple[int, ...] = ()
        """By number less one: the session_uid of whom the placement belongs to."""

    def read_picked(self, area: Area) -> np.ndarray:
        """Which placement is seen in each pixel of an area, as numbers [h, w] (see `picking`), the lowest line first."""
        read = self.framebuffer.read_color(area.x, area.y, area.width, area.height, 4, 2, "UBYTE")
        read.dimensions = 4 * area.width * area.height
        pixels = np.array(read, np.uint8).reshape(area.height, area.width, 4)
        return pixels[..., 0].astype(np.int32) + 256 * pixels[..., 1].astype(np.int32)


class Painter:
    """The shaders, compiled at first use."""

    def paint(self, canvas: Canvas, scenery: Scenery, count: int, entries: gpu.types.GPUTexture, eye: Eye,
              depth: gpu.types.GPUTexture) -> None:
        """Clear the canvas and paint `count` splats in the order of the entries, but for what lies behind the scene's depth."""
        shader, batch = self._splats
        placements = texture(scenery.rows(eye), "RGBA32F")
        textures = {"shapes": scenery.cloud.shapes, "harmonics": scenery.cloud.harmonics, "placements": placements, "order": entries,
                    "scene_depth": depth}
        with canvas.framebuffer.bind():
            untyped(gpu.state).active_framebuffer_get().clear(color=(0.0, 0.0, 0.0, 0.0))
            _blend_over()
            shader.bind()
            _look_through(shader, eye)
            shader.uniform_int("sh_degree", [scenery.cloud.sh_degree])
            _use_textures(shader, textures)
            batch.draw_instanced(shader, instance_start=0, instance_count=count)
            gpu.state.blend_set("NONE")
        canvas.owners = tuple(placement.owner.session_uid for placement in scenery.placements)

    def composite(self, canvas: Canvas, outline: Outline) -> None:
        """Lay the canvas over the framebuffer that is bound."""
        shader, batch = self._composite
        _blend_over()
        shader.bind()
        shader.uniform_float("selected_color", outline.selected)
        shader.uniform_float("active_color", outline.active)
        shader.uniform_int("outline_width", [outline.width])
        _use_textures(shader, {"painted": canvas.painted, "marked": canvas.marked, "picked": canvas.picked})
        batch.draw(shader)
        gpu.state.blend_set("NONE")

    @cached_property
    def _splats(self) -> tuple[gpu.types.GPUShader, gpu.types.GPUBatch]:
        return _with_quad(splat_shader())

    @cached_property
    def _composite(self) -> tuple[gpu.types.GPUShader, gpu.types.GPUBatch]:
        return _with_quad(composite_shader())


def entries_texture(order: Order) -> gpu.types.GPUTexture:
    """An order for the graphics card."""
    return texture(order.entries, "RG32F")


def depth_texture(depths: gpu.types.Buffer, eye: Eye) -> gpu.types.GPUTexture:
    """Texture of the scene's depths from a framebuffer, 0 near to 1 far.

    Python gets at the depths of Blender's viewport by reading them alone (4.5 to 5.2): a GPUFrameBuffer names no textures, and nothing
    copies between framebuffers. So they are read when the canvas is painted anew, never at another redraw.
    """
    return untyped(gpu.types).GPUTexture((eye.width, eye.height), format="R32F", data=depths)


def _blend_over() -> None:
    gpu.state.blend_set("ALPHA_PREMULT")
    gpu.state.depth_test_set("NONE")
    gpu.state.depth_mask_set(False)


def _look_through(shader: gpu.types.GPUShader, eye: Eye) -> None:
    untyped(shader).uniform_float("projection", Matrix(eye.projection.tolist()))
    shader.uniform_float("limits", eye.limits)
    shader.uniform_float("viewport", (eye.width, eye.height))
    shader.uniform_float("focal", eye.focal)
    shader.uniform_bool("perspective", [eye.perspective])


def _use_textures(shader: gpu.types.GPUShader, textures: dict[str, gpu.types.GPUTexture]) -> None:
    """The caller keeps the textures until the drawing is done: the shader does not."""
    for name, found in textures.items():
        shader.uniform_sampler(name, found)


def _with_quad(shader: gpu.types.GPUShader) -> tuple[gpu.types.GPUShader, gpu.types.GPUBatch]:
    return shader, batch_for_shader(shader, "TRI_STRIP", {"corner": CORNERS})


def marked(placements: Sequence[Placement], active: object) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
    """Which placements are selected, and which belong to the active object as well."""
    selected = tuple(placement.owner.select_get() for placement in placements)
    return selected, tuple(chosen and placement.owner == active for chosen, placement in zip(selected, placements, strict=True))
