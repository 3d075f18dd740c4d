"""Evolutionary search: populations, operators, methods, and the driver that scores what they ask for."""
