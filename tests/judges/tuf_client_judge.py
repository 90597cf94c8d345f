"""Judges our TUF client over repositories that python-tuf 7 makes, which nobody here wrote.

    python tuf_client_judge.py PATH/TO/tuf_client

PATH is the example `tuf_client`: our client behind the command line of TUF's public conformance suite. The
cases are the suite's, without delegations, for Ed25519: what the client answers, which metadata it trusts
afterwards, and which files it asked for.
"""

import copy
import datetime
import http.server
import json
import pathlib
import subprocess
import sys
import tempfile
import threading

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
LATER = NOW + datetime.timedelta(days=30)
PAST = NOW - datetime.timedelta(days=5)
ROLES = ("root", "timestamp", "snapshot", "targets")
CASES = []


def case(function):
    CASES.append(function)
    return function


class Repository:
    def __init__(self):
        self.root = Root(expires=LATER, consistent_snapshot=True)
        self.targets = Targets(expires=LATER)
        self.snapshot = Snapshot(expires=LATER)
        self.timestamp = Timestamp(expires=LATER)
        self.signers = {role: [] for role in ROLES}
        self.files, self.requests, self.hashes = {}, [], True
        for role in ROLES:
            self.add_key(role)
        self.publish("root", "targets", "snapshot", "timestamp")

    def add_key(self, role, signer=None, signs=True):
        signer = signer or CryptoSigner.generate_ed25519()
        self.root.add_key(signer.public_key, role)
        if signs:
            self.signers[role].append(signer)

    def rotate(self, role):
        for keyid in list(self.root.roles[role].keyids):
            self.root.revoke_key(keyid, role)
        self.signers[role] = []
        self.add_key(role)

    def signed(self, role):
        metadata = Metadata(copy.deepcopy(getattr(self, role)))
        for signer in self.signers[role]:
            metadata.sign(signer, append=True)
        return metadata.to_bytes(JSONSerializer())

    def publish(self, *roles):
        for role in roles:
            if role == "snapshot":
                self.snapshot.meta["targets.json"] = self.meta(self.targets.version, self.signed("targets"))
            if role == "timestamp":
                self.timestamp.snapshot_meta = self.meta(self.snapshot.version, self.signed("snapshot"))
            data, version = self.signed(role), getattr(self, role).version
            name = "timestamp.json" if role == "timestamp" else f"{version}.{role}.json"
            self.files[f"/metadata/{name}"] = data

    def meta(self, version, data):
        return MetaFile.from_data(version, data, ["sha256"]) if self.hashes else MetaFile(version)

    def bump(self, role):
        """The next version of `role`, and of all that names it."""
        for role in {"root": ["root"], "timestamp": ["timestamp"], "snapshot": ["snapshot", "timestamp"],
                     "targets": ["targets", "snapshot", "timestamp"]}[role]:
            getattr(self, role).version += 1
            self.publish(role)

    def add_target(self, path, data):
        target = TargetFile.from_data(path, data, ["sha256"])
        self.targets.targets[path] = target
        folder, _, name = path.rpartition("/")
        served = f"{folder}/{target.hashes['sha256']}.{name}".lstrip("/")
        self.files[f"/targets/{served}"] = data
        return f"/targets/{served}"


class Device:
    def __init__(self, program, url, folder):
        self.program, self.url, self.folder = program, url, pathlib.Path(folder)
        self.metadata, self.targets = self.folder / "metadata", self.folder / "targets"

    def run(self, *arguments):
        command = [self.program, "--metadata-dir", str(self.metadata), *arguments]
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0

    def init(self, root):
        (self.folder / "first.json").write_bytes(root)
        return self.run("init", str(self.folder / "first.json"))

    def refresh(self):
        return self.run("--metadata-url", f"{self.url}/metadata", "refresh")

    def download(self, name):
        return self.run(
            "--metadata-url", f"{self.url}/metadata", "--target-name", name, "--target-base-url",
            f"{self.url}/targets", "--target-dir", str(self.targets), "download")

    def versions(self):
        found = []
        for role in ROLES:
            file = self.metadata / f"{role}.json"
            found.append(Metadata.from_file(str(file)).signed.version if file.exists() else None)
        return found

    def downloaded(self):
        return [file.read_bytes() for file in sorted(self.targets.glob("*"))]


def started(repository, device):
    assert device.init(repository.files["/metadata/1.root.json"])
    assert device.refresh()


@case
def first_refresh(r, d):
    started(r, d)
    assert r.requests == [f"/metadata/{name}" for name in
                          ("2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json")]
    assert d.versions() == [1, 1, 1, 1]


@case
def download_refreshes_by_itself(r, d):
    assert d.init(r.files["/metadata/1.root.json"])
    assert not d.download("nonexistent artifact")
    assert d.versions() == [1, 1, 1, 1]


@case
def invalid_first_root(r, d):
    root = json.loads(r.files["/metadata/1.root.json"])
    del root["signed"]["version"]
    d.init(json.dumps(root).encode())
    assert not d.refresh() and r.requests == []


@case
def unsigned_first_root(r, d):
    root = json.loads(r.files["/metadata/1.root.json"])
    root["signatures"][0]["sig"] = "3045022100ee448afe2d25dd1f05af"
    d.init(json.dumps(root).encode())
    assert not d.refresh() and r.requests == []


@case
def same_timestamp_version_with_other_content(r, d):
    started(r, d)
    r.timestamp.snapshot_meta = MetaFile(100)
    r.files["/metadata/timestamp.json"] = r.signed("timestamp")
    d.refresh()
    kept = Metadata.from_file(str(d.metadata / "timestamp.json")).signed
    assert kept.snapshot_meta.version == 1


@case
def targets_differ_from_their_digest(r, d):
    started(r, d)
    r.bump("targets")
    r.targets.unrecognized_fields["x"] = 1
    r.publish("targets")
    assert not d.refresh() and d.versions() == [1, 2, 2, 1]


@case
def unknown_fields(r, d):
    started(r, d)
    keyid = r.root.roles["root"].keyids[0]
    r.root.unrecognized_fields["custom-field"] = "v\u00e4l\"u\\e\n\u2028"
    r.root.keys[keyid].unrecognized_fields["extra-field"] = {"a": 1, "b": [True, None, -2]}
    r.root.roles["root"].unrecognized_fields["another-field"] = "value"
    r.bump("root")
    assert d.refresh() and d.versions()[0] == 2


@case
def expired_root(r, d):
    started(r, d)
    r.bump("root")
    r.root.expires = PAST
    r.bump("root")
    r.bump("targets")
    assert not d.refresh() and d.versions() == [3, 1, 1, 1]


def expired(role, versions):
    def expired_metadata(r, d):
        started(r, d)
        getattr(r, role).expires = PAST
        r.bump(role)
        assert not d.refresh() and d.versions() == versions
    expired_metadata.__name__ = f"expired_{role}"
    return case(expired_metadata)


expired("timestamp", [1, 1, 1, 1])
expired("snapshot", [1, 2, 1, 1])
expired("targets", [1, 2, 2, 1])


@case
def rolled_back_timestamp(r, d):
    r.bump("timestamp")
    started(r, d)
    r.timestamp.version = 1
    r.publish("timestamp")
    assert not d.refresh() and d.versions()[1] == 2


@case
def snapshot_rolled_back_unseen(r, d):
    r.bump("snapshot")
    started(r, d)
    r.snapshot.version = 1
    r.publish("snapshot")
    assert d.refresh() and d.versions()[2] == 2 and r.requests[-1] == "/metadata/timestamp.json"


def rollback(role, hashes):
    def rolled_back(r, d):
        r.hashes = hashes
        r.bump(role)
        r.bump(role)
        started(r, d)
        getattr(r, role).version = 1
        if role == "targets":
            r.publish("targets")
            r.bump("snapshot")
        else:
            r.publish("snapshot")
            r.bump("timestamp")
        assert not d.refresh() and d.versions()[2:] == [3, 3 if role == "targets" else 1]
    rolled_back.__name__ = f"rolled_back_{role}_{'with' if hashes else 'without'}_digests"
    return case(rolled_back)


for role in ("snapshot", "targets"):
    rollback(role, True)
    rollback(role, False)


@case
def snapshot_of_another_version(r, d):
    r.hashes = False
    r.publish("snapshot", "timestamp")
    r.snapshot.version = 2
    r.files["/metadata/1.snapshot.json"] = r.signed("snapshot")
    assert d.init(r.files["/metadata/1.root.json"]) and not d.refresh()
    assert d.versions() == [1, 1, None, None] and r.requests[-1] == "/metadata/1.snapshot.json"


@case
def fast_forwarded_targets(r, d):
    r.targets.version = 99
    r.bump("targets")
    started(r, d)
    r.rotate("snapshot")
    r.bump("root")
    r.targets.version = 1
    r.bump("targets")
    assert d.refresh() and d.versions()[3] == 2


@case
def fast_forwarded_snapshot(r, d):
    r.snapshot.version = 99_998
    r.bump("snapshot")
    started(r, d)
    r.rotate("snapshot")
    r.rotate("timestamp")
    r.bump("root")
    r.snapshot.version = 1
    r.publish("snapshot")
    r.bump("timestamp")
    assert d.refresh() and d.versions()[2] == 1


@case
def fast_forwarded_timestamp(r, d):
    r.timestamp.version = 99
    r.bump("timestamp")
    started(r, d)
    r.rotate("timestamp")
    r.bump("root")
    r.timestamp.version = 1
    r.publish("timestamp")
    assert d.refresh() and d.versions()[1] == 1


@case
def threshold_above_the_signatures(r, d):
    started(r, d)
    for _ in range(4):
        r.add_key("snapshot")
    r.root.roles["snapshot"].threshold = 6
    r.bump("root")
    r.bump("snapshot")
    assert not d.refresh() and d.versions() == [2, 2, 1, 1]
    r.add_key("snapshot")
    r.bump("root")
    r.bump("snapshot")
    assert d.refresh() and d.versions() == [3, 3, 3, 1]


@case
def one_key_under_many_ids(r, d):
    started(r, d)
    signer = r.signers["snapshot"][0]
    for number in range(5):
        alias = copy.deepcopy(signer.public_key)
        alias.keyid = f"alias-{number}"
        r.add_key("snapshot", CryptoSigner(signer._private_key, alias))
    r.root.roles["snapshot"].threshold = 2
    r.bump("root")
    r.bump("snapshot")
    assert not d.refresh() and d.versions()[2] == 1


def rotation(name, accepted, *versions):
    def root_rotation(r, d):
        keys = [CryptoSigner.generate_ed25519() for _ in range(10)]
        for number, (listed, threshold, signs) in enumerate(versions, 1):
            for keyid in list(r.root.roles["root"].keyids):
                r.root.revoke_key(keyid, "root")
            for key in listed:
                r.root.add_key(keys[key].public_key, "root")
            r.root.roles["root"].threshold, r.root.version = threshold, number
            r.signers["root"] = [keys[key] for key in signs]
            r.publish("root")
        assert d.init(r.files["/metadata/1.root.json"])
        assert d.refresh() == accepted
        kept = len(versions) if accepted else len(versions) - 1
        assert (d.metadata / "root.json").read_bytes() == r.files[f"/metadata/{kept}.root.json"]
    root_rotation.__name__ = f"root_rotation_{name}"
    return case(root_rotation)


FIVE, ONE_NEW, ALL_NEW = [0, 1, 2, 3, 4], [0, 1, 3, 4, 5], [5, 6, 7, 8, 9]
rotation("one_key", True, ([1], 1, [1]), ([2], 1, [2, 1]), ([2], 1, [2]))
rotation("among_strangers", True, ([1], 1, [3, 1, 4]), ([2], 1, [3, 2, 1, 4]), ([2], 1, [3, 2, 4]))
rotation("whichever_three", True, (FIVE, 3, [0, 2, 4]), (FIVE, 3, [0, 4, 1]), (FIVE, 3, [0, 1, 3]))
rotation("one_of_five", True, (FIVE, 3, [0, 2, 4]), (ONE_NEW, 3, [0, 4, 1]))
rotation("one_of_five_that_signs", True, (FIVE, 3, [0, 2, 4]), (ONE_NEW, 3, [0, 2, 4, 5]), (ONE_NEW, 3, [0, 4, 5]))
rotation("all_of_five", True, (FIVE, 3, [0, 2, 4]), (ALL_NEW, 3, [0, 2, 4, 5, 6, 7]), (ALL_NEW, 3, [5, 6, 7]))
rotation("raised", True, ([1, 2, 3], 1, [1]), ([1, 2, 3], 2, [1, 2]))
rotation("lowered", True, ([1, 2, 3], 2, [1, 2]), ([1, 2, 3], 1, [1, 2]), ([1, 2, 3], 1, [1]))
rotation("grown", True, ([1], 1, [1]), ([1, 2], 2, [1, 2]))
rotation("not_by_the_old_key", False, ([1], 1, [1]), ([2], 1, [2, 3, 4]))
rotation("not_by_the_new_key", False, ([1], 1, [1]), ([2], 1, [1, 3, 4]))
rotation("two_of_three_new_keys", False, (FIVE, 3, [0, 2, 4]), (ONE_NEW, 3, [0, 2, 4]))
rotation("two_of_three_old_keys", False, (FIVE, 3, [0, 2, 4]), (ONE_NEW, 3, [0, 4, 5]))
rotation("raised_not_met", False, ([1, 2, 3], 1, [1]), ([1, 2, 3], 2, [2]))
rotation("lowered_old_not_met", False, ([1, 2, 3], 2, [1, 2]), ([1, 2, 3], 1, [1]))


@case
def target_in_a_folder(r, d):
    r.add_target("path/to/a/target_file.txt", b"content")
    r.bump("targets")
    started(r, d)
    assert d.downloaded() == []
    assert d.download("path/to/a/target_file.txt") and d.downloaded() == [b"content"]


@case
def target_substituted(r, d):
    one = r.add_target("one.txt", b"content of one")
    two = r.add_target("two.txt", b"content of two")
    r.bump("targets")
    started(r, d)
    assert d.download("one.txt")
    r.files[one] = r.files[two] = b"something else entirely"
    assert d.download("one.txt"), "what was downloaded before is not fetched again"
    assert not d.download("two.txt") and d.downloaded() == [b"content of one"]


@case
def target_changed_time_and_again(r, d):
    started(r, d)
    for number in range(11):
        path = r.add_target("target.txt", b"content %d" % number)
        r.bump("targets")
        if number % 5 == 0:
            assert d.download("target.txt") and d.downloaded() == [b"content %d" % number]
            r.files[path] = b"forged"
            r.bump("targets")
            d.download("target.txt")
            assert d.downloaded() == [b"content %d" % number]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        repository = self.server.repository
        repository.requests.append(self.path)
        data = repository.files.get(self.path)
        self.send_response(200 if data is not None else 404)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write(data or b"")

    def log_message(self, *_):
        pass


def main(program):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    passed = failed = 0
    for run in CASES:
        server.repository = Repository()
        with tempfile.TemporaryDirectory() as folder:
            try:
                run(server.repository, Device(program, f"http://127.0.0.1:{server.server_port}", folder))
                passed += 1
            except Exception as error:  # an assertion, or metadata that was never written
                failed += 1
                line = error.__traceback__
                while line.tb_next:
                    line = line.tb_next
                print(f"{run.__name__}, line {line.tb_lineno}: {error!r}")
    server.shutdown()
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
