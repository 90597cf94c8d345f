"""Judges our TUF repositories and our client's verdicts with python-tuf 7, which nobody here wrote.

    cargo run -p fleetseal-envelope --example emit_tuf -- DIR
    python tuf_judge.py DIR

For each case in DIR/cases.json python-tuf refreshes over the same repositories, one after the other, and
fetches the artifact. It must come to the same outcome as our client, for the same reason, and trust the
same versions.
"""

import json
import pathlib
import sys
import tempfile
from urllib.parse import urlparse

from tuf.api import exceptions
from tuf.api.metadata import Metadata
from tuf.api.serialization import DeserializationError
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface

# The first that fits; the order matters, for some are kinds of others.
WORDS = [
    (exceptions.ExpiredMetadataError, "expired"),
    (exceptions.UnsignedMetadataError, "threshold"),
    (exceptions.BadVersionNumberError, "version"),
    (exceptions.LengthOrHashMismatchError, "mismatch"),
    (exceptions.DownloadLengthMismatchError, "too_large"),
    (exceptions.DownloadHTTPError, "missing"),
    (DeserializationError, "malformed"),
    (exceptions.RepositoryError, "malformed"),
]


class Files(FetcherInterface):
    """Serves a folder as if it were a server."""

    def __init__(self, folder):
        self.folder = folder

    def _fetch(self, url):
        path = self.folder / urlparse(url).path.lstrip("/")
        if not path.is_file():
            raise exceptions.DownloadHTTPError(f"no {path}", 404)
        return iter([path.read_bytes()])


def refresh(folder, metadata, artifact):
    with tempfile.TemporaryDirectory() as downloads:
        try:
            updater = Updater(
                metadata_dir=str(metadata),
                metadata_base_url="file:///metadata/",
                target_dir=downloads,
                target_base_url="file:///targets/",
                fetcher=Files(folder),
                bootstrap=None,
            )
            updater.refresh()
            target = updater.get_targetinfo(artifact)
            updater.download_target(target)
            keys = updater.get_targetinfo("trust/keys.cbor")
            updater.download_target(keys)
            if keys.custom is not None or target.custom["model"] != "GW-200":
                return "another custom"
            return "accepted"
        except (exceptions.RepositoryError, exceptions.DownloadError, DeserializationError) as error:
            return next(word for kind, word in WORDS if isinstance(error, kind))


def versions(metadata):
    found = {}
    for role in ("root", "timestamp", "snapshot", "targets"):
        file = metadata / f"{role}.json"
        found[role] = Metadata.from_file(str(file)).signed.version if file.exists() else None
    return found


def main(folder):
    folder = pathlib.Path(folder)
    passed = failed = 0
    for case in json.loads((folder / "cases.json").read_text()):
        with tempfile.TemporaryDirectory() as metadata:
            metadata = pathlib.Path(metadata)
            (metadata / "root.json").write_bytes((folder / case["name"] / "root.json").read_bytes())
            for number, ours in enumerate(case["refreshes"], 1):
                outcome = refresh(folder / case["name"] / str(number), metadata, case["artifact"])
                theirs = {"outcome": outcome, "versions": versions(metadata)}
                if theirs == ours:
                    passed += 1
                else:
                    failed += 1
                    print(f"{case['name']}, refresh {number}: ours {ours}, python-tuf's {theirs}")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
