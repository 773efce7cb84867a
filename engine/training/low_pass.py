"""The filter between Gaussians on the image plane and pixels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LowPass:
    """What is added to the projected covariance, in px²."""

    dilation: float  # as if the Gaussian were larger: gsplat's "classic" mode
    blur: float  # lowering the opacity such that its integral stays: gsplat's "antialiased" mode (Yu et al. 2024, Mip-Splatting)

    def reduced(self, reduction: int) -> LowPass:
        """The filter of an image `reduction` times smaller that shows what the pixels of the full one average to.

        Both shrink with the image, and the average over reduction² pixels blurs by its own variance.
        """
        shrink = 1 / reduction**2
        return LowPass(self.dilation * shrink, self.blur * shrink + (1 - shrink) / 12)


CLASSIC, ANTIALIASED = LowPass(0.3, 0.0), LowPass(0.0, 0.3)
