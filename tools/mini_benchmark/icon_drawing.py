"""Icons of Iconify's sets as drawings: those of one colour get two and no see-through inside."""

from __future__ import annotations

import colorsys
import hashlib
import io

import cv2
import numpy as np
from PIL import Image

SIDE = 96  # pixels, twice a drawing's
ALIKE = 0.95  # cosine of two icons' shapes


def draw_svg(text: str) -> bytes:
    """An SVG as PNG."""
    import resvg_py  # only fetch_artwork.py needs it

    return bytes(resvg_py.svg_to_bytes(svg_string=text, width=SIDE))


def icon_svg(icons: dict, name: str, colour: str = "black") -> str:
    """An icon of a set in Iconify's format; ``colour`` is what it leaves to the page."""
    icon: dict = {"left": 0, "top": 0, "width": 16, "height": 16}
    icon |= {k: v for k, v in icons.items() if k != "icons"} | icons["icons"][name]
    box = " ".join(str(icon[key]) for key in ("left", "top", "width", "height"))
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    body = icon["body"].replace("currentColor", colour)
    return f'<svg {names} viewBox="{box}">{body}</svg>'


def two_tones(code: str) -> tuple[np.ndarray, np.ndarray]:
    """(3,) RGB of an icon's ink and of its inside, drawn at random from its code."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(code.encode()).digest()[:4], "big"))

    def colour(saturation: float, value: float) -> np.ndarray:
        return 255 * np.array(colorsys.hsv_to_rgb(rng.random(), saturation, value))

    kind = rng.random()
    if kind < 0.15:
        ink = np.full(3, rng.uniform(10, 60))
    elif kind < 0.3:
        ink = np.full(3, rng.uniform(235, 255))
    else:
        ink = colour(rng.uniform(0.45, 0.95), rng.uniform(0.3, 0.95))
    # A dark ink's inside is light and the reverse, both with a tint.
    far = 255.0 if ink @ (0.3, 0.59, 0.11) < 150 else 0.0
    inside = ink + (far - ink) * rng.uniform(0.55, 0.95)
    return ink, 0.75 * inside + 0.25 * colour(0.8, 0.9)


def silhouette(alpha: np.ndarray) -> np.ndarray:
    """(H, W) float32 in 0..1: what (H, W) uint8 lines enclose, across small gaps in them."""
    ink = np.pad((alpha > 24).astype(np.uint8), 8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    closed = cv2.morphologyEx(ink, cv2.MORPH_CLOSE, disc)
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros(ink.shape, np.float32), outlines, -1, 1.0, cv2.FILLED)
    return cv2.GaussianBlur(filled, (0, 0), 0.7)[8:-8, 8:-8]


def draw_icon(icons: dict, name: str, code: str) -> bytes:
    """An icon in two tones of its own, as PNG; ``code`` is the set's and its name."""
    ink, inside = two_tones(code)
    colour = "#{:02x}{:02x}{:02x}".format(*ink.astype(int))
    picture = np.array(Image.open(io.BytesIO(draw_svg(icon_svg(icons, name, colour)))))
    alpha = picture[..., 3:] / np.float32(255)
    solid = np.maximum(silhouette(picture[..., 3])[..., None], alpha)
    mixed = (picture[..., :3] * alpha + inside * (solid - alpha)) / solid.clip(1e-3)
    pixels = np.concatenate([mixed, 255 * solid], axis=2).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def shape(icons: dict, name: str) -> np.ndarray:
    """(2, 576) unit rows: where an icon has ink, and the same mirrored."""
    alpha = Image.open(io.BytesIO(draw_svg(icon_svg(icons, name)))).getchannel("A")
    small = np.asarray(alpha.crop(alpha.getbbox()).resize((24, 24), Image.Resampling.BOX))
    ink = cv2.GaussianBlur(small.astype(np.float32), (0, 0), 0.8)
    both = np.stack([ink, ink[:, ::-1]]).reshape(2, -1)
    return both / np.linalg.norm(both, axis=1, keepdims=True)


def without_repeats(shapes: dict[str, np.ndarray]) -> list[str]:
    """Of icons by code those that no earlier one is as good as equal to."""
    kept: list[str] = []
    for code, rows in shapes.items():
        if not kept or np.stack([shapes[k][0] for k in kept] @ rows.T).max() < ALIKE:
            kept.append(code)
    return kept
