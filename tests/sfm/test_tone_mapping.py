"""HDR curves against the numbers of their standards, and the promise that paper white and below stay as they are."""

from __future__ import annotations

import numpy as np
import pytest

from engine.sfm.tone_mapping import TO_BT709, tone_mapped


def grey(code: int, shape: tuple[int, int] = (2, 2)) -> np.ndarray:
    return np.stack([np.full(shape, code, np.uint16), *[np.full(shape, 512, np.uint16)] * 2], axis=2)


def pq(light: np.ndarray | float) -> np.ndarray:
    """cd/m² -> PQ's signal, 0 to 1 (SMPTE ST 2084, inverse EOTF)."""
    power = (np.asarray(light) / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def test_pq_of_the_standard() -> None:
    assert np.allclose(pq(np.array([100.0, 1000.0])), [0.5081, 0.7518], atol=1e-4)


@pytest.mark.parametrize("nits, expected", [(0.0, 0), (50.75, 137), (101.5, 188), (1000.0, 255), (10_000.0, 255)])
def test_pq_greys(nits: float, expected: int) -> None:
    seen = tone_mapped(grey(64 + round(876 * float(pq(nits)))), "PQ", False)
    assert seen.shape == (2, 2, 3) and np.abs(seen.astype(int) - expected).max() <= 2


def test_hlg_white_is_white_and_its_reference_is_a_little_less() -> None:
    """HLG's 75 % signal is reference white, 203 cd/m² (BT.2408)."""
    peak, reference = (int(tone_mapped(grey(code), "HLG", False).mean()) for code in (940, 64 + round(0.75 * 876)))
    assert peak == 255 and 205 < reference < 240
    assert (tone_mapped(grey(64), "HLG", False) == 0).all()


def test_full_range() -> None:
    limited, full = tone_mapped(grey(64 + round(0.5 * 876)), "PQ", False), tone_mapped(grey(round(0.5 * 1023)), "PQ", True)
    assert np.abs(limited.astype(int) - full).max() <= 1


@pytest.mark.parametrize("transfer", ["PQ", "HLG"])
def test_brighter_is_brighter_and_grey_stays_grey(transfer: str) -> None:
    ramp = np.concatenate([grey(code, (1, 1)) for code in range(64, 941)])
    seen = tone_mapped(ramp, transfer, False)[:, 0].astype(int)  # type: ignore[arg-type]
    assert (np.diff(seen[:, 0]) >= 0).all() and np.ptp(seen, axis=1).max() <= 1
    assert len(set(seen[:, 0])) > 200, "all levels are used"


def test_bt2020_white_is_bt709_white() -> None:
    assert np.allclose(TO_BT709.sum(axis=1), 1, atol=2e-4)


def test_a_red_of_bt709_comes_back() -> None:
    """Half as bright as paper: linear 0.5 of BT.709's red, through BT.2020, PQ and back."""
    linear = np.linalg.inv(TO_BT709.astype(float)) @ [0.5, 0.0, 0.0]
    r, g, b = pq(linear * 203)
    y = 0.2627 * r + 0.678 * g + 0.0593 * b
    codes = [64 + 876 * y, 512 + 896 * (b - y) / 1.8814, 512 + 896 * (r - y) / 1.4746]
    seen = tone_mapped(np.rint(codes).astype(np.uint16).reshape(1, 1, 3), "PQ", False)[0, 0].astype(int)
    assert abs(seen[0] - 188) <= 4 and max(seen[1:]) <= 12
