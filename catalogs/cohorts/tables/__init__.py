"""Any table: its format, its lines, and what each of its columns is."""
