"""Predict with the model beside this file. Needs timm, torch and pillow, nothing else.

    python predict.py picture.jpg other.png

One JSON line a picture: {"image", "label", "probabilities"}, or {"image", "error"} and exit code 1.
A model of two targets adds "second": {"target", "label", "probabilities"}.
Pictures are read as in training: upright by EXIF, alpha over white, 16-bit grey by its full range.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    # The folder `timm` beside this script holds the weights; it must not stand in for the package.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != HERE]

import numpy as np  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402
from PIL import Image, ImageOps  # noqa: E402
from timm.data import create_transform, resolve_model_data_config  # noqa: E402

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")


def load(folder: Path = HERE / "timm"):
    """(model in eval mode, transform from an RGB picture to its input, {target: class names})."""
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    names = iter(config["label_names"])
    sizes = config.get("targets") or {"": len(config["label_names"])}
    return model, transform, {name: [next(names) for _ in range(n)] for name, n in sizes.items()}


@torch.inference_mode()
def probabilities(model, transform, image: Image.Image, sizes: list[int]) -> list[list[float]]:
    """Softmax probabilities of one RGB picture per target, in the order of labels.txt."""
    logits = model(transform(image)[None]).float()[0]
    return [part.softmax(dim=0).tolist() for part in logits.split(sizes)]


def read_rgb(path: Path) -> Image.Image:
    """The picture as 8-bit RGB, upright; the first frame of an animation."""
    with Image.open(path, formats=FORMATS) as image:
        image.load()
        try:
            upright = ImageOps.exif_transpose(image)
        except Exception:  # damaged EXIF says nothing about the pixels
            upright = image
        return as_rgb(upright)


def as_rgb(image: Image.Image) -> Image.Image:
    """Any of Pillow's modes as RGB."""
    if image.mode.startswith("I;16"):
        return grey16(np.asarray(image).astype(np.uint32))
    if image.mode in ("I", "F"):
        return wide_grey(np.asarray(image).astype(np.float64))
    if image.mode in ALPHA or "transparency" in image.info:
        above = image.convert("RGBA")
        white = Image.new("RGBA", above.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, above).convert("RGB")
    return image.convert("RGB")


def grey16(values: np.ndarray) -> Image.Image:
    """0..65535 to 0..255: Pillow's own conversion clips everything above 255 to white."""
    return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")


def wide_grey(values: np.ndarray) -> Image.Image:
    """32-bit grey: as 8 or 16 bits where it fits, else from its smallest to its largest."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    whole = bool(np.all(values == np.floor(values)))
    if whole and low >= 0 and 255 < high <= 65535:
        return grey16(values.astype(np.uint32))
    if whole and low >= 0 and high <= 255:
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")
    scaled = (np.nan_to_num(values, nan=low) - low) * (255 / ((high - low) or 1))
    return Image.fromarray(scaled.round().astype(np.uint8)).convert("RGB")


def main(names: list[str]) -> int:
    """Print a line for every picture; 1 where one could not be read, 2 for none at all."""
    if not names:
        print("Usage: python predict.py PICTURE ...", file=sys.stderr)
        return 2
    model, transform, targets = load()
    failed = False
    for name in names:
        try:
            sizes = [len(names) for names in targets.values()]
            found = probabilities(model, transform, read_rgb(Path(name)), sizes)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            failed = True
            print(json.dumps({"image": name, "error": str(error)}))
            continue
        first, *second = [
            {
                "target": target,
                "label": labels[int(np.argmax(p))],
                "probabilities": dict(zip(labels, p)),
            }
            for (target, labels), p in zip(targets.items(), found)
        ]
        del first["target"]
        answer = {"image": name, **first, **({"second": second[0]} if second else {})}
        print(json.dumps(answer, ensure_ascii=False))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
