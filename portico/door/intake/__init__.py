"""A body on its way in, before a dialect reads it: unpacked, and files by URL put inline."""
