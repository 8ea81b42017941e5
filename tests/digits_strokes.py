"""Ten digits as a person would draw them: pen strokes in the unit square, y downwards."""

from __future__ import annotations

import math

Point = tuple[float, float]
Stroke = list[Point]


def arc(centre: Point, radii: Point, start: float, end: float, steps: int = 14) -> Stroke:
    """Return points on an ellipse between two angles in degrees; 0 is right, 90 is down."""
    angles = (math.radians(start + (end - start) * i / steps) for i in range(steps + 1))
    return [(centre[0] + radii[0] * math.cos(a), centre[1] + radii[1] * math.sin(a)) for a in angles]


STROKES: dict[int, list[Stroke]] = {
    # One loop, begun at the top, not quite closed where it began.
    0: [arc((0.49, 0.51), (0.19, 0.28), -80, -435, 28)],
    # One line, leaning a little.
    1: [[(0.55, 0.20), (0.53, 0.36), (0.51, 0.52), (0.49, 0.67), (0.48, 0.82)]],
    # A hook, a slide to the lower left, a foot.
    2: [
        arc((0.48, 0.36), (0.17, 0.16), -165, 25)
        + [(0.56, 0.52), (0.46, 0.64), (0.36, 0.74), (0.29, 0.80)]
        + [(0.40, 0.79), (0.52, 0.79), (0.62, 0.80), (0.70, 0.79)],
    ],
    # Two bows, the lower one larger.
    3: [
        arc((0.47, 0.34), (0.16, 0.14), -150, 80) + [(0.46, 0.49)] + arc((0.48, 0.65), (0.19, 0.16), -80, 145),
    ],
    # An open four: a corner, then the stem.
    4: [
        [(0.38, 0.20), (0.35, 0.31), (0.32, 0.42), (0.29, 0.53), (0.40, 0.54), (0.53, 0.53), (0.66, 0.52)],
        [(0.60, 0.22), (0.59, 0.37), (0.58, 0.52), (0.57, 0.67), (0.56, 0.82)],
    ],
    # Down and around the belly; then the hat.
    5: [
        [(0.38, 0.22), (0.37, 0.33), (0.36, 0.45)] + arc((0.47, 0.62), (0.18, 0.19), -125, 140),
        [(0.38, 0.22), (0.48, 0.22), (0.57, 0.21), (0.66, 0.21)],
    ],
    # A sweep down from the top that closes in a loop.
    6: [
        [(0.58, 0.19), (0.50, 0.27), (0.43, 0.37), (0.38, 0.48), (0.35, 0.59)]
        + arc((0.49, 0.66), (0.15, 0.15), -190, -530, 24),
    ],
    # A bar and a slope.
    7: [
        [(0.30, 0.23), (0.42, 0.23), (0.54, 0.23), (0.67, 0.22)]
        + [(0.62, 0.36), (0.56, 0.50), (0.50, 0.66), (0.45, 0.82)],
    ],
    # An S that comes back up on the other side.
    8: [
        [
            (0.50 + 0.13 * math.sin(2 * t), 0.51 - 0.30 * math.cos(t))
            for t in (math.radians(25 + 15 * i) for i in range(25))
        ],
    ],
    # A loop, then a tail straight down.
    9: [
        arc((0.48, 0.37), (0.15, 0.16), -20, -340, 24)
        + [(0.62, 0.34), (0.62, 0.46), (0.60, 0.58), (0.58, 0.70), (0.55, 0.82)],
    ],
}
