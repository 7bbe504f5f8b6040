"""Pictures and PDF files, decoded in a child process that may die of them."""
