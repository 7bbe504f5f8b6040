"""Who owes whom: credits, payments, invoices, dunning, reconciliation."""
