"""The commitments of one `cohort_version`, by Python's standard library: `python3 cohort_version.py`.

The nonce of a commitment is HMAC-SHA-256 under the root of a purpose, the field's name and the entry's index; the
commitment is HMAC-SHA-256 under the nonce of the content's SHA-256. The numbers stand in
site-agent/src/data/frozen/version.rs.
"""
import hashlib, hmac

ROOT, ENTRY = bytes([7]) * 32, 1234


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


for field, content in (("cohort", b"c"), ("opt_outs", b"o"), ("source", b"s"), ("queries", b"q")):
    nonce = mac(ROOT, b"consilium/cohort-version/1\n" + field.encode() + b"\n" + ENTRY.to_bytes(8, "little"))
    print(mac(nonce, hashlib.sha256(content).digest()).hex())
