"""From sources to raw files and a table of cases."""
