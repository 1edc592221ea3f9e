"""Senders to the storage SCP: dcmtk's program and pynetdicom's associations, and what the SCP has stored of theirs."""

import shutil
import subprocess

import pytest
from pacs_studies import DX
from pynetdicom import AE


def send(port, *files, calling="SENDER", called="SKD", more=()):
    if shutil.which("storescu") is None:
        pytest.skip("storescu (Debian: dcmtk) is not installed")
    command = ["storescu", "-v", *more, "-aet", calling, "-aec", called, "127.0.0.1", str(port), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def stored(incoming):
    return sorted(path.name for path in incoming.folder.glob("*/*/*"))


def associated(port, sop_class=DX, syntax=None):
    ae = AE("SENDER")
    ae.add_requested_context(sop_class, syntax)
    association = ae.associate("127.0.0.1", port, ae_title="SKD")
    assert association.is_established
    return association
