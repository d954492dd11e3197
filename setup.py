"""All metadata stands in setup.cfg; this file lets `pip install .` work without pyproject.toml."""

from setuptools import setup

setup()
