"""A caller's key, sealed for the life of one task: AES-256-GCM under the first key of a ring, opened by any of it."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.errors import CredentialsUnavailable

NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed key and what is needed to open it, but the ring."""

    key_id: str
    nonce: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class Binding:
    """What a sealed key belongs to: moved to another task or tenant, or kept beyond its expiry, it does not open."""

    task: UUID
    tenant: str
    expires_at: datetime

    def under(self, key_id: str) -> bytes:
        """What is authenticated beside the ciphertext."""
        return orjson.dumps([key_id, str(self.task), self.tenant, round(self.expires_at.timestamp() * 1000)])


class Seal:
    """The ring of keys: rotate by putting a new one first, and drop the last when no task from its time is open."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ring = {hashlib.sha256(b"key id of " + key).hexdigest()[:16]: AESGCM(key) for key in keys}
        self._current = next(iter(self._ring))

    def close(self, text: str, binding: Binding) -> Sealed:
        """Seal a text."""
        nonce = os.urandom(NONCE_BYTES)
        key_id = self._current
        return Sealed(key_id, nonce, self._ring[key_id].encrypt(nonce, text.encode(), binding.under(key_id)))

    def open(self, sealed: Sealed, binding: Binding) -> str:
        """The text, if the ring has its key and it belongs to what it is bound to."""
        cipher = self._ring.get(sealed.key_id)
        if cipher is None:
            raise CredentialsUnavailable(
                "The key that came with the task was sealed by a key no longer in SEALING_KEYS."
            )
        try:
            return cipher.decrypt(sealed.nonce, sealed.ciphertext, binding.under(sealed.key_id)).decode()
        except InvalidTag:
            raise CredentialsUnavailable("The key that came with the task does not belong to it.") from None
