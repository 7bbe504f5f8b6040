"""What developers keep with us: files, responses, conversations, batches."""
