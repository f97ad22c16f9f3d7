"""The nginx control plane: table to text to test to install."""
