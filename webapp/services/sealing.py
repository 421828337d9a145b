"""What must not be read in the database, such as credentials, is encrypted with a key in the data directory."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from engine.errors import StoreError

FILE = "connections.key"


def seal(data_dir: Path, text: str) -> bytes:
    """*text*, encrypted and signed with the key of this data directory, which is made where there is none."""
    return _box(data_dir).encrypt(text.encode())


def unseal(data_dir: Path, sealed: bytes) -> str:
    """
    Raises:
        StoreError: it was sealed with another key.
    """
    try:
        return _box(data_dir).decrypt(sealed).decode()
    except (InvalidToken, ValueError, TypeError):
        raise StoreError(
            f"the address was encrypted with another key than {FILE} in this server's data directory; copy that key "
            "here, or remove the connection and add it again"
        ) from None


def _box(data_dir: Path) -> Fernet:
    path = data_dir / FILE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return Fernet(path.read_bytes())
    with os.fdopen(descriptor, "wb") as file:
        file.write(Fernet.generate_key())
    return Fernet(path.read_bytes())
