"""How splat objects look where Blender draws none itself: renders against the engine's rasterizer."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from mathutils import Matrix

from tests.blender.conftest import add_camera, module
from tests.blender.splats.splat_samples import changed
from tests.blender.viewport.graphics import why_no_graphics
from tests.core.splats.numpy_splats import draw, seen_colors
from tests.scenes import colored_ball
from tests.untyped import bpy, gpu

SIZE = 96


@pytest.fixture
def preview(fresh_scene: bpy.types.Scene) -> ModuleType:
    found = module("addon.splats.display")
    if found.draws_natively():
        pytest.skip("this Blender draws splats itself")
    found.prepare_cycles(fresh_scene)
    return found


def sparse_ball(degree: int) -> Any:
    """Gaussians that overlap little: Cycles sorts them by their near sides, the rasterizer by their centres."""
    ball = colored_ball(150, sh_degree=degree)
    return changed(ball, scales=ball.scales - 0.7)


def show(gaussians: Any) -> bpy.types.Object:
    return module("addon.splats.splat_object").create_splat_object("Splats", gaussians)


def render(scene: bpy.types.Scene, folder: Path, size: int = SIZE) -> np.ndarray:
    """Linear light and alpha [size, size, 4] as the scene's engine renders them."""
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.render.film_transparent = True
    if scene.render.engine == "CYCLES":
        scene.cycles.samples, scene.cycles.use_adaptive_sampling, scene.cycles.pixel_filter_type = 4, False, "BOX"
    settings = scene.render.image_settings
    settings.file_format, settings.color_mode, settings.color_depth = "OPEN_EXR", "RGBA", "32"
    scene.render.filepath = str(folder / "seen.exr")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    pixels = np.empty((size, size, 4), np.float32)
    image.pixels.foreach_get(pixels.ravel())
    bpy.data.images.remove(image)
    return pixels[::-1]


def camera(scene: bpy.types.Scene, size: int = SIZE) -> Any:
    """A camera of the scene and the same one for rasterizers."""
    made = add_camera(scene, (3, -2, 1.5))
    made.data.sensor_width, made.data.lens = 36, 36 * 1.4
    place = np.array(made.matrix_world, float)
    return module("engine.core.cameras.camera").Camera(size, size, 1.4 * size, 1.4 * size, size / 2, size / 2, place)


def expected(gaussians: Any, view: Any, antialiased: bool = False) -> np.ndarray:
    """What 3D Gaussian Splatting shows when it mixes linear light, as a renderer must."""
    colors = linear(seen_colors(gaussians, view.position))
    sh0 = module("engine.core.splats.gaussians").rgb_to_sh0(colors)[:, None]
    return draw(changed(gaussians.with_sh_degree(0), sh0=sh0), view, antialiased)


def linear(color: np.ndarray) -> np.ndarray:
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((one - other) ** 2)))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_cycles_draws_what_the_rasterizer_draws(preview: ModuleType, fresh_scene: bpy.types.Scene, tmp_path: Path, degree: int) -> None:
    ball = sparse_ball(degree)
    view = camera(fresh_scene)
    show(ball)
    seen = render(fresh_scene, tmp_path)
    assert seen[..., 3].max() > 0.9
    assert psnr(seen, expected(ball, view)) > 30


def test_eevee_draws_what_the_rasterizer_draws(preview: ModuleType, fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    """Needles in all directions. EEVEE draws each splat or not, by chance and for each sample, so some noise is left."""
    if not hasattr(gpu, "init") or why_no_graphics():
        pytest.skip(why_no_graphics() or "EEVEE needs a window before gpu.init()")
    gpu.init()
    fresh_scene.render.engine, fresh_scene.eevee.taa_render_samples = "BLENDER_EEVEE", 12
    ball, size = colored_ball(12, sh_degree=1), 40
    needles = changed(ball, scales=np.log(np.tile(np.array([[0.3, 0.03, 0.06]], np.float32), (12, 1))))
    view = camera(fresh_scene, size)
    show(needles)
    assert psnr(render(fresh_scene, tmp_path, size), expected(needles, view)) > 25


def test_antialiased_splats_pale_where_they_are_widened(preview: ModuleType, fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball = sparse_ball(1)
    ball.scales[::2] -= 2.5
    view = camera(fresh_scene)
    made = show(ball)
    made.splatwright.antialiased = True
    made.scale = (2, 2, 2)
    bpy.context.view_layer.update()
    baked = module("engine.core.splats.transform").transform_gaussians(ball, np.array(made.matrix_world, float))
    seen = render(fresh_scene, tmp_path)
    assert psnr(seen, expected(baked, view, antialiased=True)) > psnr(seen, expected(baked, view)) + 5
    assert psnr(seen, expected(baked, view, antialiased=True)) > 30


@pytest.mark.parametrize("scale", [(0.8, 0.8, 0.8), (0.6, 1.1, 0.8), (-1, 1, 1)], ids=["uniform", "stretched", "mirrored"])
def test_cycles_respects_the_object(preview: ModuleType, fresh_scene: bpy.types.Scene, tmp_path: Path, scale: tuple[float, ...]) -> None:
    degree = 0 if len(set(scale)) == 3 else 2  # stretched: the SH's direction is defined by the polar rotation, which a shader lacks
    ball = sparse_ball(degree)
    view = camera(fresh_scene)
    made = show(ball)
    made.rotation_euler, made.location, made.scale = (0.4, 0.8, -0.3), (0.2, 0.1, -0.1), scale
    bpy.context.view_layer.update()
    baked = module("engine.core.splats.transform").transform_gaussians(ball, np.array(made.matrix_world, float))
    assert psnr(render(fresh_scene, tmp_path), expected(baked, view)) > 30


@pytest.mark.parametrize("display", ["SPLATS", "POINTS"])
def test_what_a_crop_leaves_keeps_its_colours(preview: ModuleType, fresh_scene: bpy.types.Scene, tmp_path: Path, display: str) -> None:
    """Blender takes the material from points of which a modifier deleted some."""
    ball = sparse_ball(1)
    view = camera(fresh_scene)
    made = show(ball)
    box = module("addon.splats.crop").add_crop_box([made])
    box.matrix_world = Matrix.Translation((0.5, 0, 0)) @ Matrix.Diagonal((0.5, 2, 2, 1))
    made.splatwright.display = display
    seen = render(fresh_scene, tmp_path)
    if display == "POINTS":
        assert (seen[..., 3] > 0.9).mean() > 0.02 and seen[seen[..., 3] > 0.9][:, :3].std() > 0.1
    else:
        assert psnr(seen, expected(ball.take(ball.means[:, 0] >= 0), view)) > 30


def test_colours_are_exact(preview: ModuleType, fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    """One huge opaque splat on each side of the sRGB curve's bend, and one that is brighter than white."""
    colors = np.array([[0.5, 0.02, 1.2]])
    blob = colored_ball(1)
    blob = changed(blob, means=np.zeros((1, 3), np.float32), scales=np.zeros((1, 3), np.float32), opacities=np.array([30], np.float32),
                   sh0=module("engine.core.splats.gaussians").rgb_to_sh0(colors)[:, None])
    camera(fresh_scene)
    show(blob)
    middle = render(fresh_scene, tmp_path)[SIZE // 2, SIZE // 2]
    assert np.allclose(middle, [*linear(colors[0]), 1.0], atol=2e-3)


def test_flat_splats_keep_their_digits(preview: ModuleType, fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    """A thousand times flatter than wide, as trained surfaces are."""
    ball = sparse_ball(0)
    ball.scales[:, 0] = np.log(1e-4)
    view = camera(fresh_scene)
    show(ball)
    assert psnr(render(fresh_scene, tmp_path), expected(ball, view)) > 30


def test_points_are_opaque_and_have_the_right_colour(preview: ModuleType, fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    camera(fresh_scene)
    blob = changed(colored_ball(1), means=np.zeros((1, 3), np.float32), scales=np.zeros((1, 3), np.float32))
    made = show(blob)
    made.splatwright.display = "POINTS"
    seen = render(fresh_scene, tmp_path)
    color = linear(module("engine.core.splats.gaussians").sh0_to_rgb(blob.sh0[0, 0]))
    assert np.allclose(seen[SIZE // 2, SIZE // 2], [*color, 1.0], atol=1e-3)
    assert set(np.unique(seen[..., 3] > 0.5)) == {False, True}


def test_display_is_chosen_by_the_object(preview: ModuleType) -> None:
    made = show(colored_ball(20, sh_degree=2))
    assert made.data.materials[0].name == "Splatwright Splats SH2"
    soft = radii(made)
    made.splatwright.display = "POINTS"
    assert made.data.materials[0].name == "Splatwright Points" and len(made.data.materials) == 1
    radius = module("addon.splats.attributes").read_layer(made.data, "radius")[:, 0]
    assert (radius < soft).all() and (radius > 0).all()
    module("addon.splats.splat_object").update_splat_object(made, colored_ball(30))
    assert made.data.materials[0].name == "Splatwright Points"


def radii(made: bpy.types.Object) -> np.ndarray:
    """Of the spheres that hold an object's Gaussians [N]."""
    read = module("addon.splats.attributes").read_layer
    return module("addon.splats.packing").radii(read(made.data, "scale"), read(made.data, "radiance:base")[:, 3], "SPLATS")


def test_spheres_are_as_large_as_the_engine_needs(preview: ModuleType, fresh_scene: bpy.types.Scene) -> None:
    fresh_scene.render.engine = "BLENDER_EEVEE" if bpy.app.version >= (5, 0) else "BLENDER_EEVEE_NEXT"
    made, read = show(colored_ball(20)), lambda: module("addon.splats.attributes").read_layer(made.data, "radius")[:, 0]
    assert np.allclose(read(), radii(made) * 2**0.5)
    preview.prepare_cycles(fresh_scene)
    assert np.allclose(read(), radii(made))


def test_materials_are_shared_and_replaced_when_old(preview: ModuleType) -> None:
    first, second = show(colored_ball(20)), show(colored_ball(30))
    material = first.data.materials[0]
    assert second.data.materials[0] == material and len(bpy.data.materials) == 1
    material["splatwright"] = -1
    material.node_tree.nodes.clear()
    show(colored_ball(10))
    assert len(bpy.data.materials) == 1 and len(material.node_tree.nodes) > 10


def test_display_of_other_objects_changes_nothing(preview: ModuleType) -> None:
    bpy.ops.mesh.primitive_cube_add()
    bpy.context.object.splatwright.display = "POINTS"
    assert not bpy.context.object.data.materials


def test_material_stays_within_what_eevee_reads(preview: ModuleType) -> None:
    """More than 15 attributes make EEVEE draw everything in magenta."""
    material = show(colored_ball(5, sh_degree=3)).data.materials[0]
    output = next(node for node in material.node_tree.nodes if node.type == "OUTPUT_MATERIAL" and node.target == "EEVEE")
    assert len(attributes_before(output)) <= 15


def attributes_before(node: bpy.types.Node) -> set[str]:
    """Names of the attributes that flow into a node."""
    own = {node.attribute_name} if node.type == "ATTRIBUTE" and node.attribute_type == "GEOMETRY" else set()
    return own.union(*(attributes_before(link.from_node) for socket in node.inputs for link in socket.links))


def solid_block() -> Any:
    """Many faint Gaussians behind each other: where rays end early it turns black."""
    ball = colored_ball(400)
    return changed(ball, opacities=np.full_like(ball.opacities, -1.0), scales=ball.scales + 0.5)


def test_the_first_render_needs_no_setting(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    """With Cycles' own 8 bounces it would be far darker."""
    display = module("addon.splats.display")
    if display.draws_natively():
        pytest.skip("this Blender draws splats itself")
    fresh_scene.render.engine = "CYCLES"
    settings = fresh_scene.cycles
    before = settings.transparent_max_bounces, settings.min_transparent_bounces
    show(solid_block())
    camera(fresh_scene, 40)
    first = render(fresh_scene, tmp_path, 40)
    display.prepare_cycles(fresh_scene)
    prepared = render(fresh_scene, tmp_path, 40)
    assert bpy.ops.splatwright.restore_bounces() == {"FINISHED"}
    assert (settings.transparent_max_bounces, settings.min_transparent_bounces) == before
    unprepared = render(fresh_scene, tmp_path, 40)
    psnr = [10 * np.log10(1 / max(1e-9, float(np.square(image - prepared).mean()))) for image in (first, unprepared)]
    assert psnr[0] > 60 and psnr[1] < 30


def test_bounces_are_raised_once_and_only_where_cycles_renders(fresh_scene: bpy.types.Scene) -> None:
    if module("addon.splats.display").draws_natively():
        pytest.skip("this Blender draws splats itself")
    fresh_scene.render.engine, fresh_scene.cycles.transparent_max_bounces = "BLENDER_WORKBENCH", 8
    show(colored_ball(20))
    assert fresh_scene.cycles.transparent_max_bounces == 8 and not bpy.ops.splatwright.restore_bounces.poll()
    fresh_scene.render.engine = "CYCLES"
    show(colored_ball(20))
    assert fresh_scene.cycles.transparent_max_bounces == 256 and fresh_scene.splatwright.bounces_before[0] == 8
    fresh_scene.cycles.transparent_max_bounces = 12
    show(colored_ball(20))
    assert fresh_scene.cycles.transparent_max_bounces == 12, "who lowers them has a reason"
