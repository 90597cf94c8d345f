#!/usr/bin/env python3
"""Judges what crates/pki issues: `x509_judge.py DIR`, DIR as `emit_pki DIR` writes it.

OpenSSL verifies each path strictly, GnuTLS verifies it too where certtool is installed, and pkilint reads
every certificate and revocation list. pkilint takes `urn:` for no URI syntax; that alone is let pass.

Needs: openssl; pkilint 0.13 beside this interpreter; gnutls-bin if there.
"""

import csv
import io
import shutil
import subprocess
import sys
from pathlib import Path

PATHS = [  # leaf, issuing CA, purpose for OpenSSL
    ("devices-birth", "ca-devices", "sslclient"),
    ("devices-short", "ca-devices", "sslclient"),
    ("people-person", "ca-people", "sslclient"),
    ("servers-server", "ca-servers", "sslserver"),
]
WRONG_PATHS = [  # leaf, issuing CA, purpose, why it must fail
    ("devices-birth", "ca-people", "sslclient", "another CA"),
    ("devices-birth", "ca-devices", "sslserver", "a device is no server"),
    ("servers-server", "ca-servers", "sslclient", "a server is no client"),
    ("people-person", "ca-people", "sslserver", "a person is no server"),
]
CAS = ["ca-devices", "ca-people", "ca-servers", "ca-gateways"]

passed, failed = 0, []


def check(name, holds, detail=""):
    global passed
    if holds:
        passed += 1
    else:
        failed.append(name)
        print(f"FAILED {name}\n{detail}")


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def tool(name):
    """A program beside this interpreter, or on the path."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)


def findings(output):
    """(severity, code, message) of every line that pkilint wrote as CSV."""
    rows = list(csv.DictReader(io.StringIO(output)))
    return [(row["severity"], row["code"], row["message"] or "") for row in rows if row.get("code")]


def main():
    folder = Path(sys.argv[1])
    certificates = sorted(
        path.stem for path in folder.glob("*.der") if not path.stem.startswith(("csr-", "crl-"))
    )
    pem = {}
    for name in certificates:
        pem[name] = folder / f"{name}.pem"
        code, output = run("openssl", "x509", "-inform", "DER", "-in", folder / f"{name}.der", "-out", pem[name])
        check(f"openssl reads {name}", code == 0, output)

    verify = ["openssl", "verify", "-x509_strict", "-check_ss_sig", "-CAfile", pem["root"]]
    for ca in CAS:
        code, output = run(*verify, pem[ca])
        check(f"openssl verifies {ca}", code == 0, output)
    for leaf, ca, purpose in PATHS:
        code, output = run(*verify, "-purpose", purpose, "-untrusted", pem[ca], pem[leaf])
        check(f"openssl verifies {leaf}", code == 0, output)
    for leaf, ca, purpose, why in WRONG_PATHS:
        code, output = run(*verify, "-purpose", purpose, "-untrusted", pem[ca], pem[leaf])
        check(f"openssl refuses {leaf}: {why}", code != 0, output)
    # A birth certificate has no end: it verifies in the year 9000.
    code, output = run(*verify, "-attime", "221845392000", "-untrusted", pem["ca-devices"], pem["devices-birth"])
    check("openssl verifies devices-birth in the year 9000", code == 0, output)
    for name in ["csr-birth", "csr-short", "csr-identity"]:
        code, output = run("openssl", "req", "-inform", "DER", "-in", folder / f"{name}.der", "-noout", "-verify")
        check(f"openssl verifies {name}", code == 0 and "OK" in output, output)
    for name in ["crl-devices", "crl-devices-empty"]:
        path = folder / f"{name}.der"
        code, output = run("openssl", "crl", "-inform", "DER", "-in", path, "-noout", "-CAfile", pem["ca-devices"])
        check(f"openssl verifies {name}", code == 0 and "verify OK" in output, output)

    if shutil.which("certtool"):
        for leaf, ca, _ in PATHS:
            chain = folder / f"chain-{leaf}.pem"
            chain.write_text(pem[leaf].read_text() + pem[ca].read_text())
            code, output = run(
                "certtool", "--verify", "--verify-profile", "medium", "--load-ca-certificate", pem["root"],
                "--infile", chain,
            )
            check(f"certtool verifies {leaf}", code == 0 and "Not verified" not in output, output)
    else:
        print("certtool is not installed: GnuTLS judged nothing")

    lint, lint_crl = tool("lint_pkix_cert"), tool("lint_crl")
    if lint is None or lint_crl is None:
        check("pkilint is installed", False, "pip install 'pkilint==0.13.*'")
        lint = None
    for name in certificates if lint else []:
        code, output = run(lint, "lint", "-s", "NOTICE", "-f", "CSV", pem[name])
        found = findings(output)
        rest = [one for one in found if not (one[1] == "pkix.invalid_uri_syntax" and "urn:uuid:" in one[2])]
        # Its exit code counts findings; without any it is 0, and a certificate it cannot read gives none.
        read = output.startswith("node_path,")
        check(f"pkilint finds nothing in {name}", read and not rest and code == len(found), output)
    for name in ["crl-devices", "crl-devices-empty"] if lint else []:
        path = folder / f"{name}.der"
        code, output = run(
            lint_crl, "lint", "-t", "CRL", "-p", "PKIX", "-s", "NOTICE", "-f", "CSV", "--document-format", "DER", path
        )
        check(f"pkilint finds nothing in {name}", code == 0 and not findings(output), output)

    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
