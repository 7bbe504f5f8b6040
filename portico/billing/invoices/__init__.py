"""What is asked for, and what came in: invoices, credit notes, tax, payments."""
