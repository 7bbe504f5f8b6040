"""Files, uploads and parts as each SDK reads them.  Pure."""

from datetime import UTC, datetime
from typing import Any

from portico.resources.files.model import File, Part, Upload


def openai_file(file: File) -> dict[str, Any]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size_bytes,
        "created_at": file.created_at_ms // 1000,
        "expires_at": _s(file.expires_at_ms),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def anthropic_file(file: File) -> dict[str, Any]:
    return {
        "id": file.id,
        "type": "file",
        "filename": file.filename,
        "mime_type": file.media_type,
        "size_bytes": file.size_bytes,
        "created_at": _rfc3339(file.created_at_ms),
        "expires_at": None if file.expires_at_ms is None else _rfc3339(file.expires_at_ms),
        "downloadable": True,
    }


def openai_upload(upload: Upload, file: File | None = None) -> dict[str, Any]:
    return {
        "id": upload.id,
        "object": "upload",
        "bytes": upload.size_bytes,
        "created_at": upload.created_at_ms // 1000,
        "expires_at": upload.expires_at_ms // 1000,
        "filename": upload.filename,
        "purpose": upload.purpose,
        "status": upload.state,
        "file": None if file is None else openai_file(file),
    }


def openai_part(part: Part) -> dict[str, Any]:
    return {
        "id": part.id,
        "object": "upload.part",
        "created_at": part.created_at_ms // 1000,
        "upload_id": part.upload_id,
    }


def _s(moment_ms: int | None) -> int | None:
    return None if moment_ms is None else moment_ms // 1000


def _rfc3339(moment_ms: int) -> str:
    moment = datetime.fromtimestamp(moment_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
