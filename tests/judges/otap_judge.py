#!/usr/bin/env python3
"""Judges sealed payloads: `otap_judge.py DIR`, DIR as `emit_otap DIR` writes it.

Written from the specification alone, with Python's cryptography: the header, the keys that HKDF gives,
every chunk on its own in any order, the segment list, and that nothing altered or moved opens.

Needs: cryptography.
"""

import hashlib
import hmac
import json
import random
import struct
import sys
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HEADER, CHUNK, TAG, SEGMENT_CHUNKS = 32, 1 << 16, 16, 16

passed, failed = 0, []


def check(name, holds):
    global passed
    if holds:
        passed += 1
    else:
        failed.append(name)
        print(f"FAILED {name}")


class Payload:
    """A sealed payload as the specification describes it."""

    def __init__(self, content_key, sealed):
        self.sealed = sealed
        self.header = sealed[:HEADER]
        magic, version, algorithm, chunk_log2, segment_log2, salt, self.length = struct.unpack(
            ">4sBBBB16sQ", self.header
        )
        assert (magic, version, algorithm, chunk_log2, segment_log2) == (b"OTAP", 1, 1, 16, 4)

        def derive(length, info):
            return HKDF(hashes.SHA256(), length, salt, info).derive(content_key)

        self.aead = AESGCM(derive(32, b"fleetseal-otap/1 key"))
        self.prefix = derive(7, b"fleetseal-otap/1 nonce")
        self.chunks = max(1, -(-self.length // CHUNK))

    def chunk(self, index):
        start = HEADER + index * (CHUNK + TAG)
        return self.sealed[start : start + CHUNK + TAG]

    def open(self, index, chunk=None, header=None, last=None):
        last = index == self.chunks - 1 if last is None else last
        nonce = self.prefix + struct.pack(">IB", index, last)
        return self.aead.decrypt(nonce, self.chunk(index) if chunk is None else chunk, header or self.header)

    def opens(self, *arguments, **named):
        try:
            self.open(*arguments, **named)
        except InvalidTag:
            return False
        return True

    def segments(self):
        size = SEGMENT_CHUNKS * (CHUNK + TAG)
        edges = [0, *range(HEADER + size, len(self.sealed), size), len(self.sealed)]
        return [self.sealed[start:end] for start, end in zip(edges, edges[1:])]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def judge(folder, entry):
    length = entry["length"]
    plain = (folder / f"{length}.plain").read_bytes()
    sealed = (folder / f"{length}.otap").read_bytes()
    listed = (folder / f"{length}.segments").read_bytes()
    key = bytes.fromhex(entry["content_key"])
    payload = Payload(key, sealed)
    name = f"{length} bytes"

    check(f"{name}: the header says the length", payload.length == length == len(plain))
    check(f"{name}: the file has its length", len(sealed) == HEADER + length + payload.chunks * TAG)
    check(f"{name}: the plaintext's digest", sha256(plain) == entry["plaintext_sha256"])
    commitment = hmac.new(key, b"fleetseal-content-key/1", hashlib.sha256).hexdigest()
    check(f"{name}: the content key's commitment", commitment == entry["commitment"])

    order = list(range(payload.chunks))
    random.Random(length).shuffle(order)
    opened = {index: payload.open(index) for index in order}
    check(f"{name}: every chunk opens, in any order", b"".join(opened[i] for i in range(payload.chunks)) == plain)

    digests = b"".join(hashlib.sha256(segment).digest() for segment in payload.segments())
    check(f"{name}: the segment list", digests == listed)
    check(f"{name}: the segment list's digest", sha256(listed) == entry["segment_list_sha256"])

    end = payload.chunks - 1
    check(f"{name}: the last chunk is marked as such", not payload.opens(end, last=False))
    check(f"{name}: the first chunk stays in its place", not payload.opens(1, chunk=payload.chunk(0)))
    flipped = bytearray(payload.chunk(end))
    flipped[-1] ^= 1
    check(f"{name}: an altered chunk does not open", not payload.opens(end, chunk=bytes(flipped)))
    longer = payload.header[:24] + struct.pack(">Q", length + 1)
    check(f"{name}: the header is bound", not payload.opens(0, header=longer))
    if payload.chunks > 1:
        check(f"{name}: no other chunk is the last", not payload.opens(0, last=True))


def main():
    folder = Path(sys.argv[1])
    entries = json.loads((folder / "index.json").read_text())
    for entry in entries:
        judge(folder, entry)
    keys = {entry["content_key"] for entry in entries}
    check("each payload has a content key of its own", len(keys) == len(entries))
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
