"""Dashboard and JSON API over the same functions as the command line."""
