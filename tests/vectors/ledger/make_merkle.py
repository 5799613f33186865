"""Makes merkle.csv: tree heads and proofs by the recursive definitions of RFC 6962, section 2.1, and hashlib alone.

    python3 tests/vectors/ledger/make_merkle.py > tests/vectors/ledger/merkle.csv

Entry i of every tree is the text "entry i". kind,from,size,hashes: the head of the first `size` entries; PATH(from,
D[0:size]); PROOF(from, D[0:size]). Hashes in hex, separated by spaces.
"""
import functools, hashlib

DATA = [f"entry {i}".encode() for i in range(70_000)]


@functools.cache
def mth(a, b):
    if a == b:
        return hashlib.sha256(b"").digest()
    if b - a == 1:
        return hashlib.sha256(b"\0" + DATA[a]).digest()
    k = largest(b - a)
    return hashlib.sha256(b"\1" + mth(a, a + k) + mth(a + k, b)).digest()


def largest(n):
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def path(m, a, b):
    if b - a == 1:
        return []
    k = largest(b - a)
    return path(m, a, a + k) + [mth(a + k, b)] if m < k else path(m - k, a + k, b) + [mth(a, a + k)]


def proof(m, a, b, whole=True):
    if m == b - a:
        return [] if whole else [mth(a, b)]
    k = largest(b - a)
    if m <= k:
        return proof(m, a, a + k, whole) + [mth(a + k, b)]
    return proof(m - k, a + k, b, False) + [mth(a, a + k)]


SIZES = [1, 2, 3, 7, 8, 9, 255, 256, 257, 1000, 65_535, 65_536, 65_537, 70_000]
print("kind,from,size,hashes")
for size in [0, *SIZES]:
    print(f"head,0,{size},{mth(0, size).hex()}")
for size in SIZES:
    for at in sorted({0, size // 2, size - 1}):
        print(f"inclusion,{at},{size},{' '.join(h.hex() for h in path(at, 0, size))}")
    for old in [s for s in SIZES if s <= size][-6:]:
        print(f"consistency,{old},{size},{' '.join(h.hex() for h in proof(old, 0, size))}")
