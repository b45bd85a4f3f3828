"""The rows of the table, one file per subject; `table.MODULES` gives their order."""
