"""Every threshold of the check, in one place.

Calibrated on the sample scene, a studio set of 16 photos, a hand-held orbit of 97 phone photos with varying exposure, and
images in which each trouble was planted; figures in brackets say what these gave.
"""

from __future__ import annotations

FEWEST_VIEWS = 3
MOST_LOST = 0.5
"""Share of the views that may be left out of a training that goes on."""


DARKEST_MEAN = 2.0
"""An image whose mean value (0 to 255, of what is not transparent) is lower shows nothing."""

FLATTEST_CONTRAST = 1.5
"""An image whose grey values deviate by less shows one colour (weakest sound image: 19)."""

EMPTIEST = 0.0005
"""An image of which a smaller share is opaque shows background alone (smallest object in the sample scene: 0.09)."""

CLIPPED = 0.2
"""Share of white pixels in an over-exposed image, above what its neighbours have (sound: 0.006)."""

EXPOSURE_JUMP = 0.8
"""Stops between an image and its neighbours (phone photos with varying exposure: at most 0.34)."""

BALANCE_JUMP = 0.4
"""Stops of red or blue against green between an image and its neighbours (sound: at most 0.17)."""

BLURRED = 0.55
"""An image is blurred whose sharpness is a smaller share of its neighbours' (softest sound photo: 0.65, smears of a
hundredth of the width: at most 0.49)."""

UNUSUAL = 3.0
"""Times the median difference of a set's images from their neighbours that an image must differ: views of a colourful object far
apart differ by themselves."""

NO_COLOR = 0.3
"""Mean distance of the channels from grey, in values of 0 to 255, below which an image has no colour."""

NEIGHBOURS = 6
"""Nearest cameras that an image is compared with."""

FEWEST_COMPARED = 6
"""Smaller datasets are not compared with themselves."""

SAME_PLACE = 1e-6
"""Cameras closer than this share of the scene's size stand on one spot."""

ROUNDING = 1e-9
"""Differences of coordinates that are a smaller share of them are rounding."""

SAME_TURN = 1e-6
"""Cameras whose rotation matrices differ by less look the same way."""

ROTATION_ERROR = 1e-3
"""How far the columns of a pose may be from a right-handed set of unit vectors."""

COLLINEAR = 1e-3
"""Cameras whose spread across their line is a smaller share of the spread along it stand on one line."""

BEHIND = 0.9
"""Share of the cameras that have the middle of their axes behind them when the axes are flipped."""

MEETING, NOT_MEETING, TOWARDS = 0.9, 0.5, 0.9
"""Poses are inverted when this share of the inverted ones looks at one place, and less than that share of them as they are; the cosine of
the angle within which a camera looks at it (banana and snowmiku: 1.0 as they are, 0.0 inverted)."""

NARROWEST, MAX_FOV_SCALE = 3.0, 140.0
"""Degrees that a photo spans on its longest side."""

OFF_CENTRE = 0.25
"""How far the principal point may be from the middle, as a share of the side (a lens shift in Blender is free to be more)."""

UNEQUAL_FOCAL = 0.05
"""How much fl_x and fl_y may differ."""

POINTS_OUTSIDE = 0.5
"""Warn when more than this share of the start points is seen by no camera."""

SAMPLE_POINTS = 4000
FEWEST_POINTS = 200

FAR_POINTS = 0.02
"""Share of start points that may lie farther away than FAR_DISTANCE (phone photos: 0.004)."""

FAR_DISTANCE = 20.0
"""In units of the median distance of the points from their middle."""

TINY_EXTENT = 0.01
"""Points that span a smaller share of the cameras' distance are one blob."""

SAME_POINT = 0.2
"""Share of start points that may lie on top of another."""

ONE_COLOR = 1.0
"""Standard deviation of start point colours (0 to 255) below which they carry none."""

ALIKE = 0.2
"""Correlation of start point colours with the pixels where they are seen: sound sets have a median from 0.36 (phone photos) to
0.79 (sample scene), mixed-up poses at most 0.19."""

UNLIKE = 0.1
"""Below this the points belong to other images."""

JUDGED_IMAGES = 12
"""Images that are tried at the poses of all others when they do not fit their own."""

BELONGS = 0.3
"""Correlation from which on an image belongs to a pose (images of other scenes: at most 0.16 at the best of 16 poses)."""

MIXED_SHARE = 0.5
"""Share of the judged images that fit other poses better, from which on images and poses are mixed up."""

STRANGE = 0.15
"""One image of a sound set belongs to another pose when its correlation is a smaller share of the set's median (weakest sound
photo: 0.17)."""

BETTER_BY = 0.1
"""How much better another convention of the poses must fit to be named as the cause."""

BLIND_VIEWS = 0.5
"""Share of the cameras that may see no start points at all."""

FEWEST_COMPARED_POINTS = 30
"""Points that a view must see to be judged by their colours."""

WEAKLY_SEEN = 3
"""A part of the surface that fewer training cameras see is guessed rather than reconstructed."""

WEAK_SHARE = 0.1
"""Share of the start points that may be weakly seen (sample scene: 0.00, studio set: 0.05, phone photos: 0.02)."""
