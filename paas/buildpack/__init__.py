"""The buildpack protocol and catalogue."""
