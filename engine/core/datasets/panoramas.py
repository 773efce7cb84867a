"""Views of equirectangular panoramas: six pinhole cuts each, which are made when the image is read."""

from __future__ import annotations

from ..cameras.panorama import FACES, face_camera, face_name
from .dataset import View


def views_of_panorama(view: View) -> tuple[View, ...]:
    """The six cuts of a view whose image is a panorama of its camera's size, with its pose; all or none of them are held out."""
    camera = view.camera
    return tuple(View(face_name(view.name, face), view.image, face_camera(camera.camera_to_world, face, camera.width), view.held_out,
                      mask=view.mask, face=face) for face in FACES)
