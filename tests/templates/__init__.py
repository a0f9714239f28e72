"""The promises the shipped words keep."""
