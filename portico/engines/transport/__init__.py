"""The upstream HTTP/1.1 client: one interface, our own implementation and aiohttp's."""
