"""The golden model: the RTL's arithmetic, bit for bit, in NumPy."""
