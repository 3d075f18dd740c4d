"""Checks of what users write, by pydantic: closed sections, and errors in words. No job imports it."""
