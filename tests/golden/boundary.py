"""Makes small cases of everything that is computed from a band, straight from the formulas, in float64.

    python -B tests/golden/boundary.py --out tests/golden/boundary.json

Units 0..n-1 have vectors e_i; gap g lies between units g-1 and g; a segment a..b holds units a to b-1. Every list that runs
over gaps starts at gap 1. A case holds:

* `vectors`: [n, 8], of length one before they were rounded to float32; whatever follows is computed from the rounded ones;
* `width`: L, the neighbours in the band, and so the most units of a segment;
* `band`: [i][d] = <e_i, e_(i+d)> for d < L and i + d < n; `sums`: [a][l-1] = |e_a + .. + e_(a+l-1)|^2, l in 1..=L;
* `costs`: of the same segments, by objective;
* `curves`: by window w, the cosine of the sums of up to w vectors on either side of each gap, each side as many as it has. What
  follows is of the curve of window 1:
* `moving_average`: by window, and `savitzky_golay`: window 5, order 2, by derivative. Beyond its ends the curve is mirrored and
  the end itself not repeated (numpy calls that reflect, scipy mirror);
* `depths`: (left peak - s) + (right peak - s), a peak being where the climb from the gap no longer rises;
* `thresholds`: of the distances 1 - s, but `gradient` of numpy.gradient of the distances; percentiles are interpolated
  linearly, the standard deviation is the population's. `over`: gaps whose value is greater; `cuts`: those of them where the
  distance has a local maximum, of which an end of the curve can be one;
* `suppressed`: gaps where the distance has a local maximum, taken from the highest, none less than 3 gaps from one taken;
* `optima`, of cases of at most 10 units: the least total cost over all segmentations, found by trying each, and the segments'
  ends. `segments` is their number if given; each costs `beta` more. `constrained` adds `size_weight` * (tokens / target - 1)^2
  a segment, takes off the bonus of each gap that is cut (null: no cut there), and allows more than `max_tokens` only to a
  segment of one unit. Another segmentation costs at least 1e-6 more.

The same seed writes the same bytes. Another CPU may round sums differently, beyond the digits that are written.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import savgol_filter

from json_files import write_compact_lines

SEED = 20261124
DIM = 8
DIGITS = 12
WINDOWS = (1, 3, 5)
AVERAGES = (3, 5)
DERIVATIVES = (0, 1, 2)
SUPPRESSION_DISTANCE = 3
# Tests compute in float32: a smaller lead could turn there.
MARGIN = 1e-6
BETAS = (0.0, 0.05, 0.2, 0.5, 1.0)
BRUTE_FORCE_UNITS = 10
TARGET_TOKENS, MAX_TOKENS, SIZE_WEIGHT = 40, 70, 1.0


@dataclass(frozen=True)
class Shape:
    """Units and width of a case, and how many topics its vectors gather around; 0 for none."""

    units: int
    width: int
    topics: int


SHAPES = (
    Shape(6, 6, 2), Shape(8, 8, 0), Shape(10, 10, 3), Shape(10, 4, 2), Shape(10, 10, 0), Shape(12, 12, 3),
    Shape(17, 8, 0), Shape(23, 10, 4), Shape(31, 6, 5), Shape(40, 10, 5), Shape(40, 10, 0),
)  # fmt: skip

Objective = Callable[["Case", int, int], float]


@dataclass(frozen=True)
class Constraints:
    """What a segment's tokens and the gap before it add to its cost."""

    tokens: list[int]
    target_tokens: int
    max_tokens: int
    size_weight: float
    bonuses: list[float | None]

    def cost(self, start: int, end: int) -> float:
        tokens = sum(self.tokens[start:end])
        if tokens > self.max_tokens and end - start > 1:
            return math.inf
        bonus = self.bonuses[start - 1] if start > 0 else 0.0
        if bonus is None:
            return math.inf
        return self.size_weight * (tokens / self.target_tokens - 1) ** 2 - bonus


class Case:
    """Vectors [n, dim] float64 and what is within `width` of each."""

    def __init__(self, vectors: np.ndarray, width: int) -> None:
        self.vectors = vectors
        self.units = len(vectors)
        self.width = width
        self.mean_similarity = np.mean([value for row in self.band() for value in row[1:]])

    def band(self) -> list[list[float]]:
        return [[self.vectors[i] @ self.vectors[j] for j in self.ends(i)] for i in range(self.units)]

    def ends(self, start: int) -> range:
        return range(start, min(start + self.width, self.units))

    def sum(self, start: int, end: int) -> float:
        """W: similarities of all ordered pairs of a segment."""
        total = self.vectors[start:end].sum(axis=0)
        return total @ total

    def over_segments(self, value: Objective) -> list[list[float]]:
        """[start][units - 1] of every segment within the width."""
        return [[value(self, start, last + 1) for last in self.ends(start)] for start in range(self.units)]

    def curve(self, window: int) -> np.ndarray:
        return np.array([self.gap_cosine(gap, window) for gap in range(1, self.units)])

    def gap_cosine(self, gap: int, window: int) -> float:
        left = self.vectors[max(gap - window, 0) : gap].sum(axis=0)
        right = self.vectors[gap : gap + window].sum(axis=0)
        return left @ right / (np.linalg.norm(left) * np.linalg.norm(right))


def kcpd(case: Case, start: int, end: int) -> float:
    """Embed-KCPD, arXiv 2601.18788."""
    return end - start - case.sum(start, end) / (end - start)


def cvs(case: Case, start: int, end: int) -> float:
    """Alemi and Ginsparg 2015, arXiv 1503.05543."""
    return end - start - math.sqrt(case.sum(start, end))


def cluster(case: Case, start: int, end: int) -> float:
    """Chroma's cluster chunker: similarities of distinct units above the band's mean, as a reward."""
    units = end - start
    own = (case.vectors[start:end] ** 2).sum()
    return -(case.sum(start, end) - own - case.mean_similarity * units * (units - 1))


OBJECTIVES: dict[str, Objective] = {"kcpd": kcpd, "cvs": cvs, "cluster": cluster}


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes cases of bands, curves, thresholds and segmentations.")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    arguments = parser.parse_args()
    rng = np.random.default_rng(SEED)
    write_compact_lines(arguments.out, (rounded(measured(rng, shape)) for shape in SHAPES))


def measured(rng: np.random.Generator, shape: Shape) -> dict:
    """A random case with its values."""
    vectors = random_vectors(rng, shape)
    constraints = random_constraints(rng, shape.units)
    case = Case(vectors.astype(np.float64), shape.width)
    curve = case.curve(1)
    values = {
        "vectors": [[float(str(value)) for value in row] for row in vectors],
        "width": shape.width,
        "band": case.band(),
        "sums": case.over_segments(Case.sum),
        "costs": {name: case.over_segments(cost) for name, cost in OBJECTIVES.items()},
        "curves": {str(window): case.curve(window) for window in WINDOWS},
        "moving_average": {str(window): moving_average(curve, window) for window in AVERAGES},
        "savitzky_golay": {str(order): savgol_filter(curve, 5, 2, deriv=order, mode="mirror") for order in DERIVATIVES},
        "depths": depths(curve),
        "thresholds": list(thresholds(1 - curve)),
        "suppressed": suppressed(1 - curve),
    }
    if shape.units <= BRUTE_FORCE_UNITS:
        values |= {"constraints": asdict(constraints), "optima": list(optima(case, constraints))}
    return values


def random_vectors(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """[units, DIM] float32 of length one; each topic is a run of units."""
    vectors = rng.standard_normal((shape.units, DIM))
    if shape.topics:
        topics = rng.standard_normal((shape.topics, DIM))
        vectors = topics[np.arange(shape.units) * shape.topics // shape.units] + 0.6 * vectors
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def random_constraints(rng: np.random.Generator, units: int) -> Constraints:
    """One unit is too long for a chunk; some gaps have a bonus and one allows no cut."""
    tokens = rng.integers(3, 30, units)
    tokens[rng.integers(units)] = MAX_TOKENS + 1
    bonuses: list[float | None] = rng.choice([0.0, 0.0, 0.3], units - 1).tolist()
    bonuses[rng.integers(units - 1)] = None
    return Constraints(tokens.tolist(), TARGET_TOKENS, MAX_TOKENS, SIZE_WEIGHT, bonuses)


def moving_average(curve: np.ndarray, window: int) -> np.ndarray:
    padded = np.pad(curve, window // 2, mode="reflect")
    return np.convolve(padded, np.full(window, 1 / window), mode="valid")


def depths(curve: np.ndarray) -> list[float]:
    """Hearst 1997."""
    return [climb(curve[index::-1]) + climb(curve[index:]) - 2 * curve[index] for index in range(len(curve))]


def climb(values: np.ndarray) -> float:
    """The peak that one reaches from the first value without going down."""
    down = np.flatnonzero(np.diff(values) < 0)
    return values[down[0]] if len(down) else values[-1]


def thresholds(distances: np.ndarray) -> Iterator[dict]:
    """Each rule's value and the gaps beyond it."""
    first, third = np.percentile(distances, [25, 75])
    spread = third - first
    gradient = np.gradient(distances)
    rules = [
        *(("percentile", p, np.percentile(distances, p), distances) for p in (50.0, 83.0, 95.0)),
        *(("standard_deviation", k, distances.mean() + k * distances.std(), distances) for k in (0.5, 1.0, 3.0)),
        *(("mean_iqr", k, distances.mean() + k * spread, distances) for k in (0.5, 1.5)),
        *(("third_quartile_iqr", k, third + k * spread, distances) for k in (0.1, 1.5)),
        *(("gradient", p, np.percentile(gradient, p), gradient) for p in (83.0, 95.0)),
    ]
    for rule, amount, value, values in rules:
        over = [gap for gap in range(1, len(values) + 1) if values[gap - 1] > value]
        cuts = [gap for gap in over if is_local_maximum(distances, gap - 1)]
        yield {"rule": rule, "amount": amount, "value": value, "over": over, "cuts": cuts}


def is_local_maximum(values: np.ndarray, index: int) -> bool:
    return values[index] == max(values[max(index - 1, 0) : index + 2])


def suppressed(distances: np.ndarray) -> list[int]:
    taken: list[int] = []
    for index in np.argsort(-distances, kind="stable").tolist():
        if is_local_maximum(distances, index) and all(abs(index + 1 - gap) >= SUPPRESSION_DISTANCE for gap in taken):
            taken.append(index + 1)
    return sorted(taken)


def optima(case: Case, constraints: Constraints) -> Iterator[dict]:
    """The best segmentation for each number of segments and each beta."""
    free = [(count, 0.0) for count in range(1, case.units + 1)] + [(None, beta) for beta in BETAS]
    for objective in OBJECTIVES:
        for constrained in (False, True):
            for segments, beta in free:
                found = optimum(case, objective, segments, beta, constraints if constrained else None)
                if found is not None:
                    cost, ends = found
                    rule = {"objective": objective, "segments": segments, "beta": beta, "constrained": constrained}
                    yield rule | {"cost": cost, "ends": ends}


def optimum(
    case: Case, objective: str, segments: int | None, beta: float, constraints: Constraints | None
) -> tuple[float, list[int]] | None:
    """The least cost and its ends, unless nothing is allowed."""

    def total(ends: tuple[int, ...]) -> float:
        return sum(cost(start, end) for start, end in pairwise((0, *ends)))

    def cost(start: int, end: int) -> float:
        if end - start > case.width:
            return math.inf
        more = constraints.cost(start, end) if constraints else 0.0
        return OBJECTIVES[objective](case, start, end) + beta + more

    counts = range(1, case.units + 1) if segments is None else [segments]
    inner = range(1, case.units)
    every = ((*cuts, case.units) for count in counts for cuts in combinations(inner, count - 1))
    (best, ends), *others = sorted((total(ends), ends) for ends in every)
    if best == math.inf:
        return None
    if others and others[0][0] < best + MARGIN:
        raise ValueError(f"{objective}: {ends} and {others[0][1]} cost the same")
    return best, list(ends)


def rounded(value: Any) -> Any:
    """The same with plain floats of as many digits as are written."""
    match value:
        case dict():
            return {key: rounded(item) for key, item in value.items()}
        case list() | np.ndarray():
            return [rounded(item) for item in value]
        case float() | np.floating():
            return float(f"{value:.{DIGITS}g}")
    return value


if __name__ == "__main__":
    main()
