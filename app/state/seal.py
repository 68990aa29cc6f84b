"""Sealed job specifications: a worker runs only what a coordinator has signed.

Whoever can write to Redis can change a queue, but not what a worker executes. The job's id is inside the
seal, so a sealed specification cannot be moved to another job.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from itsdangerous import BadSignature, Signer


class BadSeal(Exception):
    """The job's specification was not made by a coordinator of this installation."""


class Seal:
    """Seals and opens specifications with the installation's sealing key."""

    def __init__(self, key: bytes) -> None:
        self.identity = sha256(b"ffgrid installation" + key).hexdigest()[:12]  # which installation this is
        self._signer = Signer(key, salt="ffgrid.job", key_derivation="hmac", digest_method=sha256)

    def close(self, job_id: str, spec: dict[str, Any]) -> bytes:
        """The specification as signed bytes."""
        text = json.dumps({"id": job_id, "spec": spec}, separators=(",", ":"))
        return self._signer.sign(text.encode())

    def open(self, job_id: str, sealed: bytes) -> dict[str, Any]:
        """The specification. Raises BadSeal when it is not this job's, or was not sealed here."""
        try:
            content = json.loads(self._signer.unsign(sealed))
        except BadSignature:
            raise BadSeal("the job's specification carries no seal of this installation") from None
        if content["id"] != job_id:
            raise BadSeal("the job's specification was sealed for another job")
        spec: dict[str, Any] = content["spec"]
        return spec

    @staticmethod
    def peek(sealed: bytes) -> dict[str, Any]:
        """The specification unchecked, for showing it to people."""
        spec: dict[str, Any] = json.loads(sealed.rpartition(b".")[0])["spec"]
        return spec
