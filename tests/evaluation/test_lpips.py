"""LPIPS with weights that the test makes: the same network and mathematics as torchmetrics, loaded from the same files."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engine.core.errors import UserError
from engine.evaluation.lpips import ALEXNET, load_lpips

torch = pytest.importorskip("torch")
lpip = pytest.importorskip("torchmetrics.functional.image.lpips")


def alexnet(**_: object) -> Any:
    """The layers of torchvision's AlexNet, with random weights."""
    from torch import nn

    torch.manual_seed(0)
    features = nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(), nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(), nn.MaxPool2d(3, 2))
    return nn.ModuleDict({"features": features})


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / ALEXNET
    path.parent.mkdir(parents=True)
    torch.save(alexnet().state_dict(), path)
    return path


def pictures() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.random((64, 80, 3)).astype(np.float32)
    return (truth + 0.2 * rng.standard_normal(truth.shape)).clip(0, 1).astype(np.float32), truth


def test_it_is_what_torchmetrics_computes(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torchvision = ModuleType("torchvision")
    torchvision.models = SimpleNamespace(alexnet=alexnet)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", torchvision)
    monkeypatch.setattr(lpip, "_TORCHVISION_AVAILABLE", True)
    peer = lpip._LPIPS(pretrained=True, net="alex", pnet_rand=True).eval()
    image, truth = pictures()
    with torch.no_grad():
        batches = [torch.from_numpy(picture.transpose(2, 0, 1).copy())[None] for picture in (image, truth)]
        expected = float(peer(*batches, normalize=True))
    found = load_lpips()(image, truth)
    assert found == pytest.approx(expected, rel=1e-4) and found > 1e-5
    assert load_lpips()(truth, truth) == 0


def test_missing_and_damaged_weights_and_tiny_images_are_told(weights: Path) -> None:
    with pytest.raises(UserError, match="32 pixels"):
        load_lpips()(np.zeros((8, 8, 3), np.float32), np.zeros((8, 8, 3), np.float32))
    weights.write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        load_lpips()
    weights.unlink()
    with pytest.raises(UserError, match="weights are not in"):
        load_lpips()
