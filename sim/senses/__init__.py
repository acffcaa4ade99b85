"""The five sensors of a vehicle in a street, in weather: for one flight in PyBullet, or for many at once in NumPy.

A number of which no source is named is an assumption.
"""
