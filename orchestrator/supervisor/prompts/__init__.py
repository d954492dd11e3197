"""Prompts: how they are detected, and what responds to them."""
