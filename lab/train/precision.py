"""The precision of a training step: where the forward pass rounds, and how fp16 keeps gradients.

scaler = Scaler(device, precision)                    # does nothing but for fp16
with autocast(device, precision): loss = ...
scaler.backward(loss); scaler.step(optimizer)         # a step with infinite gradients is skipped
"""

from __future__ import annotations

from typing import Any

import torch

HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: str, precision: str) -> torch.autocast:
    """The context in which a forward pass runs in fp32, bf16 or fp16 (fp32: a context that is off).

    fp16 on a CPU is real but slow: 3-4 times the time of an fp32 step without units for it.
    """
    kind = device.split(":")[0]
    return torch.autocast(
        kind, dtype=HALVES.get(precision, torch.bfloat16), enabled=precision in HALVES
    )


class Scaler:
    """Scales the loss so that fp16's small gradients do not vanish; on only for fp16.

    A step whose gradients hold inf or nan is skipped, the scale halved and the step counted; the
    first few steps of a run usually are, until the scale has found its place. Exact under
    `state` and `load`.
    """

    def __init__(self, device: str, precision: str):
        self.enabled = precision == "fp16"
        self._scaler = torch.amp.GradScaler(device.split(":")[0], enabled=self.enabled)
        self._skipped: int | torch.Tensor = 0  # a tensor on the device: counting must not wait

    @property
    def skipped(self) -> int:
        """Steps skipped so far. Waits for the device."""
        return int(self._skipped)

    @property
    def scale(self) -> float:
        """What the loss is multiplied with; 1 where scaling is off. Waits for the device."""
        return float(self._scaler.get_scale())

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients of the (scaled) loss, added to those that are there."""
        self._scaler.scale(loss).backward()

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """The optimizer's step with gradients scaled back, or none; then the scale's own step."""
        if not self.enabled:
            optimizer.step()
            return
        # get_scale() would wait for the device at every step; this tensor does not.
        before = self._scaler._get_scale_async().clone()
        self._scaler.step(optimizer)
        self._scaler.update()
        self._skipped = self._skipped + (self._scaler._get_scale_async() < before).long()

    def state(self) -> dict[str, Any]:
        """Numbers only; {} where scaling is off."""
        return (
            {"scaler": self._scaler.state_dict(), "skipped": self.skipped} if self.enabled else {}
        )

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state; {} (also of a run in another precision) begins anew."""
        if self.enabled and state:
            self._scaler.load_state_dict(state["scaler"])
            self._skipped = int(state["skipped"])
