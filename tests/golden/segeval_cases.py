"""Makes pairs of segmentations with the figures that segeval 2.0.11 gives them.

    python -B tests/golden/segeval_cases.py --out tests/golden/segeval.json

A pair is a reference and a hypothesis of the same 2 to 60 units, each a list of segment lengths, and the figures are:

* `pk` and `window_diff`: with segeval's own window, which is checked to be max(2, round_half_even(mean reference segment / 2));
* `boundary_similarity`: Fournier 2013, transpositions of neighbouring gaps (n_t = 2), which count one half;
* `f1`: of boundaries that lie in the very same gap, from segeval's confusion matrix without transpositions. segeval knows no F1
  with a tolerance.

Each is segeval's Decimal as the nearest double. Where segeval gives no value, a definition stands in, and the pair says
`"defined": true`: when neither side has a boundary (Pk = WindowDiff = 0, B = F1 = 1), and for the WindowDiff of two units,
where no window fits (0, which is what segeval gives Pk there). The same seed writes the same bytes.
"""

import argparse
import random
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import segeval

from json_files import write_compact_lines

SEED = 20261124
PAIRS = 2000
FEWEST_UNITS, MOST_UNITS = 2, 60
# Share of the gaps that hold a boundary; {share: weight}. Text has about one in ten.
DENSITIES = {0.0: 1, 0.05: 4, 0.1: 8, 0.2: 6, 0.5: 4, 1.0: 1}
# A boundary of the reference is dropped (None), moved or kept; {shift: weight}.
SHIFTS = {0: 10, -1: 2, 1: 2, -2: 1, 2: 1, None: 3}
KINDS = {"unrelated": 3, "similar": 6, "equal": 1}

Case = dict[str, list[int] | float | bool]


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes pairs of segmentations with segeval's figures.")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    arguments = parser.parse_args()
    rng = random.Random(SEED)
    write_compact_lines(arguments.out, (measured(*random_pair(rng)) for _ in range(PAIRS)))


def random_pair(rng: random.Random) -> tuple[list[int], list[int]]:
    """Segment lengths of a reference and a hypothesis."""
    units = rng.randint(FEWEST_UNITS, MOST_UNITS)
    reference = random_boundaries(rng, units)
    match weighted_choice(rng, KINDS):
        case "unrelated":
            hypothesis = random_boundaries(rng, units)
        case "similar":
            hypothesis = similar_boundaries(rng, reference, units)
        case "equal":
            hypothesis = reference
    return lengths(reference, units), lengths(hypothesis, units)


def weighted_choice(rng: random.Random, weights: dict[Any, int]) -> Any:
    return rng.choices(list(weights), list(weights.values()))[0]


def random_boundaries(rng: random.Random, units: int) -> set[int]:
    """Boundaries by the number of units before them."""
    density = weighted_choice(rng, DENSITIES)
    return {gap for gap in range(1, units) if rng.random() < density}


def similar_boundaries(rng: random.Random, boundaries: set[int], units: int) -> set[int]:
    shifts = [weighted_choice(rng, SHIFTS) for _ in boundaries]
    moved = {gap + shift for gap, shift in zip(sorted(boundaries), shifts, strict=True) if shift is not None}
    new = {rng.randint(1, units - 1) for _ in range(rng.randint(0, 1 + shifts.count(None)))}
    return {gap for gap in moved | new if 0 < gap < units}


def lengths(boundaries: set[int], units: int) -> list[int]:
    edges = [0, *sorted(boundaries), units]
    return [end - start for start, end in pairwise(edges)]


def measured(reference: list[int], hypothesis: list[int]) -> Case:
    """The pair with its figures."""
    window = max(2, round(Fraction(sum(reference), 2 * len(reference))))
    if segeval.compute_window_size(reference) != window:
        raise ValueError(f"segeval's window for {reference} is not {window}")
    pair = {"reference": reference, "hypothesis": hypothesis}
    if len(reference) == len(hypothesis) == 1:
        return pair | {"pk": 0.0, "window_diff": 0.0, "boundary_similarity": 1.0, "f1": 1.0, "defined": True}
    sides = {"reference": tuple(reference), "hypothesis": tuple(hypothesis)}
    exact = segeval.boundary_confusion_matrix(**sides, n_t=1)
    has_windows = sum(reference) > window
    figures = {
        "pk": float(segeval.pk(**sides)),
        "window_diff": float(segeval.window_diff(**sides)) if has_windows else 0.0,
        "boundary_similarity": float(segeval.boundary_similarity(**sides, n_t=2)),
        "f1": float(segeval.fmeasure(exact, classification=1)),
    }
    return pair | figures | ({} if has_windows else {"defined": True})


if __name__ == "__main__":
    main()
