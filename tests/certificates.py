"""Certificates for tests of TLS, made with openssl for each test run."""

import shutil
import subprocess
from pathlib import Path

import pytest

from manycast.chaos.redis_node import Certificate

ON_THIS_MACHINE = "IP:127.0.0.1"


def new_certificate(directory: Path, name: str = ON_THIS_MACHINE) -> Certificate:
    """A certificate of its own authority, for a server of that name. Skips the test where there is no openssl."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on this machine")
    directory.mkdir(parents=True, exist_ok=True)
    made = Certificate(directory / "certificate.pem", directory / "key.pem")
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", str(made.key), "-out", str(made.file), "-days", "2"),
            *("-subj", "/CN=a test", "-addext", f"subjectAltName={name}"),
        ],
        check=True,
        capture_output=True,
    )
    return made
