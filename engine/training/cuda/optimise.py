"""Tensors and their Adam moments; one fused kernel for each tensor and step."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.optim.adam import adam

from ..backend import TRACED, ParameterHealth

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-15
"""As the built-in kernels' and the field's."""


class Adam:
    """Named leaf tensors that learn by Adam (Kingma and Ba 2015), each at a rate of its own.

    A step that saw a batch of B images at once takes rates √B times as large and forgets B times as fast, which keeps
    the result the same for the same number of images (the square-root rule that gsplat documents for batches).
    """

    def __init__(self, batch: int = 1):
        self.tensors: dict[str, Tensor] = {}
        self.steps = 0
        self._batch = batch
        self._first: dict[str, Tensor] = {}
        self._second: dict[str, Tensor] = {}
        self._counters: dict[str, Tensor] = {}

    def add(self, name: str, values: Tensor) -> Tensor:
        """Learn another tensor, or another one in place of this name. Its moments are zero."""
        self.tensors[name] = values.detach().requires_grad_()
        for moments in (self._first, self._second):
            moments.pop(name, None)
        return self.tensors[name]

    def gradients(self) -> list[Tensor]:
        """Of all tensors that have one, in the order of their names: the same on every replica."""
        return [grad for name in sorted(self.tensors) if (grad := self.tensors[name].grad) is not None]

    def drop_gradients(self) -> None:
        """Forget all gradients and their memory."""
        for tensor in self.tensors.values():
            tensor.grad = None

    @torch.no_grad()
    def step(self, rates: dict[str, float], unusable: Tensor) -> None:
        """Move every tensor that has a gradient. Nothing moves where `unusable` (float32, no dimension, on the device) is 1."""
        self.steps += 1
        for name, tensor in self.tensors.items():
            if tensor.grad is not None:
                self._move(name, tensor, rates[name], unusable)

    def _move(self, name: str, tensor: Tensor, rate: float, unusable: Tensor) -> None:
        first, second = self._moments(name)
        counter = self._counters.setdefault(name, torch.zeros((), dtype=torch.float32, device=tensor.device))
        counter.fill_(self.steps - 1)
        batch = self._batch
        assert tensor.grad is not None
        adam([tensor], [tensor.grad], [first], [second], [], [counter], fused=True, found_inf=unusable, amsgrad=False,
             beta1=max(0.0, 1 - batch * (1 - BETA1)), beta2=max(0.0, 1 - batch * (1 - BETA2)), lr=rate * math.sqrt(batch),
             weight_decay=0.0, eps=EPSILON / math.sqrt(batch), maximize=False)

    def _moments(self, name: str) -> tuple[Tensor, Tensor]:
        """Moments are made when they are first needed: a model that only renders has none."""
        for moments in (self._first, self._second):
            if name not in moments:
                moments[name] = torch.zeros_like(self.tensors[name], requires_grad=False)
        return self._first[name], self._second[name]

    @torch.no_grad()
    def take(self, names: Sequence[str], rows: Tensor, fresh: Tensor) -> None:
        """Row i of each tensor becomes a copy of its old row rows[i] [M]; the moments of the new rows `fresh` start at zero.

        All copies are made before the first one is used: when memory ends in between, everything is as it was.
        """
        tensors = {name: self.tensors[name].index_select(0, rows).requires_grad_() for name in names}
        moments = [{name: old[name].index_select(0, rows).index_fill_(0, fresh, 0.0) for name in names if name in old}
                   for old in (self._first, self._second)]
        self.tensors.update(tensors)
        self._first.update(moments[0])
        self._second.update(moments[1])

    def forget(self, name: str) -> None:
        """The moments of one tensor start at zero."""
        for moments in (self._first, self._second):
            if name in moments:
                moments[name].zero_()

    @torch.no_grad()
    def parameter_health(self, names: Sequence[str]) -> dict[str, ParameterHealth]:
        """See backend.ParameterHealth; waits for the device once."""
        present = [name for name in names if self.tensors[name].numel()]
        figures = torch.stack([self._figures(name) for name in present]).tolist()
        return {name: ParameterHealth(math.isfinite(moment_norm + size), moment_norm, moment_sum, value_checksum)
                for name, (moment_norm, moment_sum, size, value_checksum) in zip(present, figures, strict=True)}

    def _figures(self, name: str) -> Tensor:
        """[4] float64: norm and sum of the first moments, norm of the values, and their checksum."""
        tensor = self.tensors[name]
        first = self._first.get(name, tensor.new_zeros(1))
        value_checksum = tensor[:: max(1, len(tensor) // TRACED)].sum(dtype=torch.float64)
        lengths = (torch.linalg.vector_norm(part).double() for part in (first, tensor))
        return torch.stack([next(lengths), first.sum(dtype=torch.float64), next(lengths), value_checksum])

    def clear(self) -> None:
        """Free all memory."""
        for tensors in (self.tensors, self._first, self._second):
            tensors.clear()

    def state(self) -> dict[str, np.ndarray]:
        """Copies of tensors (by name), moments (first_NAME, second_NAME) and the number of steps."""
        found = {"steps": np.array(self.steps)}
        for name, tensor in self.tensors.items():
            found[name] = to_numpy(tensor)
            for prefix, moments in (("first", self._first), ("second", self._second)):
                found[f"{prefix}_{name}"] = to_numpy(moments[name]) if name in moments else np.zeros(tensor.shape, np.float32)
        return found

    def broken(self) -> list[str]:
        """Names of the tensors and moments, as in state(), that hold values that are no numbers; waits for the device."""
        found = {prefix + name: torch.isfinite(tensor).all() for prefix, tensors in
                 (("", self.tensors), ("first_", self._first), ("second_", self._second)) for name, tensor in tensors.items()}
        return [name for name, finite in found.items() if not bool(finite)]

    def load_state(self, state: dict[str, np.ndarray], names: tuple[str, ...], device: torch.device) -> None:
        """Go back to a state, as far as it knows the names."""
        self.steps = int(state["steps"])
        for name in names:
            if name in state:
                self.add(name, from_numpy(state[name], device))
                self._first[name] = from_numpy(state[f"first_{name}"], device)
                self._second[name] = from_numpy(state[f"second_{name}"], device)


def from_numpy(array: np.ndarray, device: torch.device) -> Tensor:
    """A copy on the device, float32."""
    return torch.tensor(np.asarray(array, np.float32), device=device)


def to_numpy(tensor: Tensor) -> np.ndarray:
    """A copy in the computer's memory; waits for the device."""
    return tensor.detach().to("cpu", copy=True).numpy()
