"""Makes vectors.json from other people's programs: cryptography (OpenSSL) and shamir-mnemonic (SLIP-39)."""
import hashlib
import json
import random
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from shamir_mnemonic.shamir import RawShare, _interpolate

rng = random.Random(20261122)
DOMAIN = b"consilium/secagg/1/"


def sharing(threshold, points):
    """A polynomial through a secret and threshold - 1 random shares, at all points."""
    secret = rng.randbytes(32)
    fixed = [RawShare(0, secret)] + [RawShare(x, rng.randbytes(32)) for x in points[: threshold - 1]]
    shares = [{"at": x, "value": _interpolate(fixed, x).hex()} for x in points]
    return {"threshold": threshold, "secret": secret.hex(), "shares": shares}


def derive(secret, salt, purpose, *parts):
    info = DOMAIN + purpose + b"\n" + b"".join(parts)
    return HKDF(hashes.SHA256(), 32, salt, info).derive(secret)


def stream(key, length):
    # 16 bytes: the counter, which starts at 0, and the nonce.
    return Cipher(algorithms.ChaCha20(key, bytes(16)), None).encryptor().update(bytes(length))


study, session, roster, model = (rng.randbytes(32) for _ in range(4))
step, attempt = 41, 2
share_binding = study + session + struct.pack("<II", step, attempt)
step_digest = hashlib.sha256(DOMAIN + b"step\n" + share_binding + roster + model).digest()

keys = {site: X25519PrivateKey.from_private_bytes(rng.randbytes(32)) for site in (1, 2, 3)}
seed = rng.randbytes(32)


def agree(a, b):
    return keys[a].exchange(X25519PublicKey.from_public_bytes(keys[b].public_key().public_bytes_raw()))


def masked(width, values):
    """Site 2's vector: its own mask and the one with site 3 added, the one with site 1 subtracted."""
    modulus, code = 1 << (8 * width), {4: "I", 8: "Q"}[width]
    masks = [
        (derive(seed, session, b"own mask", step_digest, bytes([2])), 1),
        (derive(agree(2, 3), session, b"pair mask", step_digest, bytes([2, 3])), 1),
        (derive(agree(2, 1), session, b"pair mask", step_digest, bytes([1, 2])), -1),
    ]
    total = list(values)
    for key, sign in masks:
        words = struct.unpack("<%d%s" % (len(values), code), stream(key, width * len(values)))
        total = [(value + sign * word) % modulus for value, word in zip(total, words)]
    return [str(value) for value in total]


values = [rng.randrange(-(1 << 30), 1 << 30) for _ in range(2100)]
channel = derive(agree(2, 3), session, b"channel", bytes([2, 3]))
pair = rng.randbytes(64)
nonce = struct.pack("<II", step, attempt) + bytes(4)
sealed = ChaCha20Poly1305(channel).encrypt(nonce, pair, share_binding + bytes([2, 3]))

out = {
    "shamir": [sharing(2, [1, 2]), sharing(3, [1, 2, 3, 255]), sharing(9, list(range(1, 11))), sharing(90, list(range(1, 101)))],
    "step": {
        "study": study.hex(), "session": session.hex(), "roster": roster.hex(), "model": model.hex(),
        "step": step, "attempt": attempt, "digest": step_digest.hex(),
        "mask_keys": [keys[site].private_bytes_raw().hex() for site in (1, 2, 3)],
        "mask_publics": [keys[site].public_key().public_bytes_raw().hex() for site in (1, 2, 3)],
        "own_mask_seed": seed.hex(), "values": values,
        "masked_32": masked(4, values), "masked_64": masked(8, values),
        "pair": pair.hex(), "sealed": sealed.hex(),
    },
}
json.dump(out, open("vectors.json", "w"), indent=1)
