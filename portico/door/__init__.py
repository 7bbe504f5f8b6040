"""The ASGI edge: bytes in, bytes out, no business rule."""
