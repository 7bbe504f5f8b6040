"""Who changed what: a chain of hashes for each organisation, written with the change itself."""
