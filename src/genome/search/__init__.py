"""Evolutionary search: populations, operators, methods, and the driver that scores their candidates."""
