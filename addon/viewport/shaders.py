"""The GLSL of the viewport drawing. Splats are quads, one instance each, that fetch their numbers from textures."""

from __future__ import annotations

from functools import cache

import gpu

from ..typed import untyped

WIDTH = 8192
"""Of the textures that hold rows of numbers; every computer that runs Blender allows twice of it."""

LOW_PASS, ALPHA_MIN, ALPHA_MAX = 0.3, 1.0 / 255.0, 0.999
"""As in the trainer's kernels: what training saw is what is drawn."""

DEFINES = {"WIDTH": str(WIDTH), "LOW_PASS": str(LOW_PASS), "ALPHA_MIN": str(ALPHA_MIN), "ALPHA_MAX": str(ALPHA_MAX)}

SPLAT_VERTEX = """
#define FETCH(rows, index) texelFetch(rows, ivec2((index) % WIDTH, (index) / WIDTH), 0)

mat3 rotation(vec4 q) /* w x y z, normalised */
{
  float w = q.x, x = q.y, y = q.z, z = q.w;
  return mat3(1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y),
              2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x),
              2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y));
}

/* Real spherical harmonics (Sloan 2013), coefficients from `first` on; 0.5 is the colour of zeros. */
vec3 seen_color(int first, vec3 d)
{
  vec3 color = 0.5 + 0.28209479177387814 * FETCH(harmonics, first).rgb;
  if (sh_degree < 1) return max(color, 0.0);
  float x = d.x, y = d.y, z = d.z;
  color += 0.4886025119029199 * (z * FETCH(harmonics, first + 2).rgb - y * FETCH(harmonics, first + 1).rgb
                                 - x * FETCH(harmonics, first + 3).rgb);
  if (sh_degree < 2) return max(color, 0.0);
  color += 1.0925484305920792 * (x * y * FETCH(harmonics, first + 4).rgb - y * z * FETCH(harmonics, first + 5).rgb
                                 - x * z * FETCH(harmonics, first + 7).rgb);
  color += 0.31539156525252005 * (3.0 * z * z - 1.0) * FETCH(harmonics, first + 6).rgb;
  color += 0.5462742152960396 * (x * x - y * y) * FETCH(harmonics, first + 8).rgb;
  if (sh_degree < 3) return max(color, 0.0);
  color -= 0.5900435899266435 * (y * (3.0 * x * x - y * y) * FETCH(harmonics, first + 9).rgb
                                 + x * (x * x - 3.0 * y * y) * FETCH(harmonics, first + 15).rgb);
  color += 2.890611442640554 * x * y * z * FETCH(harmonics, first + 10).rgb;
  color -= 0.4570457994644658 * (5.0 * z * z - 1.0) * (y * FETCH(harmonics, first + 11).rgb + x * FETCH(harmonics, first + 13).rgb);
  color += 0.3731763325901154 * z * (5.0 * z * z - 3.0) * FETCH(harmonics, first + 12).rgb;
  color += 1.445305721320277 * z * (x * x - y * y) * FETCH(harmonics, first + 14).rgb;
  return max(color, 0.0);
}

void main()
{
  gl_Position = vec4(2.0, 2.0, 2.0, 1.0); /* outside, for those that return */
  offset = vec2(0.0);
  color = vec4(0.0);
  marks = vec2(0.0);
  picking = vec2(0.0);
  vec4 entry = FETCH(order, gl_InstanceID);
  int row = int(entry.x + 0.5), place = 6 * int(entry.y + 0.5);
  vec4 mean = FETCH(shapes, 3 * row), quat = FETCH(shapes, 3 * row + 1), scale = FETCH(shapes, 3 * row + 2);
  vec4 to_x = FETCH(placements, place), to_y = FETCH(placements, place + 1), to_z = FETCH(placements, place + 2);
  vec4 at = vec4(mean.xyz, 1.0);
  vec3 local = vec3(dot(to_x, at), dot(to_y, at), dot(to_z, at)); /* the camera looks along -z */
  float opacity = mean.w, depth = -local.z;
  float clip_start = projection[3][2] / (projection[2][2] - 1.0);
  if (opacity < ALPHA_MIN || (perspective && depth < clip_start)) return;

  /* EWA splatting (Zwicker et al. 2002): the Gaussian's three axes on the image plane, in pixels. */
  mat3 axes = transpose(mat3(to_x.xyz, to_y.xyz, to_z.xyz)) * rotation(quat);
  axes = mat3(axes[0] * scale.x, axes[1] * scale.y, axes[2] * scale.z);
  vec3 row_x = vec3(focal.x, 0.0, 0.0), row_y = vec3(0.0, focal.y, 0.0);
  if (perspective) {
    vec2 slope = clamp(local.xy / depth, limits.xy, limits.zw);
    row_x = vec3(focal.x, 0.0, focal.x * slope.x) / depth;
    row_y = vec3(0.0, focal.y, focal.y * slope.y) / depth;
  }
  vec3 xs = row_x * axes, ys = row_y * axes;
  float xx = dot(xs, xs) + LOW_PASS, xy = dot(xs, ys), yy = dot(ys, ys) + LOW_PASS;
  vec4 turn_z = FETCH(placements, place + 5);
  if (turn_z.w > 0.5) { /* antialiased: what the low-pass widens pales (Yu et al. 2024). The covariance's determinant by Cauchy-Binet */
    vec3 area = cross(xs, ys);
    opacity *= sqrt(dot(area, area) / (xx * yy - xy * xy));
    if (opacity < ALPHA_MIN) return;
  }

  /* The ellipse's axes: eigenvectors of the 2x2 covariance. */
  float half_difference = 0.5 * (xx - yy), spread = length(vec2(half_difference, xy)), middle = 0.5 * (xx + yy);
  vec2 along = half_difference >= 0.0 ? vec2(half_difference + spread, xy) : vec2(xy, spread - half_difference);
  along = spread > 1e-6 * middle ? normalize(along) : vec2(1.0, 0.0);
  offset = corner * sqrt(2.0 * log(opacity / ALPHA_MIN)); /* to where alpha falls to its least, in standard deviations */
  vec2 pixels = offset.x * sqrt(middle + spread) * along
              + offset.y * sqrt(max(middle - spread, LOW_PASS)) * vec2(-along.y, along.x);
  vec4 center = projection * vec4(local, 1.0);
  gl_Position = vec4(center.xy + 2.0 * pixels / viewport * center.w, center.zw);

  vec4 turn_x = FETCH(placements, place + 3), turn_y = FETCH(placements, place + 4);
  vec3 ray = perspective ? local : vec3(0.0, 0.0, -1.0);
  vec3 direction = normalize(vec3(dot(turn_x.xyz, ray), dot(turn_y.xyz, ray), dot(turn_z.xyz, ray)));
  color = vec4(seen_color((sh_degree + 1) * (sh_degree + 1) * row, direction), opacity);
  marks = vec2(turn_x.w > 0.5, turn_x.w > 1.5);
  picking = vec2(turn_y.w, float((uint(row) * 2654435769u) >> 8u) / 16777216.0);
}
"""

SPLAT_FRAGMENT = """
void main()
{
  float alpha = min(ALPHA_MAX, color.a * exp(-0.5 * dot(offset, offset)));
  if (alpha < ALPHA_MIN) discard;
  bool hidden = gl_FragCoord.z > texelFetch(scene_depth, ivec2(gl_FragCoord.xy), 0).r;
  seen = hidden ? vec4(0.0) : vec4(color.rgb * alpha, alpha);
  mask = vec4(marks, 0.0, marks.x) * alpha; /* whole, whatever stands before: what is not selected leaves it as it is */

  /* A splat leaves its object's number with a chance of its alpha: of many pixels each object has the share that is seen of it. */
  float chance = fract(fract(52.9829189 * fract(dot(gl_FragCoord.xy, vec2(0.06711056, 0.00583715)))) + picking.y);
  bool leaves = picking.x > 0.5 && alpha > chance;
  vec3 number = hidden ? vec3(1.0, 1.0, 0.0) : vec3(mod(picking.x, 256.0), floor(picking.x / 256.0), 255.0 * marks.x) / 255.0;
  picked = leaves ? vec4(number, 1.0) : vec4(0.0);
}
"""

COMPOSITE_VERTEX = """
void main()
{
  gl_Position = vec4(corner, 0.0, 1.0);
}
"""

# Blender lays its overlays over the picture after the view transform, in light of the display, and encodes the sum
# with a gamma of 2.2.
COMPOSITE_FRAGMENT = """
#define HIDDEN_LINE 0.35
#define NEARBY 4 /* pixels: the numbers are chance's, and a few are not enough */

vec3 light(vec3 color)
{
  return pow(clamp(color, 0.0, 1.0), vec3(2.2));
}

/* What lies there: 0 nothing selected, 1 selected, 2 the active object. */
int part_at(ivec2 at)
{
  vec2 mark = texelFetch(marked, at, 0).rg;
  return mark.r < 0.5 ? 0 : (2.0 * mark.g < mark.r ? 1 : 2);
}

/* How much of the selected splats around a pixel is seen, of what would be with nothing before them. */
float visible_share(ivec2 at)
{
  float whole = 0.0, visible = 0.0;
  ivec2 last = textureSize(marked, 0) - 1;
  for (int y = -NEARBY; y <= NEARBY; y++) {
    for (int x = -NEARBY; x <= NEARBY; x++) {
      ivec2 beside = clamp(at + ivec2(x, y), ivec2(0), last);
      float mark = texelFetch(marked, beside, 0).r;
      if (mark < 0.5) continue;
      whole += mark;
      visible += texelFetch(picked, beside, 0).b;
    }
  }
  return visible / whole;
}

/* The outline at a pixel: around all that is selected, and around the active object where that stands before others.
   Paler where the splats beside it are hidden, as Blender's. */
vec4 outline(ivec2 at)
{
  int here = part_at(at), most = 0;
  ivec2 last = textureSize(marked, 0) - 1;
  for (int y = -outline_width; y <= outline_width; y++) {
    for (int x = -outline_width; x <= outline_width; x++) {
      ivec2 beside = clamp(at + ivec2(x, y), ivec2(0), last);
      most = max(most, part_at(beside));
    }
  }
  if (most <= here) return vec4(0.0);
  return vec4(light(most == 2 ? active_color : selected_color), 1.0) * mix(HIDDEN_LINE, 1.0, smoothstep(0.2, 0.6, visible_share(at)));
}

void main()
{
  ivec2 at = ivec2(gl_FragCoord.xy);
  vec4 splats = texelFetch(painted, at, 0);
  result = splats.a > 0.0 ? vec4(light(splats.rgb / splats.a) * splats.a, splats.a) : vec4(0.0);
  if (outline_width > 0) {
    vec4 line = outline(at);
    result = line + result * (1.0 - line.a);
  }
}
"""


COPY_FRAGMENT = """
void main()
{
  copied = texelFetch(piece, ivec2(gl_FragCoord.xy) - ivec2(0, first_line), 0);
}
"""


@cache
def copy_shader() -> gpu.types.GPUShader:
    """Copies the texels of a texture into lines of a larger one."""
    info = gpu.types.GPUShaderCreateInfo()
    info.vertex_in(0, "VEC2", "corner")
    info.fragment_out(0, "VEC4", "copied")
    info.push_constant("INT", "first_line")
    info.sampler(0, "FLOAT_2D", "piece")
    info.vertex_source(COMPOSITE_VERTEX)
    info.fragment_source(COPY_FRAGMENT)
    return gpu.shader.create_from_info(info)


def splat_shader() -> gpu.types.GPUShader:
    """Draws splats, sorted, into textures of display colours (premultiplied), of marks for the outline, and of numbers for picking."""
    info = gpu.types.GPUShaderCreateInfo()
    for name, value in DEFINES.items():
        info.define(name, value)
    info.vertex_in(0, "VEC2", "corner")
    passed = untyped(gpu.types).GPUStageInterfaceInfo("splatwright_splat")
    passed.smooth("VEC2", "offset")
    passed.flat("VEC4", "color")
    passed.flat("VEC2", "marks")
    passed.flat("VEC2", "picking")
    info.vertex_out(passed)
    info.fragment_out(0, "VEC4", "seen")
    info.fragment_out(1, "VEC4", "mask")
    info.fragment_out(2, "VEC4", "picked")
    for kind, name in (("MAT4", "projection"), ("VEC4", "limits"), ("VEC2", "viewport"), ("VEC2", "focal"), ("INT", "sh_degree"),
                       ("BOOL", "perspective")):
        info.push_constant(kind, name)
    for slot, name in enumerate(("shapes", "harmonics", "placements", "order", "scene_depth")):
        info.sampler(slot, "FLOAT_2D", name)
    info.vertex_source(SPLAT_VERTEX)
    info.fragment_source(SPLAT_FRAGMENT)
    return gpu.shader.create_from_info(info)


def composite_shader() -> gpu.types.GPUShader:
    """Lays the painted splats and the outline of the selected ones over the viewport."""
    info = gpu.types.GPUShaderCreateInfo()
    info.vertex_in(0, "VEC2", "corner")
    info.fragment_out(0, "VEC4", "result")
    for kind, name in (("VEC3", "selected_color"), ("VEC3", "active_color"), ("INT", "outline_width")):
        info.push_constant(kind, name)
    for slot, name in enumerate(("painted", "marked", "picked")):
        info.sampler(slot, "FLOAT_2D", name)
    info.vertex_source(COMPOSITE_VERTEX)
    info.fragment_source(COMPOSITE_FRAGMENT)
    return gpu.shader.create_from_info(info)
