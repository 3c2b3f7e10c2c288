"""quick: the demo. leaves that the lab draws, three sizes, a small network."""

from lab.recipe.presets.preset import Preset

_SHARED = {
    "schedule": "one-cycle",
    "batch_size": 32,
    "resize": "squish",
    "augment": {"flip": "dihedral", "rotate_deg": 10, "zoom_max": 1.1, "warp": 0, "lighting": 0.2},
}

QUICK = Preset(
    name="quick",
    title="Quick demo",
    story=(
        "A small network learns leaf diseases on pictures of 64 px, then 96, then 128. Some "
        "diseases differ in traits so fine that 64 px do not show them: watch the error fall when "
        "the size rises."
    ),
    source="",
    departures=(),
    published=(),
    values={
        "dataset": {
            "source": "leaves",
            "leaves": {"n": 1200, "size_px": 160, "form": "demo"},
            "split": {"method": "random", "valid_fraction": 0.25, "test_fraction": 0.08},
        },
        "model": {"name": "resnet10t"},
        "precision": "fp32",
        "stages": [
            # 2 / 4 + 1 x 9 / 16 + 4 = 5.06 epochs at 128 px: its baseline of equal pixels has 5.
            {"size": 64, "epochs": 2, "lr": 4e-3, **_SHARED},
            {"size": 96, "epochs": 1, "lr": 3e-3, **_SHARED},
            {"size": 128, "epochs": 4, "lr": 2e-3, **_SHARED},
        ],
    },
)
