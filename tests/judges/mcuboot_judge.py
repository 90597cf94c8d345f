#!/usr/bin/env python3
"""Judges how we read MCUboot images: `mcuboot_judge.py INSPECT`, INSPECT the built `inspect_container`.

imgtool makes images of many kinds; our program must say of each what imgtool's own `dumpinfo` and
`verify` say, and refuse the ones that imgtool refuses once they are altered.

Needs: imgtool 2.5 beside this interpreter.
"""

import json
import shutil
import struct
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

passed, failed = 0, []


def check(name, holds, detail=""):
    global passed
    if holds:
        passed += 1
    else:
        failed.append(name)
        print(f"FAILED {name}\n{detail}")


def imgtool(*arguments):
    beside = Path(sys.executable).with_name("imgtool")
    program = str(beside) if beside.exists() else shutil.which("imgtool")
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def public_bytes(pem):
    key = load_pem_private_key(pem.read_bytes(), None)
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


class Judge:
    def __init__(self, inspect, folder):
        self.inspect, self.folder = inspect, folder
        self.payload = folder / "payload.bin"
        self.payload.write_bytes(bytes(range(256)) * 77 + b"end")
        self.keys = {}
        for name, kind in [
            ("ed25519", "ed25519"), ("other", "ed25519"), ("p256", "ecdsa-p256"), ("p384", "ecdsa-p384"),
            ("rsa", "rsa-2048"), ("x25519", "x25519"),
        ]:
            self.keys[name] = folder / f"{name}.pem"
            code, output = imgtool("keygen", "-t", kind, "-k", self.keys[name])
            assert code == 0, output
        self.public = public_bytes(self.keys["ed25519"])

    def ours(self, image, key=None):
        command = [self.inspect, str(image)] + ([key] if key else [])
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def make(self, name, *options, key="ed25519", payload=None):
        image = self.folder / f"{name}.img"
        signing = ["-k", self.keys[key]] if key else []
        code, output = imgtool(
            "sign", "-H", 512, "--pad-header", "-S", 0x20000, "--align", 8,
            *signing, *options, payload or self.payload, image,
        )
        check(f"{name}: imgtool makes it", code == 0, output)
        return image

    def compare(self, name, image, counter=None, padded=False):
        """What both say of an image, field by field."""
        report = self.folder / f"{name}.json"
        code, output = imgtool("dumpinfo", "-f", "json", "-o", report, image)
        check(f"{name}: imgtool reads it", code == 0, output)
        theirs, ours = json.loads(report.read_text()), self.ours(image, self.public)
        header = theirs["header"]
        version = header["version"].removesuffix("+0")
        check(
            f"{name}: the header",
            (ours["kind"], ours["version"], ours["load_addr"], ours["header_bytes"], ours["image_bytes"], ours["flags"])
            == ("mcuboot", version, header["load_addr"], header["hdr_size"], header["img_size"], header["flags"]),
            json.dumps([ours, header]),
        )
        area = theirs["tlv_area"]
        records = [
            {"type": tlv["type"], "protected": protected, "data": tlv["data"]}
            for protected, tlvs in [(True, area["tlvs_prot"]), (False, area["tlvs"])]
            for tlv in tlvs
        ]
        check(f"{name}: every record", ours["tlvs"] == records, json.dumps([ours["tlvs"], records]))
        check(f"{name}: the security counter", ours["security_counter"] == counter, str(ours))
        check(f"{name}: what follows", (ours["trailing_bytes"] > 0) == padded, str(ours["trailing_bytes"]))
        return ours

    def verified(self, name, image, ours, key="ed25519"):
        code, output = imgtool("verify", "-k", self.keys[key], image)
        check(f"{name}: imgtool verifies it", code == 0, output)
        check(f"{name}: so do we", ours["signed_by_key"] is True, json.dumps(ours))
        check(f"{name}: another key does not", not self.ours(image, public_bytes(self.keys["other"]))["signed_by_key"])
        code, _ = imgtool("verify", "-k", self.keys["other"], image)
        check(f"{name}: nor does imgtool with it", code != 0)

    def altered(self, name, image):
        """At places all over the image: imgtool refuses what we do not show as signed."""
        honest = image.read_bytes()
        _, header_bytes, protected, size = struct.unpack("<IxxxxHHI", honest[:16])
        covered = header_bytes + size + protected
        places = [21, 30, 40, header_bytes, header_bytes + size // 2, covered - 1]
        places += [covered + 4 + 4, len(honest) - 1, len(honest) - 40]
        changed = self.folder / f"{name}-altered.img"
        for place in places:
            data = bytearray(honest)
            data[place] ^= 0x01
            changed.write_bytes(data)
            code, _ = imgtool("verify", "-k", self.keys["ed25519"], changed)
            ours = self.ours(changed, self.public)
            refused = ours["kind"] == "refused" or not ours["signed_by_key"]
            check(f"{name}: a changed bit at {place} is refused by both", code != 0 and refused, json.dumps(ours))
        for length in [31, header_bytes, covered, covered + 3, len(honest) - 1]:
            changed.write_bytes(honest[:length])
            check(f"{name}: cut at {length} it is refused", self.ours(changed)["kind"] == "refused")

    def run(self):
        sha = ["--sha", "256"]
        image = self.make("ed25519", "-v", "1.2.3+4", "-s", 7, *sha)
        ours = self.compare("ed25519", image, counter=7)
        self.verified("ed25519", image, ours)
        self.altered("ed25519", image)

        image = self.make("plain-version", "-v", "2.0.0", *sha)
        self.verified("plain-version", image, self.compare("plain-version", image))
        image = self.make("counter-from-version", "-v", "1.2.3", "-s", "auto", *sha)
        report = self.ours(image)
        expected = (1 << 24) + (2 << 16) + 3
        check("counter-from-version: the counter", report["security_counter"] == expected, str(report))

        vendor, kind = uuid.uuid4(), uuid.uuid4()
        image = self.make("uuids", "-v", "1.0.0", "--vid", vendor, "--cid", kind, "-s", 1, *sha)
        ours = self.compare("uuids", image, counter=1)
        self.verified("uuids", image, ours)
        check("uuids: vendor and class", (ours["vendor_id"], ours["class_id"]) == (vendor.hex, kind.hex), str(ours))

        image = self.make("all", "-v", "255.255.65535+4294967295", "-s", 4294967295, "-d", "(1, 1.2.3+0)",
                          "--custom-tlv", "0xa0", "0x1234", "--custom-tlv", "0xa1", "text", "--boot-record", "app",
                          "-L", "0x20000000", *sha)
        self.verified("all", image, self.compare("all", image, counter=4294967295))
        image = self.make("padded", "-v", "1.0.0", "--pad", "--confirm", *sha)
        self.verified("padded", image, self.compare("padded", image, padded=True))
        image = self.make("pure", "-v", "1.0.0", "--pure")
        self.verified("pure", image, self.compare("pure", image))
        image = self.make("sha512", "-v", "1.0.0", "-s", 3, "--sha", "512")
        self.verified("sha512", image, self.compare("sha512", image, counter=3))

        # Signed with something else: read, digest checked, but not signed by an Ed25519 key.
        for key in ["p256", "p384", "rsa"]:
            image = self.make(f"by-{key}", "-v", "1.0.0", key=key)
            ours = self.compare(f"by-{key}", image)
            check(f"by-{key}: not signed by our key", ours["signed_by_key"] is False, str(ours))
            code, output = imgtool("verify", "-k", self.keys[key], image)
            check(f"by-{key}: imgtool verifies it", code == 0, output)
        image = self.make("unsigned", "-v", "1.0.0", *sha, key=None)
        ours = self.compare("unsigned", image)
        check("unsigned: not signed", ours["signed_by_key"] is False, str(ours))

        # MCUboot decrypts these itself: read, passed through, never shown as verified.
        image = self.make("encrypted", "-v", "1.0.0", "-E", self.keys["x25519"], *sha)
        ours = self.compare("encrypted", image)
        check("encrypted: said to be", ours["encrypted"] and not ours["signed_by_key"], str(ours))

        # What is no image at all.
        raw = self.folder / "raw.bin"
        raw.write_bytes(b"\x7fELF" + bytes(100))
        check("raw: said to be", self.ours(raw)["kind"] == "raw")


def main():
    with tempfile.TemporaryDirectory() as folder:
        Judge(sys.argv[1], Path(folder)).run()
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
