"""An engine's bytes, passed through and read only as far as metering needs."""
