"""Keys of the admin API: issued, listed, revoked, and what they open."""
