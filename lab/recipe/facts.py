"""Facts about data, model and device as plain types, for plans, forecasts and checks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class DataFacts:
    """An imported data set under one split."""

    dataset_id: str
    name: str
    fingerprint: str
    target: str
    classes: tuple[str, ...]
    n_train: int
    n_valid: int
    n_test: int
    train_counts: tuple[int, ...] = ()  # per class, in the order of `classes`
    short_px: tuple[int, int, int] = (0, 0, 0)  # short side: smallest, median, largest
    aspect: float = 1.0  # median of long side / short side
    bytes: int = 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> DataFacts:
        """From the JSON values of `as_dict`."""
        tuples = {key: tuple(values[key]) for key in ("classes", "train_counts", "short_px")}
        return cls(**{**values, **tuples})


@dataclass(frozen=True)
class ModelFacts:
    """A timm architecture. Sizes: `any`; `set` (set_input_size); `build` (img_size); `fixed`."""

    name: str
    params: int
    sizes: str
    step_px: int  # sizes that are no multiple of it drop edge pixels; 1: any
    min_px: int
    native_px: int
    gmacs_at_native: float  # multiply-adds of one image at native_px, in 1e9
    groups: int  # most parameter groups it can be given
    hub: bool  # whether timm has pretrained weights for it
    has_norm_before_pool: bool = True
    depthwise: bool = False

    def gmacs(self, height: int, width: int) -> float:
        """Multiply-adds of one image, in 1e9, taken as proportional to the pixels."""
        return self.gmacs_at_native * height * width / self.native_px**2

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class DeviceFacts:
    """Where training would run, with what was measured there.

    `speeds` maps "model|HxW|batch|precision" to training images per second;
    `valid_speeds` maps "model|HxW|precision" likewise for validation.
    """

    name: str = "cpu"
    kind: str = "cpu"  # cpu | cuda | mps
    threads: int = 1
    memory_mb: int = 0
    bf16_units: bool = False
    gmacs_per_s: float = 0.0  # measured on any model; 0: never measured
    speeds: dict[str, float] = field(default_factory=dict)
    valid_speeds: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Facts:
    """What is known before a launch; None where it is not known yet."""

    data: DataFacts | None = None
    model: ModelFacts | None = None
    device: DeviceFacts | None = None


@dataclass(frozen=True)
class Resolved:
    """Choices that the program made for one run, each with its reason. Each is written once.

    `stages` maps a stage's number, as text, to what was chosen for it: `lr` (from the finder),
    `batch_size` (auto), `epochs` (how many were run, where a rule ended the stage), `steps` (its
    length, where it is to take as long as another run), `micro` (parts that a batch is cut into,
    where memory is short). Reasons go by name: "device", "stages.1.lr".
    """

    device: str = "cpu"
    precision: str = "fp32"
    threads: int = 1
    groups: int = 1
    remedies: tuple[str, ...] = ()  # faster forms of slow operators, where a probe favoured them
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def of_stage(self, stage: int, name: str) -> Any:
        """A choice made for a stage; None where it was not made."""
        return self.stages.get(str(stage), {}).get(name)

    def with_choice(self, stage: int, name: str, value: Any, reason: str) -> Resolved:
        """A copy with one more choice for a stage."""
        mine = {**self.stages.get(str(stage), {}), name: value}
        reasons = {**self.reasons, f"stages.{stage}.{name}": reason}
        return replace(self, stages={**self.stages, str(stage): mine}, reasons=reasons)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
