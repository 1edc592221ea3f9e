"""Which file is mutated how: a number stands for one mutant, always the same one."""

from __future__ import annotations

import random
from collections.abc import Callable

from fuzz.bombs import bombs
from fuzz.damage import bits, chunks, head_bits, integers, renamed, splice, truncate
from fuzz.dicom_damage import codestream, nested, tag_deletion, transfer_syntax, wrong_vr
from fuzz.headers import absurd_sizes, wrong_values
from fuzz.seeds import Seed
from fuzz.strangers import foreign, places

Mutate = Callable[[random.Random, Seed, list[Seed]], "bytes | Seed | None"]
# Kind -> how it mutates and how often.
MUTATIONS: dict[str, tuple[Mutate, float]] = {
    "bits flipped": (bits, 3),
    "bits of the head flipped": (head_bits, 3),
    "truncated": (truncate, 2),
    "chunks removed, doubled, blanked": (chunks, 2),
    "integers overwritten": (integers, 3),
    "spliced with another file": (splice, 1),
    "renamed": (renamed, 1),
    "tags deleted": (tag_deletion, 2),
    "wrong VR": (wrong_vr, 2),
    "absurd sizes": (absurd_sizes, 3),
    "impossible values": (wrong_values, 3),
    "other transfer syntax": (transfer_syntax, 2),
    "damaged codestream": (codestream, 4),
    "nested sequences": (nested, 0.5),
    "bombs": (bombs, 0.3),
    "not an image": (foreign, 1),
    "odd places and names": (places, 0.4),
}


def case(number: int, seed: int, seeds: list[Seed]) -> tuple[str, Seed, Seed]:
    """Mutation, original and mutant of a number, always the same ones."""
    rng = random.Random(f"{seed}:{number}")
    while True:
        kind = rng.choices(list(MUTATIONS), [weight for _, weight in MUTATIONS.values()])[0]
        original = rng.choices(seeds, [one.weight for one in seeds])[0]
        if not original.content:
            continue
        mutant = MUTATIONS[kind][0](rng, original, seeds)
        if mutant is not None:
            return kind, original, mutant if isinstance(mutant, Seed) else Seed(original.name, mutant, 0)
