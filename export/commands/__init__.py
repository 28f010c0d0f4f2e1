"""What ``python -m export`` can do, a module for each step; :mod:`export.__main__` puts them in order."""
