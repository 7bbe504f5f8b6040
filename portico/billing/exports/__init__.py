"""Exports: charges as files, for people, spreadsheets, warehouses and cost tools."""
