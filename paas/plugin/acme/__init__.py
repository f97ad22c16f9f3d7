"""Certificates from an ACME authority (RFC 8555). The door to `acme` and `josepy`."""
