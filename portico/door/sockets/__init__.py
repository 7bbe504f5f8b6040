"""WebSockets: the handshake, frames, and the requests that come in them."""
