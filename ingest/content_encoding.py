"""Compressed request bodies, decompressed up to a size limit."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from ingest.errors import HttpError

ACCEPTED = "gzip, zstd"  # for Accept-Encoding
_FORMATS = {"gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}


def decompress(body: bytes, encodings: Sequence[str], max_bytes: int) -> bytes:
    """The body as it was before it was packed; `encodings` are the lines of Content-Encoding.

    HttpError: 413 if the body is too large, 415 if its coding is unknown, 400 if it is not of that coding.

    Takes memory for `max_bytes`, and the time to unpack so many, at most. Several gzip members or zstd frames, one
    behind the other, are one body (RFC 1952, 8878).
    """
    coding = ",".join(encodings).strip().lower()
    if coding in ("", "identity"):
        return body
    if coding not in _FORMATS:
        raise HttpError(415, "UNSUPPORTED_MEDIA_TYPE", f"Content-Encoding must be one of {ACCEPTED}, or left out.")
    try:
        with pa.input_stream(pa.BufferReader(body), compression=_FORMATS[coding]) as stream:
            found: bytes = stream.read(max_bytes + 1)
    except (OSError, pa.ArrowException) as error:
        raise HttpError(400, "BAD_REQUEST", f"The body is not {coding}, or ends early.") from error
    if len(found) > max_bytes:
        raise HttpError(413, "PAYLOAD_TOO_LARGE", f"A request holds at most {max_bytes} bytes, unpacked; send several.")
    if not found:
        raise HttpError(400, "BAD_REQUEST", f"The body is empty, or is not {coding}.")
    return found
