"""Structural similarity and its gradient in one kernel each.

A window of 11 pixels that is applied to a square of 32 is two products with a banded 32 x 32 matrix, and leaves 22 x 22 pixels. So a
program loads each pixel about twice, keeps everything in registers, and writes only what the way back needs.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from .ssim import C1, C2, RADIUS, window

SIDE = 32
INNER = SIDE - 2 * RADIUS


def fused_ssim(image: Tensor, truth: Tensor) -> Tensor:
    """Mean similarity of two float32 images [H, W, C] on one device; differentiable by the first."""
    return _FusedSsim.apply(image, truth)


class _FusedSsim(torch.autograd.Function):
    @staticmethod
    def forward(ctx, image: Tensor, truth: Tensor) -> Tensor:
        height, width, channels = image.shape
        grid = (triton.cdiv(width, INNER), triton.cdiv(height, INNER), channels)
        slopes = image.new_empty((3, channels, height, width))
        sums = image.new_empty(grid)
        _forward[grid](image, truth, slopes, sums, band(image.device), height, width, channels, *image.stride(), *truth.stride(),
                       C1, C2, SIDE, INNER)
        ctx.save_for_backward(image, truth, slopes)
        return sums.sum() / image.numel()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        image, truth, slopes = ctx.saved_tensors
        height, width, channels = image.shape
        grid = (triton.cdiv(width, INNER), triton.cdiv(height, INNER), channels)
        result = torch.empty_like(image, memory_format=torch.contiguous_format)
        _backward[grid](image, truth, slopes, (gradient / image.numel()).contiguous(), result, band(image.device), height, width, channels,
                        *image.stride(), *truth.stride(), SIDE, INNER)
        return result, None


@lru_cache(maxsize=8)
def band(device: torch.device) -> Tensor:
    """The window as a matrix [32, 32]: column j weighs pixels j to j + 10; columns beyond 22 are zero."""
    line = window(torch.float32, device)
    matrix = torch.zeros(SIDE, SIDE, device=device)
    for column in range(INNER):
        matrix[column : column + len(line), column] = line
    return matrix


@triton.jit
def _blur(values, matrix):
    """Rows, then columns."""
    along = tl.dot(values, matrix, input_precision="ieee")
    return tl.dot(tl.trans(matrix), along, input_precision="ieee")


@triton.jit
def _square(SIDE: tl.constexpr, INNER: tl.constexpr):
    """Rows [32, 1] and columns [1, 32] of the square that this program loads."""
    across = tl.arange(0, SIDE)
    margin: tl.constexpr = (SIDE - INNER) // 2
    return (tl.program_id(1) * INNER - margin + across)[:, None], (tl.program_id(0) * INNER - margin + across)[None, :]


@triton.jit
def _result(height, width, SIDE: tl.constexpr, INNER: tl.constexpr):
    """Rows, columns and mask of what this program computes."""
    across = tl.arange(0, SIDE)
    rows, columns = (tl.program_id(1) * INNER + across)[:, None], (tl.program_id(0) * INNER + across)[None, :]
    inside = (across < INNER)[:, None] & (across < INNER)[None, :] & (rows < height) & (columns < width)
    return rows, columns, inside


@triton.jit
def _matrix(band, SIDE: tl.constexpr):
    across = tl.arange(0, SIDE)
    return tl.load(band + across[:, None] * SIDE + across[None, :])


@triton.jit
def _forward(image, truth, slopes, sums, band, height, width, channels, image_row, image_column, image_channel,
             truth_row, truth_column, truth_channel, C1, C2, SIDE: tl.constexpr, INNER: tl.constexpr):
    channel = tl.program_id(2)
    rows, columns = _square(SIDE, INNER)
    loaded = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    x = tl.load(image + channel * image_channel + rows * image_row + columns * image_column, mask=loaded, other=0.0)
    y = tl.load(truth + channel * truth_channel + rows * truth_row + columns * truth_column, mask=loaded, other=0.0)
    matrix = _matrix(band, SIDE)
    mean_x, mean_y = _blur(x, matrix), _blur(y, matrix)
    both, means = 2 * mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    covariance = 2 * _blur(x * y, matrix) - both + C2
    variances = _blur(x * x + y * y, matrix) - means + C2
    value = (both + C1) * covariance / ((means + C1) * variances)
    rows, columns, inside = _result(height, width, SIDE, INNER)
    place = (tl.num_programs(1) * tl.program_id(0) + tl.program_id(1)) * channels + channel
    tl.store(sums + place, tl.sum(tl.where(inside, value, 0.0)))
    # By the blurred x, x², and xy, from which the means are taken out of the variances again.
    plane = height * width
    at = slopes + channel * plane + rows * width + columns
    by_product = 2 * (both + C1) / ((means + C1) * variances)
    by_mean = 2 * mean_y * (covariance - both - C1) / ((means + C1) * variances) + 2 * mean_x * value * (1 / variances - 1 / (means + C1))
    tl.store(at, by_mean, mask=inside)
    tl.store(at + channels * plane, -value / variances, mask=inside)
    tl.store(at + 2 * channels * plane, by_product, mask=inside)


@triton.jit
def _backward(image, truth, slopes, gradient, result, band, height, width, channels, image_row, image_column, image_channel,
              truth_row, truth_column, truth_channel, SIDE: tl.constexpr, INNER: tl.constexpr):
    channel, plane = tl.program_id(2), height * width
    rows, columns = _square(SIDE, INNER)
    loaded = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    at = slopes + channel * plane + rows * width + columns
    matrix = _matrix(band, SIDE)
    by_mean = _blur(tl.load(at, mask=loaded, other=0.0), matrix)
    by_square = _blur(tl.load(at + channels * plane, mask=loaded, other=0.0), matrix)
    by_product = _blur(tl.load(at + 2 * channels * plane, mask=loaded, other=0.0), matrix)
    rows, columns, inside = _result(height, width, SIDE, INNER)
    x = tl.load(image + channel * image_channel + rows * image_row + columns * image_column, mask=inside, other=0.0)
    y = tl.load(truth + channel * truth_channel + rows * truth_row + columns * truth_column, mask=inside, other=0.0)
    slope = tl.load(gradient) * (by_mean + 2 * x * by_square + y * by_product)
    tl.store(result + (rows * width + columns) * channels + channel, slope, mask=inside)
