"""Experts, base models and corpora, from the hub or from folders."""
