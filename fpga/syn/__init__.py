"""Scripts for Vivado. Nobody has run them yet: there is no Vivado where they were written."""
