"""Structural similarity and its gradient in two kernels each: under the window along rows, then along columns.

An image [H, W, C] is read as rows of W C numbers, of which neighbours lie C apart: so all channels are one, and every access is
contiguous. Between the kernels four maps pass forth (mean of both, squares, product) and three pass back.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import triton  # pyright: ignore[reportMissingImports]  # comes with PyTorch for CUDA
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

from .ssim_window import C1, C2, RADIUS, window

TAPS = 2 * RADIUS + 1
BLOCK = 256


def fused_ssim(image: Tensor, truth: Tensor) -> Tensor:
    """Mean similarity of two float32 images [H, W, C] on one device; differentiable by the first."""
    return _FusedSsim.apply(image.contiguous(), truth.contiguous())


class _FusedSsim(torch.autograd.Function):
    @staticmethod
    def forward(ctx, image: Tensor, truth: Tensor) -> Tensor:
        grid, sizes = _grid(image)
        maps, slopes, sums = image.new_empty((4, *image.shape)), image.new_empty((3, *image.shape)), image.new_empty(grid[::-1])
        line = _line(image.device)
        _maps_along_rows[grid](image, truth, maps, line, *sizes, TAPS, BLOCK)  # pyright: ignore[reportIndexIssue]  # a kernel
        _similarity[grid](maps, slopes, sums, line, *sizes, C1, C2, TAPS, BLOCK)  # pyright: ignore[reportIndexIssue]  # a kernel
        ctx.save_for_backward(image, truth, slopes)
        return sums.sum() / image.numel()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        image, truth, slopes = ctx.saved_tensors
        grid, sizes = _grid(image)
        maps, result, line = torch.empty_like(slopes), torch.empty_like(image), _line(image.device)
        _slopes_along_rows[grid](slopes, maps, line, *sizes, TAPS, BLOCK)  # pyright: ignore[reportIndexIssue]  # a kernel
        _gradient[grid](maps, image, truth, (gradient / image.numel()).contiguous(), result, line, *sizes, TAPS, BLOCK)  # pyright: ignore[reportIndexIssue]  # a kernel
        return result, None


def _grid(image: Tensor) -> tuple[tuple[int, int], tuple[int, int, int]]:
    """Programs by column and row, and the kernels' arguments: rows, numbers in a row, distance of neighbours."""
    height, width, channels = image.shape
    return (triton.cdiv(width * channels, BLOCK), height), (height, width * channels, channels)


@lru_cache(maxsize=8)
def _line(device: torch.device) -> Tensor:
    """The window [11] in single precision."""
    return window(torch.float64, device).float()


@triton.jit
def _place(length, BLOCK: tl.constexpr):
    """This program's row, and its numbers in the row."""
    return tl.program_id(1), tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)


@triton.jit
def _maps_along_rows(image, truth, maps, line, height, length, step, TAPS: tl.constexpr, BLOCK: tl.constexpr):
    row, at = _place(length, BLOCK)
    mean_x = tl.zeros((BLOCK,), tl.float32)
    mean_y, squares, product = mean_x, mean_x, mean_x
    for tap in tl.static_range(TAPS):
        near = at + (tap - TAPS // 2) * step
        inside = (near >= 0) & (near < length)
        x = tl.load(image + row * length + near, mask=inside, other=0.0)
        y = tl.load(truth + row * length + near, mask=inside, other=0.0)
        weight = tl.load(line + tap)
        mean_x += weight * x
        mean_y += weight * y
        squares += weight * (x * x + y * y)
        product += weight * (x * y)
    to, plane = maps + row * length + at, height * length
    tl.store(to, mean_x, mask=at < length)
    tl.store(to + plane, mean_y, mask=at < length)
    tl.store(to + 2 * plane, squares, mask=at < length)
    tl.store(to + 3 * plane, product, mask=at < length)


@triton.jit
def _along_columns(map, line, row, at, height, length, TAPS: tl.constexpr, BLOCK: tl.constexpr):
    """A map under the window, from the rows above and below."""
    total = tl.zeros((BLOCK,), tl.float32)
    for tap in tl.static_range(TAPS):
        near = row + tap - TAPS // 2
        total += tl.load(line + tap) * tl.load(map + near * length + at, mask=(near >= 0) & (near < height) & (at < length), other=0.0)
    return total


@triton.jit
def _similarity(maps, slopes, sums, line, height, length, step, C1, C2, TAPS: tl.constexpr, BLOCK: tl.constexpr):
    row, at = _place(length, BLOCK)
    plane = height * length
    mean_x = _along_columns(maps, line, row, at, height, length, TAPS, BLOCK)
    mean_y = _along_columns(maps + plane, line, row, at, height, length, TAPS, BLOCK)
    both, means = 2 * mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    variances = _along_columns(maps + 2 * plane, line, row, at, height, length, TAPS, BLOCK) - means + C2
    covariance = 2 * _along_columns(maps + 3 * plane, line, row, at, height, length, TAPS, BLOCK) - both + C2
    value = (both + C1) * covariance / ((means + C1) * variances)
    tl.store(sums + row * tl.num_programs(0) + tl.program_id(0), tl.sum(tl.where(at < length, value, 0.0)))
    # By the blurred x, x² and x y; the means are part of the variances too.
    by_product = 2 * (both + C1) / ((means + C1) * variances)
    by_mean = 2 * mean_y * (covariance - both - C1) / ((means + C1) * variances) + 2 * mean_x * value * (1 / variances - 1 / (means + C1))
    to = slopes + row * length + at
    tl.store(to, by_mean, mask=at < length)
    tl.store(to + plane, -value / variances, mask=at < length)
    tl.store(to + 2 * plane, by_product, mask=at < length)


@triton.jit
def _slopes_along_rows(slopes, maps, line, height, length, step, TAPS: tl.constexpr, BLOCK: tl.constexpr):
    row, at = _place(length, BLOCK)
    plane = height * length
    for number in tl.static_range(3):
        total = tl.zeros((BLOCK,), tl.float32)
        for tap in tl.static_range(TAPS):
            near = at + (tap - TAPS // 2) * step
            inside = (near >= 0) & (near < length)
            total += tl.load(line + tap) * tl.load(slopes + number * plane + row * length + near, mask=inside, other=0.0)
        tl.store(maps + number * plane + row * length + at, total, mask=at < length)


@triton.jit
def _gradient(maps, image, truth, gradient, result, line, height, length, step, TAPS: tl.constexpr, BLOCK: tl.constexpr):
    row, at = _place(length, BLOCK)
    plane = height * length
    by_mean = _along_columns(maps, line, row, at, height, length, TAPS, BLOCK)
    by_square = _along_columns(maps + plane, line, row, at, height, length, TAPS, BLOCK)
    by_product = _along_columns(maps + 2 * plane, line, row, at, height, length, TAPS, BLOCK)
    x = tl.load(image + row * length + at, mask=at < length, other=0.0)
    y = tl.load(truth + row * length + at, mask=at < length, other=0.0)
    tl.store(result + row * length + at, tl.load(gradient) * (by_mean + 2 * x * by_square + y * by_product), mask=at < length)
