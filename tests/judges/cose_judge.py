"""Judges our COSE objects with `cwt` 3.3 and `pyhpke`, which nobody here wrote.

    cargo run -p fleetseal-envelope --example emit_cose -- DIR
    python cose_judge.py DIR

DIR holds keys.json (public keys, throwaway KEM secrets, and what each file is), *.sign1, *.encrypt0 and
trust.keyset. Each file is verified or opened, its algorithm, header, type and encoding compared with
formats.md, and then refused once altered. Ends with status 1 at the first disagreement.

Needs: cwt==3.3.*, pyhpke (cbor2 and cryptography come with them).
"""

import hashlib
import json
import pathlib
import sys

import cbor2
from cwt import COSE, COSEKey
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey

ED25519, ESP256, HPKE_4, EK = -19, -9, 42, -4


def disagree(name, why):
    sys.exit(f"{name}: {why}")


def main(folder):
    folder = pathlib.Path(folder)
    index = json.loads((folder / "keys.json").read_text())
    signers = {entry["kid"]: signer(entry) for entry in index["signers"]}
    recipients = {entry["kid"]: recipient(entry) for entry in index["recipients"]}
    passed = 0
    for entry in index["objects"]:
        data = (folder / entry["file"]).read_bytes()
        if entry["file"].endswith(".sign1"):
            judge_sign1(entry, data, signers[entry["key"]])
        else:
            inside = entry["inside"] and (folder / entry["inside"]).read_bytes()
            judge_encrypt0(entry, data, recipients[entry["key"]], inside, signers)
        passed += 1
    judge_keyset((folder / "trust.keyset").read_bytes(), signers, recipients)
    print(f"{passed + 1} passed, 0 failed")


def signer(entry):
    public = bytes.fromhex(entry["public"])
    kid = named(entry, public)
    if len(public) == 32:
        return COSEKey.new({1: 1, 2: kid, 3: ED25519, -1: 6, -2: public}), ED25519
    return COSEKey.new({1: 2, 2: kid, 3: ESP256, -1: 1, -2: public[1:33], -3: public[33:]}), ESP256


def recipient(entry):
    public, secret = bytes.fromhex(entry["public"]), bytes.fromhex(entry["secret"])
    kid = named(entry, public)
    key = COSEKey.new({1: 1, 2: kid, 3: HPKE_4, -1: 4, -2: public, -4: secret})
    bare = KEMKey.from_pyca_cryptography_key(key.key)
    return key, bare, kid


def named(entry, public):
    kid = hashlib.sha256(public).digest()[:8]
    if kid.hex() != entry["kid"]:
        disagree(entry["kid"], "is not the head of the key's SHA-256")
    return kid


def deterministic(name, data):
    # cbor2 orders keys by length first (RFC 7049). For integers that is RFC 8949's order too, unless a map
    # has keys above 23 beside negative ones; none of ours has.
    value = cbor2.loads(data)
    if cbor2.dumps(value, canonical=True) != data:
        disagree(name, "not deterministically encoded")
    return value


def judge_sign1(entry, data, key):
    name, (key, algorithm) = entry["file"], key
    protected, _, payload, signature = deterministic(name, data).value
    if cbor2.loads(protected) != {1: algorithm, 4: bytes.fromhex(entry["key"])}:
        disagree(name, "another protected header")
    try:
        header, unprotected, verified = COSE.new().decode_with_headers(data, key)
    except Exception as error:
        disagree(name, f"cwt does not verify it: {error!r}")
    if header[1] != algorithm or unprotected != {} or verified != payload:
        disagree(name, "cwt read something else")
    if deterministic(name, payload)[1] != entry["typ"]:
        disagree(name, "another type")
    for place in (len(data) - 1, data.index(payload) + len(payload) // 2):
        altered = bytearray(data)
        altered[place] ^= 1
        refused(name, lambda: COSE.new().decode(bytes(altered), key))


def judge_encrypt0(entry, data, key, inside, signers):
    name, (key, bare, kid) = entry["file"], key
    protected, unprotected, ciphertext = deterministic(name, data).value
    if cbor2.loads(protected) != {1: HPKE_4, 4: kid}:
        disagree(name, "another protected header")
    if list(unprotected) != [EK] or len(unprotected[EK]) != 32:
        disagree(name, "another unprotected header")
    external = cbor2.dumps([entry["typ"], bytes.fromhex(entry["recipient"])])
    try:
        opened = COSE.new().decode(data, key, external_aad=external)
    except Exception as error:
        disagree(name, f"cwt does not open it: {error!r}")
    suite = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.CHACHA20_POLY1305)
    context = suite.create_recipient_context(unprotected[EK], bare, info=b"")
    if context.open(ciphertext, aad=cbor2.dumps(["Encrypt0", protected, external])) != opened:
        disagree(name, "pyhpke opens something else")
    if inside is not None and cbor2.loads(opened).value[2] != cbor2.loads(inside).value[2]:
        disagree(name, "another object inside")
    if inside is not None:
        COSE.new().decode(opened, signers[cbor2.loads(cbor2.loads(opened).value[0])[4].hex()][0])
    other = cbor2.dumps([entry["typ"], b"\0" * len(bytes.fromhex(entry["recipient"]))])
    refused(name, lambda: COSE.new().decode(data, key, external_aad=other))
    other = cbor2.dumps(["fleetseal-other/1", bytes.fromhex(entry["recipient"])])
    refused(name, lambda: COSE.new().decode(data, key, external_aad=other))
    altered = bytearray(data)
    altered[-1] ^= 1
    refused(name, lambda: COSE.new().decode(bytes(altered), key, external_aad=external))


def refused(name, act):
    try:
        act()
    except Exception:
        return
    disagree(name, "an altered object is taken")


def judge_keyset(data, signers, recipients):
    name = "trust.keyset"
    for entry in deterministic(name, data):
        entry = dict(entry)
        extra = {label: entry.pop(label) for label in list(entry) if label < -65536}
        if -65537 not in extra or -65539 not in extra or -65540 not in extra:
            disagree(name, "a key without role, not_after or holder")
        key = COSEKey.new(entry)
        kid = key.kid.hex()
        if extra[-65537] in ("member", "bench"):
            expected = recipients[kid][0].to_dict()[-2]
        else:
            expected = signers[kid][0].to_dict()[-2]
        if key.to_dict()[-2] != expected:
            disagree(name, f"key {kid} is another")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
