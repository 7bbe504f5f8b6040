"""People and service accounts: what they are in an organisation and in its projects."""
