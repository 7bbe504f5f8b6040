"""How we trust an upstream.  Two ways, two names; either goes to a transport's constructor."""

import ssl
from pathlib import Path


def trusting(ca_file: Path | None = None) -> ssl.SSLContext:
    """Check chain and server name against the system's authorities, or only against the PEM
    bundle `ca_file`.  Raises: OSError: the bundle cannot be read."""
    return _http11(ssl.create_default_context(cafile=str(ca_file) if ca_file else None))


def trusting_anyone() -> ssl.SSLContext:
    """Encrypt, but believe whoever answers: for a laboratory, never across a network."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return _http11(context)


def _http11(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
