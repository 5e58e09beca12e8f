"""Derive the seed of everything random from what it belongs to, never from its process."""

import hashlib


def derive_seed(seed: int, *place: int | str) -> int:
    """Give a 63-bit seed for one place, such as (epoch, step, lane); the same on every machine."""
    text = "/".join(map(str, (seed, *place)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
