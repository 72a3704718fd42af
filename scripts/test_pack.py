"""Tests of pack: the archives are what Istio and Envoy Gateway look for, and the same bytes whatever the machine."""

import gzip
import hashlib
import importlib.machinery
import importlib.util
import io
import json
import os
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).with_name("pack")


def load():
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader("pack", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("pack", loader))
    loader.exec_module(module)
    return module


pack = load()
MODULE = b"\0asm\1\0\0\0"


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {one.name: archive.extractfile(one).read() for one in archive.getmembers()}


class Layout(unittest.TestCase):
    def setUp(self):
        self.files = members(pack.tar(pack.layout(MODULE, "1.2.3")))

    def blob(self, descriptor):
        name = descriptor["digest"].replace(":", "/")
        data = self.files[f"blobs/{name}"]
        self.assertEqual(hashlib.sha256(data).hexdigest(), name.partition("/")[2])
        self.assertEqual(len(data), descriptor["size"])
        return data

    def test_one_layer_holds_the_module_under_the_name_that_hosts_look_for(self):
        [found] = json.loads(self.files["index.json"])["manifests"]
        self.assertEqual(found["annotations"]["org.opencontainers.image.ref.name"], "1.2.3")
        manifest = json.loads(self.blob(found))
        [layer] = manifest["layers"]
        self.assertEqual(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip")
        unpacked = gzip.decompress(self.blob(layer))
        self.assertEqual(members(unpacked), {"plugin.wasm": MODULE})
        config = json.loads(self.blob(manifest["config"]))
        self.assertEqual(config["rootfs"]["diff_ids"], [f"sha256:{hashlib.sha256(unpacked).hexdigest()}"])

    def test_nothing_lies_there_that_no_descriptor_names(self):
        self.assertEqual(json.loads(self.files["oci-layout"]), {"imageLayoutVersion": "1.0.0"})
        self.assertEqual(len(self.files), 5)


class Folder(unittest.TestCase):
    def test_bytes_depend_on_names_contents_and_whether_a_file_runs_only(self):
        packed = []
        for time, order in ((1, ("a", "b")), (1_700_000_000, ("b", "a"))):
            with tempfile.TemporaryDirectory() as work:
                folder = Path(work, "release")
                folder.mkdir()
                for name in order:
                    path = folder / name
                    path.write_text(name)
                    path.chmod(0o700 if name == "a" else 0o600 if time == 1 else 0o664)
                    os.utime(path, (time, time))
                packed.append(pack.compressed(pack.tar(pack.entries_of(folder))))
        self.assertEqual(*packed)
        with tarfile.open(fileobj=io.BytesIO(packed[0])) as archive:
            found = [(one.name, one.mode, one.mtime, one.uid, one.uname) for one in archive.getmembers()]
        self.assertEqual(found, [("release/a", 0o755, 0, 0, ""), ("release/b", 0o644, 0, 0, "")])


if __name__ == "__main__":
    unittest.main()
